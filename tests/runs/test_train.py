"""From a file to a trained run: the same bytes from the same seed, and nothing written that should not be."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

import jensen
from jensen.core.errors import (
    CorruptRunError,
    DataError,
    InterruptedRun,
    NumericalError,
    UsageError,
)
from jensen.core.random import stream
from jensen.recipes import find
from jensen.runs.training_data import DataOptions, Sources, gather
from jensen.storage.files import write_json
from tests.records import fields

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"recipe": "vae", "latent": 2, "hidden": (8,), "epochs": 3, "batch": 16}


@pytest.fixture
def bits(tmp_path):
    path = tmp_path / "bits.npy"
    np.save(path, (np.random.default_rng(0).random((75, 6)) < 0.4).astype(np.uint8))
    return path


@pytest.fixture
def reals(tmp_path):
    path = tmp_path / "reals.npy"
    np.save(path, np.random.default_rng(0).normal(size=(60, 4)) * [1, 2, 3, 4])
    return path


def weights(run: jensen.Run | Path) -> bytes:
    return ((run if isinstance(run, Path) else run.path) / "model.safetensors").read_bytes()


def numbers(run: jensen.Run) -> list[str]:
    """Digests of what the run says."""
    said = [run.evaluate(k=20).estimate.nats.numpy(), run.sample(5), run.encode(), run.reconstruct(sample=True)]
    return [hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest() for a in said]


def test_same_seed_same_bytes(bits, tmp_path):
    found = [jensen.train(bits, out=tmp_path / str(i), seed=s, **SMALL) for i, s in enumerate((0, 0, 1))]
    assert weights(found[0]) == weights(found[1])
    assert weights(found[0]) != weights(found[2])
    assert numbers(found[0]) == numbers(found[1])


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_seeds_share_their_rows_and_bits(binarize, tmp_path):
    """A seed moves weights, order and noise; what is learned from and judged by moves with the split's seed alone."""
    grey = np.random.default_rng(0).integers(0, 256, size=(60, 3, 2, 1), dtype=np.uint8)
    np.save(tmp_path / "grey.npy", grey)
    seeds = {"first": {}, "seed": {"seed": 1}, "split": {"split_seed": 1}}
    runs = {
        name: jensen.train(tmp_path / "grey.npy", out=tmp_path / name, binarize=binarize, **SMALL, **more)
        for name, more in seeds.items()
    }
    first, seed, split = runs.values()
    assert weights(first) != weights(seed)
    for which in ("train", "valid", "test"):
        rows, same, other = (run.part(which) for run in runs.values())
        np.testing.assert_array_equal(rows.x, same.x)
        assert rows.rows.fixed(stream(0, which)).stored.equal(same.rows.fixed(stream(0, which)).stored)
        assert (rows.x != other.x).any()
    assert (first.spec["split"]["seed"], split.spec["split"]["seed"]) == (0, 1)
    assert (seed.spec["command"]["seed"], seed.spec["command"]["split_seed"]) == (1, 0)
    assert seed.spec["split"] == first.spec["split"]
    assert split.spec["preparation"]["seed"] == 1
    # in training, the validation bits of a dynamic binarisation are drawn once, and are the same too
    where = torch.device("cpu"), torch.float32
    options = [DataOptions(binarize=binarize, **more) for more in seeds.values()]
    found = [gather(Sources(tmp_path / "grey.npy"), find("vae"), each, *where).valid.stored for each in options]
    assert found[0].equal(found[1])
    assert not found[0].equal(found[2])


def test_a_fresh_process_gives_the_same_bytes(bits, tmp_path):
    """It trains again, and it opens the run that was trained here."""
    run = jensen.train(bits, out=tmp_path / "here", average=0.9, **SMALL)
    program = f"""
import json, sys
from pathlib import Path
import jensen
from tests.runs.test_train import numbers
again = jensen.train({str(bits)!r}, out={str(tmp_path / "there")!r}, average=0.9, **{SMALL!r})
print(json.dumps([numbers(jensen.load({str(run.path)!r})), numbers(again)]))
"""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [numbers(run), numbers(run)]
    assert weights(tmp_path / "there") == weights(run)


def test_a_run_can_be_repeated_from_its_specification(bits, tmp_path):
    run = jensen.train(bits, out=tmp_path / "first", warmup=2, average=0.5, clip=1.0, seed=3, **SMALL)
    command = json.loads((run.path / "spec.json").read_text())["command"]
    again = jensen.train(command.pop("data"), out=tmp_path / "second", **command)
    assert weights(run) == weights(again)


def test_the_record_of_training(bits, tmp_path):
    run = jensen.train(bits, out=tmp_path / "run", warmup=2, **{**SMALL, "epochs": 4, "batch": 1000})
    *epochs, stopped = run.metrics
    assert [e["beta"] for e in epochs] == [0.0, 0.5, 1.0, 1.0]
    for e in epochs:
        part = e["train"]
        assert part["objective"] == pytest.approx(-part["distortion"] - e["beta"] * part["rate"], abs=1e-4)
        assert part["bound"] == pytest.approx(-part["distortion"] - part["rate"], abs=1e-4)
        assert e["valid"]["bound"] < 0
    assert (stopped["event"], stopped["reason"], stopped["epoch"]) == ("stopped", "finished", 4)
    best = max(epochs, key=lambda e: e["valid"]["bound"])["epoch"]
    assert stopped["kept_epoch"] == best
    assert "-Distortion - (0 to 1 in 2 steps) Rate" in run.sentence
    choices = run.spec["choices"]
    assert (choices["epochs"], choices["steps_per_epoch"], choices["keep"]) == (4, 1, "best")


def test_averaged_weights_are_kept_apart_and_used(bits, tmp_path):
    run = jensen.train(bits, out=tmp_path / "run", average=0.9, **SMALL)
    stored = load_file(run.path / "model.safetensors")
    mine = dict(run.model.named_parameters())
    assert run.weights == "averaged"
    assert run.evaluate(k=5).to_dict()["weights"] == "averaged"
    for name, p in mine.items():
        raw, averaged = stored[f"raw/model.{name}"], stored.get(f"averaged/model.{name}")
        assert torch.equal(p, raw if averaged is None else averaged)
    assert any(not torch.equal(v, stored[n.replace("averaged/", "raw/")]) for n, v in stored.items() if "averaged" in n)
    assert jensen.train(bits, out=tmp_path / "raw", **SMALL).weights == "raw"


def test_patience_stops_and_keeps_the_best(bits, tmp_path):
    options = {**SMALL, "epochs": 300, "lr": 0.05}
    run = jensen.train(bits, out=tmp_path / "run", patience=4, **options)
    *epochs, stopped = run.metrics
    best = max(epochs, key=lambda e: e["valid"]["bound"])["epoch"]
    assert (stopped["reason"], stopped["kept_epoch"], stopped["epoch"]) == (
        "early stopping",
        best,
        max(best, 30) + 4,
    )  # after 30 epochs of warm-up


def test_the_kept_weights_are_the_models(bits, tmp_path):
    """Of two equal trainings, one keeps the best and one the last; they part where the best is not the last."""
    options = {**SMALL, "epochs": 40, "lr": 0.05, "schedule": "constant", "patience": None}
    best, last = (jensen.train(bits, out=tmp_path / k, keep=k, **options) for k in ("best", "last"))
    assert best.metrics[-1]["kept_epoch"] < 40 == last.metrics[-1]["kept_epoch"]
    assert [e["valid"] for e in best.metrics[:-1]] == [e["valid"] for e in last.metrics[:-1]]
    assert weights(best) != weights(last)


def test_a_stopped_training_is_readable(bits, tmp_path):
    asked = []
    with pytest.raises(InterruptedRun, match="jensen evaluate") as caught:
        jensen.train(bits, out=tmp_path / "run", should_stop=lambda: asked.append(1) or len(asked) > 6, **SMALL)
    assert caught.value.exit_code == 75
    run = jensen.load(tmp_path / "run")
    assert run.metrics[-1]["reason"] == "interrupted"
    assert run.evaluate(k=5).estimate.mean < 0


def test_numbers_that_are_not_finite_stop_training(bits, tmp_path):
    options = {**SMALL, "optimizer": "SGD", "lr": 1e38}
    with pytest.raises(NumericalError, match=r"is not finite at step \d+.*[Ll]ower --lr") as caught:
        jensen.train(bits, out=tmp_path / "run", **options)
    assert caught.value.exit_code == 5
    assert torch.isfinite(torch.as_tensor(jensen.load(tmp_path / "run").sample(3)).double()).all()


@pytest.mark.parametrize(("name", "value"), [("lr", 1e39), ("clip", 1e300), ("save_every", 2e38), ("lr", 1e308)])
@pytest.mark.sampled(2)
def test_a_number_that_no_run_could_hold_is_refused_before_training(bits, tmp_path, name, value):
    with pytest.raises(UsageError, match=rf"could not be opened again \({name}: expected a finite number of at most"):
        jensen.train(bits, out=tmp_path / "run", **SMALL, **{name: value})
    assert not (tmp_path / "run").exists()
    largest = jensen.train(bits, out=tmp_path / "largest", **SMALL, clip=1e38, save_every=1e38)
    assert jensen.load(largest.path).spec["command"]["clip"] == 1e38


def test_a_run_can_start_from_another(bits, tmp_path):
    first = jensen.train(bits, out=tmp_path / "first", average=0.5, **SMALL)
    still = {**SMALL, "epochs": 1, "optimizer": "SGD", "lr": 1e-30, "seed": 5}
    told = []
    second = jensen.train(bits, out=tmp_path / "second", init_from=first.path, notice=told.append, **still)
    for name, p in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], p)
    assert any(f"tensors start from {first.path}" in t for t in told)
    wider = jensen.train(
        bits, out=tmp_path / "wider", init_from=first.path, notice=told.append, **{**still, "latent": 3}
    )
    assert " of " in told[-1]
    assert told[-1].split(" of ")[0] != told[-1].split(" of ")[1].split()[0]  # only some of them
    assert wider.model.latent == 3


def test_starting_from_what_does_not_fit_or_is_damaged(bits, reals, tmp_path):
    other = jensen.train(reals, recipe="gaussian", out=tmp_path / "other")
    with pytest.raises(UsageError, match=r"no weights of .* fit this model"):
        jensen.train(bits, out=tmp_path / "run", init_from=other.path, **{**SMALL, "hidden": ()})
    spec = json.loads((other.path / "spec.json").read_text())
    spec["choices"]["dtype"] = "float65"
    write_json(other.path / "spec.json", spec)
    with pytest.raises(CorruptRunError):
        jensen.train(bits, out=tmp_path / "run", init_from=other.path, **SMALL)
    with pytest.raises(UsageError, match="there is no run at"):
        jensen.train(bits, out=tmp_path / "run", init_from=tmp_path / "nowhere", **SMALL)


def test_global_randomness_is_left_alone(bits, tmp_path):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002 (it is what is watched)
    run = jensen.train(bits, out=tmp_path / "run", **SMALL)
    numbers(run)
    x = np.random.default_rng(1).normal(size=(30, 3))
    jensen.train(x, recipe="gmm", components=2, out=tmp_path / "gmm", epochs=2)  # k-means
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002


REFUSED = [
    ({"recipe": "vea"}, UsageError, "Did you mean vae"),
    ({"optimizer": "Adamant"}, UsageError, "torch.optim has no"),
    ({"optimizer": "Muon"}, UsageError, "Muon does not accept these parameters"),
    ({"optimizer": "SparseAdam"}, UsageError, "torch.optim has no"),
    ({"epochs": 0}, UsageError, "--epochs must be a whole number of at least 1, got 0"),
    ({"epochs": -1}, UsageError, "--epochs must be a whole number of at least 1, got -1"),
    ({"batch": 0}, UsageError, "--batch must be a whole number of at least 1, got 0"),
    ({"lr": float("nan")}, UsageError, "--lr"),
    ({"clip": -1.0}, UsageError, "--clip"),
    ({"average": 1.5}, UsageError, "--average"),
    ({"patience": 2, "split": "1,0,0"}, UsageError, "--patience needs"),
    ({"split": "0.5,0.5"}, UsageError, "three fractions"),
    ({"device": "abacus"}, UsageError, "--device cpu"),
    ({"zebra": 1}, UsageError, "no option --zebra"),
    ({"likelihood": "gaussian"}, DataError, "no upper bound"),
    ({"binarize": "static"}, UsageError, "already binary"),
]


@pytest.mark.parametrize(("options", "error", "words"), REFUSED, ids=[str(r[0]) for r in REFUSED])
def test_what_cannot_work_is_refused_before_anything_is_written(options, error, words, bits, tmp_path):
    with pytest.raises(error, match=words):
        jensen.train(bits, out=tmp_path / "run", **{**SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_a_closed_form_has_no_average(reals, tmp_path):
    """Its average would be that of the weights before the fit."""
    with pytest.raises(UsageError, match="--fit gradient"):
        jensen.train(reals, recipe="ppca", latent=2, average=0.9, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = jensen.train(reals, recipe="ppca", latent=2, average=0.9, fit="gradient", epochs=2, out=tmp_path / "run")
    assert run.weights == "averaged"


def test_nothing_is_overwritten_without_force(bits, tmp_path):
    run = jensen.train(bits, out=tmp_path / "run", **SMALL)
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    with pytest.raises(FileExistsError, match="--force"):
        jensen.train(bits, out=run.path, **SMALL)
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    (run.path / "mine.txt").write_text("kept")
    jensen.train(bits, out=run.path, force=True, **{**SMALL, "epochs": 1})
    assert len(jensen.load(run.path).metrics) == 2
    assert (run.path / "mine.txt").read_text() == "kept"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years")
    for folder in (foreign, foreign / "thesis.tex"):
        with pytest.raises(FileExistsError):
            jensen.train(bits, out=folder, force=True, **SMALL)
    assert [p.name for p in foreign.iterdir()] == ["thesis.tex"]


def test_runs_are_named_by_data_and_recipe(bits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [jensen.train("bits.npy", **{**SMALL, "epochs": 1}).path for _ in range(2)]
    assert [str(p) for p in paths] == ["runs/bits-vae", "runs/bits-vae-2"]


def test_an_array_needs_no_file(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    run = jensen.train(x, recipe="gaussian", out=tmp_path / "run")
    assert "were trained on" in run.evaluate(x[:-1]).notes[0]
    assert run.evaluate().estimate.nats.shape == (4,)  # its own test rows, which are still in memory
    again = jensen.load(run.path)
    assert "cannot be read" in again.evaluate(x[:-1]).notes[0]
    assert again.evaluate(x).estimate.nats.tolist() == run.evaluate().estimate.nats.tolist()  # known by the digest
    with pytest.raises(DataError, match="data in memory"):
        again.evaluate()


def test_numbers_of_numpy_are_recorded_as_numbers(tmp_path):
    """A seed out of a loop over an array, say."""
    write_json(tmp_path / "x.json", {"seed": np.int64(3), "lr": np.float32(0.5), "seen": np.bool_(True)})
    assert fields(tmp_path / "x.json") == {"seed": 3, "lr": 0.5, "seen": True}
    with pytest.raises(TypeError, match="a Thing cannot be"):
        write_json(tmp_path / "y.json", {"a": type("Thing", (), {})()})
    assert not (tmp_path / "y.json").exists()


def test_duplicates_across_the_split_are_told(tmp_path):
    x = np.repeat(np.random.default_rng(0).normal(size=(20, 3)), 4, axis=0)
    told = []
    jensen.train(x, recipe="gaussian", out=tmp_path / "run", notice=told.append)
    assert [t for t in told if "test rows are exact duplicates of training rows" in t]
    assert [t for t in told if "validation rows are exact duplicates" in t]


def test_listeners_hear_what_the_record_says(bits, tmp_path):
    events = []
    run = jensen.train(bits, out=tmp_path / "run", listeners=[events.append], **SMALL)
    heard = [e for e in events if type(e).__name__ == "EpochEnded"]
    assert [e.train.objective for e in heard] == [e["train"]["objective"] for e in run.metrics[:-1]]


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": np.int64(2), "patience": np.int32(3)},
        {"latent": np.int64(3), "hidden": np.array([6, 5])},
        {"lr": np.float32(0.01), "batch": np.uint8(9), "seed": np.int64(4)},
        {"hidden": [np.int64(6)], "split": np.array([0.8, 0.1, 0.1])},
    ],
)
@pytest.mark.sampled(2)
def test_numbers_of_numpy_are_numbers(given, bits, tmp_path):
    plain = {name: np.asarray(value).tolist() for name, value in given.items()}
    runs = [
        jensen.train(str(bits), out=tmp_path / name, **{**SMALL, **options})
        for name, options in (("numpy", given), ("python", plain))
    ]
    files = [(run.path / "model.safetensors").read_bytes() for run in runs]
    assert files[0] == files[1]
    assert runs[0].spec["command"] == runs[1].spec["command"]


def test_moments_of_what_is_observed_count_some_rows_at_a_time(tmp_path):
    """The number of observed entries is a sum of numbers of eight bytes: of all rows at once it would need memory."""
    x = np.random.default_rng(0).normal(size=(600, 3))
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    np.save(tmp_path / "x.npy", x)
    options = DataOptions(split="1,0,0", standardize="none")
    made = gather(Sources(tmp_path / "x.npy"), find("miwae"), options, torch.device("cpu"), torch.float32)
    rows = x[made.split.train].astype(np.float32).astype(np.float64)
    with Sums() as sums:
        mean, scale = made.moments
    np.testing.assert_allclose(mean.numpy(), np.nanmean(rows, 0), rtol=1e-12)
    np.testing.assert_allclose(scale.numpy(), np.nanstd(rows, 0), rtol=1e-12)
    assert 0 < sums.most <= 256 * 3


class Sums(TorchDispatchMode):
    """Sees how many numbers are summed at once, at most."""

    most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "sum" in str(function):
            self.most = max(self.most, args[0].numel())
        return function(*args, **(kwargs or {}))
