"""Models put together from parts become runs: every verb, resumes to the same bytes, reloads with own parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.distributions import Gumbel

import jensen as j
from jensen.core.errors import CompositionError, CorruptRunError, DataError, InterruptedRun, UsageError
from jensen.core.parts import part
from jensen.core.random import stream
from jensen.families import Factorised, positive
from jensen.models.draw import Draw
from jensen.objectives import Objective
from jensen.report import write
from jensen.runs.compare import compare
from jensen.runs.players import players_from, term_names
from jensen.runs.train import untrained
from jensen.training import EpochEnded
from tests.several import forked

ROOT = Path(__file__).resolve().parents[2]
X = (np.random.default_rng(0).random((120, 6)) < np.linspace(0.2, 0.8, 6)).astype(np.uint8)
REALS = np.random.default_rng(1).normal(size=(120, 6)).astype(np.float32)
FEW = {"epochs": 3, "batch": 32, "device": "cpu"}


class Net(nn.Module):
    """A network that knows nothing of jensen."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def bits(seed: int = 0) -> tuple[j.LatentVariableModel, j.Amortized]:
    torch.manual_seed(seed)
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given.mlp(2, (8,), j.Bernoulli(6)))
    return model, j.Amortized.mlp(6, (8,), j.Gaussian(2))


def own_nets(seed: int = 0) -> tuple[j.LatentVariableModel, j.Amortized]:
    torch.manual_seed(seed)
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given(Net(2, 12), j.Gaussian(6)))
    return model, j.Amortized(j.Given(Net(6, 4), j.Gaussian(2)))


PARTS = {"likelihood.net": lambda: Net(2, 12), "conditional.net": lambda: Net(6, 4)}


@pytest.fixture(autouse=True)
def torch_is_left_as_it_was():
    with torch.random.fork_rng(devices=[]):
        yield


def weights(folder: Path) -> dict[str, bytes]:
    return {name: tensor.tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


def after(epochs: int):
    """A listener and a question that stop training after so many epochs."""
    done = []
    return [lambda event: done.append(event) if isinstance(event, EpochEnded) else None], lambda: len(done) >= epochs


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> j.Run:
    with torch.random.fork_rng(devices=[]):
        model, guide = bits()
        objective, estimator, out = j.ImportanceWeighted(), j.StickTheLanding(4), tmp_path_factory.mktemp("m") / "mine"
        return j.train(X, model=model, guide=guide, objective=objective, estimator=estimator, out=out, **FEW)


def test_the_objective_and_the_estimator_are_recorded_as_trees(mine):
    [player] = mine.spec["players"]
    assert player["parts"]["objective"]["part"] == "ImportanceWeighted"
    assert (player["parts"]["estimator"]["part"], player["parts"]["estimator"]["args"]) == ("StickTheLanding", {"k": 4})
    assert player["parts"]["parameters"] == ["model", "guide"]
    assert mine.spec["command"]["recipe"] is None
    model, guide, [again] = players_from(mine.spec)
    assert (str(again.objective), again.estimator) == ("ImportanceWeighted", j.StickTheLanding(4))
    assert len(again.trained) == len([p for m in (model, guide) for p in m.parameters() if p.requires_grad])


def test_it_passes_through_every_verb(mine, tmp_path, unrendered):
    assert "test rows of array" in str(mine.evaluate(budget=0, k=20))
    assert mine.evaluate(X[:30], budget=0, k=20).estimate.nats.shape == (30,)
    assert mine.sample(5).shape == (5, 6)
    assert mine.encode().shape == (12, 2)
    assert mine.reconstruct(X[:3]).shape == (3, 6)
    hidden = np.zeros(6, bool)
    hidden[:2] = True
    assert mine.impute(X[:4], m=2, hidden=hidden).x.shape[:2] == (2, 4)
    assert mine.doctor().measures
    assert mine.along(rows_at_most=5, k=10).stages
    assert mine.gradients(n=8, repeats=32).to_dict()["objective"] == "ImportanceWeighted"
    assert mine.calibrate(n=50).to_dict()
    assert untrained(mine).model.latent == 2
    assert mine.title in write(mine, tmp_path / "report.html").read_text()
    other = j.train(X, recipe="vae", latent=2, hidden=(8,), out=tmp_path / "vae", **FEW)
    assert compare(mine, other, X)


def test_a_fresh_process_opens_it_without_importing_the_compiler(mine):
    program = f"import sys, jensen; run = jensen.load({str(mine.path)!r}); print(run.sample(2).shape, run.sentence)"
    program += "; print('torch._dynamo' in sys.modules)"  # two seconds
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.splitlines() == [f"(2, 6) {mine.sentence}", "False"]


def test_a_resumed_training_ends_in_the_same_bytes(mine, tmp_path):
    model, guide = bits()
    listeners, stop = after(1)
    with pytest.raises(InterruptedRun):
        j.train(
            X,
            model=model,
            guide=guide,
            objective=j.ImportanceWeighted(),
            estimator=j.StickTheLanding(4),
            out=tmp_path / "cut",
            listeners=listeners,
            should_stop=stop,
            **FEW,
        )
    with pytest.raises(DataError, match=r"jensen\.resume\(RUN, data="):
        j.resume(tmp_path / "cut")
    with pytest.raises(DataError, match="changed"):
        j.resume(tmp_path / "cut", data=1 - X)
    assert weights(j.resume(tmp_path / "cut", data=X).path) == weights(mine.path)


def train_and_die(data: Path, out: Path) -> None:
    """Train own networks, and kill this process at the end of the second epoch."""

    def kill(event: object) -> None:
        if isinstance(event, EpochEnded) and event.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    model, guide = own_nets()
    j.train(data, model=model, guide=guide, out=out, save_every=0, listeners=[kill], **FEW)


def test_own_networks_survive_sigkill_and_a_reload(tmp_path):
    """By a file of data, so that `jensen resume` would find them; the parts are given back by their places."""
    data = tmp_path / "reals.npy"
    np.save(data, REALS)
    model, guide = own_nets()
    whole = j.train(data, model=model, guide=guide, out=tmp_path / "whole", **FEW)
    assert forked(lambda: train_and_die(data, tmp_path / "cut")) == -signal.SIGKILL
    assert weights(tmp_path / "cut") != weights(whole.path)
    with pytest.raises(UsageError, match=r"'likelihood\.net', 'conditional\.net'.*parts=\{'likelihood\.net': Net"):
        j.load(tmp_path / "cut")
    with pytest.raises(UsageError, match="cannot be made without arguments"):
        j.load(tmp_path / "cut", parts={"Net": Net})
    again = j.resume(tmp_path / "cut", parts=PARTS)
    assert weights(again.path) == weights(whole.path)
    loaded = j.load(again.path, parts={"likelihood.net": Net(2, 12), "conditional.net": Net(6, 4)})
    assert str(loaded.evaluate(budget=0, k=20)) == str(whole.evaluate(budget=0, k=20))


@part
@dataclass(frozen=True)
class Gumbels(Factorised):
    """A family of one's own."""

    dim: int
    inside = 0.0

    @property
    def size(self) -> int:
        return 2 * self.dim

    @property
    def phrase(self) -> str:
        return f"Gumbels({self.dim})"

    def start(self, mean: Tensor) -> Tensor:
        return mean

    def features(self, params: Tensor) -> Gumbel:
        loc, raw = params.split(self.dim, -1)
        return Gumbel(loc, positive(raw), validate_args=False)


@part
@dataclass(frozen=True)
class Sparsity(Objective):
    """An objective of one's own."""

    needs_density = False

    def __call__(self, draw: Draw) -> Tensor:
        return draw.mean(draw.z.abs().sum(-1))

    def __str__(self) -> str:
        return "Sparsity"


def test_own_family_objective_and_two_players(tmp_path):
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given.mlp(2, (8,), Gumbels(6)))
    guide = j.Amortized.mlp(6, (8,), j.Gaussian(2))
    players = [
        j.Player(j.Elbo(), [model]),
        j.Player(j.Elbo() - 0.1 * Sparsity(), [guide], optimizer=j.Optimizer("SGD", 1e-3)),
    ]
    run = j.train(REALS, model=model, guide=guide, players=players, out=tmp_path / "two", **FEW)
    assert [p["parts"]["parameters"] for p in run.spec["players"]] == [["model"], ["guide"]]
    assert run.spec["players"][1]["parts"]["optimizer"] == {"name": "SGD", "lr": 1e-3, "options": []}
    assert run.spec["choices"]["keep"] == "last"
    assert {"Sparsity", "Elbo", "Sum"} <= term_names(run.spec)
    longer = j.resume(run.path, data=REALS, epochs=4)
    assert [line["epoch"] for line in longer.metrics if line["event"] == "epoch"] == [1, 2, 3, 4]


def test_a_function_as_objective_is_given_back_by_its_name(tmp_path):
    pull = j.CustomObjective(lambda draw: -draw.z.square().sum((0, 2)), "pull", reads_density=False)
    model, guide = bits()
    listeners, stop = after(1)
    out = tmp_path / "cut"
    objective = j.Elbo() + 0.1 * pull
    with pytest.raises(InterruptedRun):
        j.train(X, model=model, guide=guide, objective=objective, out=out, listeners=listeners, should_stop=stop, **FEW)
    with pytest.raises(UsageError, match=r"parts=\{'pull': pull\}"):
        j.resume(out, data=X)
    assert "Elbo + 0.1 pull" in j.resume(out, data=X, parts={"pull": pull.f}).sentence


def test_players_of_modules_that_belong_nowhere_are_refused(tmp_path):
    model, guide = bits()
    with pytest.raises(CompositionError, match="trains parameters of no part"):
        j.train(X, model=model, guide=guide, players=[j.Player(j.Elbo(), [nn.Parameter(torch.zeros(2))])], out=tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"guide": bits()[1]}, "give model="),
        ({"model": bits()[0], "recipe": "vae"}, "both a model and the recipe"),
        ({"model": bits()[0]}, "no exact posterior"),
        ({"model": bits()[0], "guide": bits()[1], "players": [], "lr": 0.1}, "of their own"),
        ({"model": bits()[0], "guide": bits()[1], "players": [], "objective": j.Elbo()}, "of their own"),
        ({"model": bits()[0], "guide": bits()[1], "latent": 3}, "no option --latent"),
    ],
)
def test_what_does_not_go_together_is_refused(given, said, tmp_path):
    with pytest.raises(j.JensenError, match=f"(?i){said}"):
        j.train(X, out=tmp_path / "none", **given)
    assert not (tmp_path / "none").exists()


def test_the_exact_posterior_is_the_guide_of_a_model_that_has_one(tmp_path):
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Linear(2, 6))
    run = j.train(REALS, model=model, out=tmp_path / "exact", **FEW)
    assert str(run.evaluate(budget=0).estimate.kind) == "exact"


def test_initial_weights_are_kept_for_recoveries_and_their_damage_is_noticed(mine, tmp_path):
    spec = json.loads((mine.path / "spec.json").read_text())
    assert {"initial.safetensors", "model.safetensors"} <= {p.name for p in mine.path.iterdir()}
    start = untrained(mine)
    model, guide = bits()
    theirs, mine_ = [*start.model.parameters(), *start.guide.parameters()], [*model.parameters(), *guide.parameters()]
    pairs = zip(theirs, mine_, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    path = mine.path / "initial.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    try:
        with pytest.raises(CorruptRunError, match="damaged"):
            untrained(mine)
    finally:
        content[-1] ^= 1
        path.write_bytes(content)
    assert spec["command"]["data"] == "array"


def test_convolutions_by_name():
    shape = (8, 8, 1)
    model = j.LatentVariableModel(j.Unconditional(j.Gaussian(2)), j.Given.conv(2, shape, j.Bernoulli(64), width=4))
    guide = j.Amortized.conv(shape, j.Gaussian(2), width=4)
    z = guide(j.Batch(torch.zeros(3, 64))).rsample()
    assert model.likelihood(z).event_shape == (64,)
    with pytest.raises(CompositionError, match="whole number of planes"):
        j.Given.conv(2, shape, j.Bernoulli(63))


def test_a_model_trained_elsewhere_is_saved_as_a_run(tmp_path):
    model, guide = bits()
    run = j.save(model, guide, tmp_path / "saved", like=X)
    assert run.schema.kind == "binary"
    assert "a loop of the user's own" in " ".join(run.evaluate(X, k=20).notes)
    again = j.load(tmp_path / "saved")
    assert torch.equal(next(again.model.likelihood.parameters()), next(model.likelihood.parameters()))
    assert again.sample(3, seed=1).shape == (3, 6)
    assert write(again, tmp_path / "report.html").exists()
    with pytest.raises(UsageError, match="none of its own"):
        again.doctor()
    with pytest.raises(DataError):
        again.evaluate()
    with pytest.raises(j.JensenError, match=r"state|trained"):
        j.resume(tmp_path / "saved", data=X)
    with pytest.raises(j.JensenError, match=r"exists|run already"):
        j.save(model, guide, tmp_path / "saved", like=X)
    with pytest.raises(UsageError, match="6 features, and the data have 5"):
        j.save(model, guide, tmp_path / "other", like=X[:, :5])
    assert j.save(model, guide, tmp_path / "unlike").schema.kind == "binary"


def test_a_recipe_of_ones_own_has_a_title(tmp_path):
    from jensen.recipes import RECIPES

    @j.recipe("test-sparse", title="Sparse VAE")
    def sparse(context: j.RecipeContext, *, latent: int = 2) -> j.BuiltModel:
        """A VAE of few latents."""
        model, guide = bits()
        return j.BuiltModel(model, guide, [j.Player(j.Elbo(), [model, guide], optimizer=context.optimizer)])

    try:
        run = j.train(X, recipe="test-sparse", latent=2, out=tmp_path / "sparse", **FEW)
        assert run.title == "Sparse VAE"
    finally:
        del RECIPES["test-sparse"]


def test_draws_do_not_depend_on_the_order_of_modules():
    """Parameters are trained in the order of the record, whatever order the player named them in."""
    from jensen.runs.players import canonical

    model, guide = bits()
    one, other = (canonical(model, guide, [j.Player(j.Elbo(), order)])[0] for order in ([model, guide], [guide, model]))
    assert [id(p) for p in one.trained] == [id(p) for p in other.trained]
    assert stream(0, "x").initial_seed() == stream(0, "x").initial_seed()


def test_the_command_line_resumes_it_and_replays_no_recipe(tmp_path, capsys):
    from jensen.cli import main

    data, out = tmp_path / "bits.npy", tmp_path / "run"
    np.save(data, X)
    model, guide = bits()
    j.train(data, model=model, guide=guide, out=out, **FEW)
    assert main(["resume", str(out), "--epochs", "4", "--quiet"]) == 0
    assert main(["evaluate", str(out), "--budget", "0", "-k", "20", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["train", "--spec", str(out / "spec.json"), "--out", str(tmp_path / "again"), "--quiet"]) == 2
    assert "has no recipe to repeat" in capsys.readouterr().err


@pytest.mark.parametrize(
    "recipe",
    [
        "vae-gan",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("vq-vae", "svi", "wake-sleep", "gmm", "denoising-vae")),
    ],
)
def test_the_parts_of_a_recipe_resume_to_the_same_bytes(recipe, tmp_path):
    """Critics, closed steps, stages, codes, tables and corruptions are rebuilt from the trees of the record."""
    options = {} if recipe == "gmm" else {"hidden": (8,), "latent": 2}
    made = j.train("digits", recipe=recipe, out=tmp_path / "made", epochs=4, batch=1024, **options)

    def parts() -> dict:
        torch.manual_seed(0)
        built = untrained(made)
        return {"model": built.model, "guide": built.guide, "players": built.players}

    few = {"epochs": 4, "batch": 1024, "save_every": 0}
    whole = j.train("digits", out=tmp_path / "whole", **parts(), **few)
    listeners, stop = after(2)
    with pytest.raises(InterruptedRun):
        j.train("digits", out=tmp_path / "cut", listeners=listeners, should_stop=stop, **parts(), **few)
    assert weights(j.resume(tmp_path / "cut").path) == weights(whole.path)
    assert j.load(whole.path).sample(2).shape[0] == 2
