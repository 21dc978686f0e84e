"""Games against their known answers: the best critic tells the density ratio, and each player changes only its own."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jensen.analysis.latents import encode
from jensen.cli import main
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, InterruptedRun, NotNormalised, UsageError
from jensen.core.random import drawing_from, stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.score import Score
from jensen.evaluate import Importance, choose
from jensen.families import Gaussian, Implicit
from jensen.guides import Amortized, Deterministic, FromPrior
from jensen.models.conditionals import Given, Unconditional
from jensen.models.draw import Draw
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP, Critic
from jensen.objectives import (
    Discriminate,
    Distortion,
    Elbo,
    FeatureDistortion,
    GeneratorLoss,
    GradientPenalty,
    LogRatio,
    Rate,
)
from jensen.runs.resume import resume
from jensen.runs.train import train
from jensen.training import Budget, Optimizer, Player, Trainer
from tests.training.test_loop import same, values

N = 20_000
GUESSING = -2 * math.log(2)


def affine(weight: float, bias: float, inputs: int = 1, outputs: int = 1) -> nn.Linear:
    """x -> weight x + bias, feature by feature."""
    net = nn.Linear(inputs, outputs)
    with torch.no_grad():
        net.weight.copy_(weight * torch.eye(outputs, inputs))
        net.bias.fill_(bias)
    return net


def sampler(weight: float = 1.0, bias: float = 1.0, dim: int = 1) -> LatentVariableModel:
    """z ~ N(0, I) and x = weight z + bias."""
    return LatentVariableModel(Unconditional(Gaussian(dim)), Given(affine(weight, bias, dim, dim), Implicit(dim)))


def line(slope: float, height: float) -> Critic:
    """The critic whose logit is slope x + height: relu(x) and relu(-x), put together again."""
    critic = Critic(nn.Linear(1, 2), 2, activation="relu")
    with torch.no_grad():
        critic.body.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        critic.body.bias.zero_()
        critic.head.weight.copy_(slope * torch.tensor([[1.0, -1.0]]))
        critic.head.bias.fill_(height)
    return critic


def points(n: int, dim: int = 1, name: str = "x") -> Tensor:
    return torch.randn(n, dim, generator=stream(0, name))


def drawn(model: LatentVariableModel, guide, x: Tensor, k: int = 1) -> Draw:
    return Pathwise(k).draw(model, guide, Batch(x), stream(0, "noise"))


def divergence(shift: float) -> float:
    """The Jensen-Shannon divergence of N(0, 1) and N(shift, 1), by the trapezoidal rule."""
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    p, q = (torch.distributions.Normal(m, torch.ones((), dtype=torch.float64)).log_prob(x) for m in (0.0, shift))
    middle = torch.logaddexp(p, q) - math.log(2)
    return float(0.5 * torch.trapezoid(p.exp() * (p - middle) + q.exp() * (q - middle), x))


# ---------------------------------------------------------------- the best critic


def test_the_best_critic_reaches_the_jensen_shannon_divergence():
    """2 JSD - 2 log 2, within four standard errors of 20,000 pairs; any other critic is below it by more than that."""
    model, found = sampler(), {}
    draw = drawn(model, FromPrior(model.prior), points(N))
    for name, critic in {"best": line(-1.0, 0.5), "steep": line(-1.5, 0.5), "shifted": line(-1.0, 1.0)}.items():
        told = Discriminate(critic)(draw).detach()
        found[name], error = float(told.mean()), float(told.std() / N**0.5)
        assert error < 0.007
    best = 2 * divergence(1.0) + GUESSING
    assert abs(found["best"] - best) < 4 * 0.007
    assert max(found["steep"], found["shifted"]) < best - 0.01
    equal = sampler(bias=0.0)
    told = Discriminate(line(0.0, 0.0))(drawn(equal, FromPrior(equal.prior), points(N))).detach()
    torch.testing.assert_close(told, torch.full_like(told, GUESSING))


def test_a_critic_learns_the_density_ratio():
    """log N(x; 0, 1) - log N(x; 1, 1) = 0.5 - x, to 0.3 where either kind is often (trained on 4,096 pairs)."""
    model = sampler()
    with drawing_from(stream(0, "critic")):
        critic = Critic(MLP(1, 16, (16,)), 16)
    player = Player(Discriminate(critic), list(critic.parameters()), optimizer=Optimizer("Adam", 1e-2))
    before = values(model)
    Trainer().fit(model, FromPrior(model.prior), [player], Rows(points(4096)), Budget(25, 512))
    assert same(before, values(model))
    x = torch.linspace(-1.5, 2.5, 41)[:, None]
    assert (critic(x).detach() - (0.5 - x[:, 0])).abs().max() < 0.3


def test_shuffled_codes_tell_the_total_correlation():
    """Of a Gaussian with correlation 0.8: -log(1 - 0.64) / 2 = 0.511 nats, to 0.05."""
    z = points(4096, 2)
    z = torch.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]], -1)
    with drawing_from(stream(1, "critic")):
        critic = Critic(MLP(2, 32, (32,)), 32)
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(affine(1.0, 0.0, 2, 2), Gaussian(2, 1.0)))
    guide = Deterministic(affine(1.0, 0.0, 2, 2))
    objective = Discriminate(critic, "features")
    player = Player(objective, list(critic.parameters()), optimizer=Optimizer("Adam", 1e-2))
    Trainer().fit(model, guide, [player], Rows(z), Budget(25, 512))
    assert abs(float(LogRatio(critic)(drawn(model, guide, z)).mean().detach()) + 0.5 * math.log(1 - 0.64)) < 0.05


def test_shuffling_keeps_each_feature_and_breaks_their_ties():
    z = points(N)
    seen = []

    class Eye(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach())
            return x

    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(affine(1.0, 0.0, 2, 2), Gaussian(2, 1.0)))
    twins = Deterministic(nn.Identity())
    Discriminate(Critic(Eye(), 2), "features")(drawn(model, twins, z.expand(-1, 2).contiguous()))
    first, second = (x.reshape(N, 2) for x in seen)
    assert torch.equal(first.sort(0).values, second.sort(0).values)
    assert torch.corrcoef(first.mT)[0, 1] == pytest.approx(1.0)
    assert abs(float(torch.corrcoef(second.mT)[0, 1])) < 4 / N**0.5


# ---------------------------------------------------------------- the other terms


def test_the_penalty_of_a_line_is_its_slope_squared():
    """After scaling: and it can be differentiated once more, by the slope."""
    critic, model = line(-3.0, 0.5), sampler()
    found = GradientPenalty(critic)(drawn(model, FromPrior(model.prior), points(7)))
    torch.testing.assert_close(found, torch.full((7,), 9.0))
    found.mean().backward()
    assert float(critic.head.weight.grad.abs().sum()) == pytest.approx(2 * 3.0, rel=1e-5)
    assert critic.head.bias.grad is None or not critic.head.bias.grad.any()


def test_a_distortion_in_features_is_a_gaussian_s():
    critic, model = line(1.0, 0.0), sampler(weight=0.0, bias=2.0)
    found = FeatureDistortion(critic)(drawn(model, FromPrior(model.prior), torch.tensor([[-1.0], [5.0]])))
    f, made = torch.tensor([[0.0, 1.0], [5.0, 0.0]]), torch.tensor([2.0, 0.0])
    expected = -torch.distributions.Normal(made, 1.0).log_prob(f).sum(-1)
    torch.testing.assert_close(found, expected)


def test_a_share_of_the_features_variance_is_the_noise_under_which_they_are_told():
    """A hundredth of it, here; features ten times as large are told as well, but for the constant."""
    model, x = sampler(weight=0.0, bias=2.0), torch.tensor([[-1.0], [5.0]])
    f, made = torch.tensor([[0.0, 1.0], [5.0, 0.0]]), torch.tensor([2.0, 0.0])
    found = []
    for size in (1.0, 10.0):
        critic = line(1.0, 0.0)
        with torch.no_grad():
            critic.body.weight.mul_(size)
        found.append(FeatureDistortion(critic, 0.01)(drawn(model, FromPrior(model.prior), x)))
    variance = 0.01 * (6.25 + 0.25) / 2
    expected = -torch.distributions.Normal(made, variance**0.5).log_prob(f).sum(-1)
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[1] - found[0], torch.full((2,), 2 * math.log(10.0)), rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="share"):
        FeatureDistortion(line(1.0, 0.0), 0.0)


def test_what_fools_a_critic_moves_towards_data():
    """d/db E[log D(z + b)] of a line of slope -1 is -E[1 - D]: downwards, where the data are."""
    critic, model = line(-1.0, 0.5), sampler()
    for on in ("points", "prior"):
        model.zero_grad()
        draw = drawn(model, FromPrior(model.prior), points(N))
        GeneratorLoss(critic, on)(draw).mean().backward()
        x = points(N, name="other") + 1.0
        expected = -torch.sigmoid(x - 0.5)
        error = 4 * float(expected.std()) * (2 / N) ** 0.5
        assert abs(float(model.likelihood.net.bias.grad) - float(expected.mean())) < error


@pytest.mark.slow
def test_a_game_of_two_ends_at_the_data():
    """N(2, 0.5^2), from N(0, 1): mean and deviation to 0.15, by a critic with a gradient penalty."""
    model, x = sampler(1.0, 0.0), 2.0 + 0.5 * points(1024)
    with drawing_from(stream(0, "critic")):
        critic = Critic(MLP(1, 16, (16,)), 16)
    quick = Optimizer("Adam", 2e-2, (("betas", (0.5, 0.99)),))
    judge = Player(Discriminate(critic) - 0.1 * GradientPenalty(critic), list(critic.parameters()), optimizer=quick)
    forger = Player(GeneratorLoss(critic), list(model.likelihood.parameters()), optimizer=quick)
    Trainer(schedule="linear").fit(model, FromPrior(model.prior), [judge, forger], Rows(x), Budget(60, 128))
    made = model.sample(N, stream(0, "made"))
    assert abs(float(made.mean()) - 2.0) < 0.15
    assert abs(float(made.std()) - 0.5) < 0.15


# ---------------------------------------------------------------- players and refusals


def game() -> dict[str, nn.Module]:
    with drawing_from(stream(0, "game")):
        model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, (4,)), Implicit(3, 0.0, 1.0)))
        guide = Amortized(Given(MLP(3, 4, (4,)), Gaussian(2)))
        return {"model": model, "guide": guide, "critic": Critic(MLP(3, 4, (4,)), 4)}


@pytest.mark.parametrize("who", ["model", "guide", "critic"])
def test_gradients_go_to_a_players_own_parameters_alone(who):
    """In a game of three, where two of them have a rate of all but zero."""
    parts = game()
    model, guide, critic = parts.values()
    alike = FeatureDistortion(critic)
    aims = {
        "model": GeneratorLoss(critic) + GeneratorLoss(critic, "prior") - alike,
        "guide": -alike - Rate(),
        "critic": Discriminate(critic) + Discriminate(critic, "prior") - GradientPenalty(critic),
    }
    before = {k: values(m) for k, m in parts.items()}
    rates = {k: 0.1 if k == who else 1e-30 for k in parts}
    players = [Player(aims[k], list(parts[k].parameters()), optimizer=Optimizer("SGD", rates[k])) for k in parts]
    Trainer().fit(model, guide, players, Rows(torch.rand(20, 3, generator=stream(0, "x"))), Budget(2, 10))
    assert {k for k, m in parts.items() if not same(before[k], values(m))} == {who}


def test_a_term_that_needs_a_likelihood_is_refused():
    parts = game()
    for objective in (Elbo(), -Distortion() + GeneratorLoss(parts["critic"])):
        player = Player(objective, list(parts["model"].parameters()))
        with pytest.raises(CompositionError, match="only samples") as error:
            Trainer().fit(parts["model"], parts["guide"], [player], Rows(torch.zeros(4, 3)))
        assert "critic" in error.value.remedy


def test_estimators_refuse_what_they_are_wrong_for():
    critic = Critic(nn.Linear(2, 2), 2)
    for estimator in (Enumerate(), Score(2)):
        for term in (Discriminate(critic, "codes"), GeneratorLoss(critic, "codes"), Discriminate(critic, "features")):
            assert not estimator.suits(term)
        assert estimator.suits(Discriminate(critic))
        assert estimator.suits(LogRatio(critic))
    assert Pathwise().suits(GeneratorLoss(critic, "codes"))
    for term in (Discriminate, GeneratorLoss, GradientPenalty):
        with pytest.raises(UsageError, match="Choose from"):
            term(critic, "nothing")
    with pytest.raises(UsageError):
        GeneratorLoss(critic, "features")


def test_what_only_samples_is_never_scored():
    parts = game()
    model, guide, rows = parts["model"], parts["guide"], Rows(torch.rand(4, 3))
    for call in (
        lambda: choose(model, guide),
        lambda: choose(model, guide, "importance"),
        lambda: Importance(5)(model, guide, rows),
    ):
        with pytest.raises(NotNormalised, match="only samples") as error:
            call()
        assert "jensen fidelity" in error.value.remedy
    with pytest.raises(NotNormalised):
        model.log_joint(Batch(torch.rand(4, 3)), torch.zeros(1, 4, 2))


def test_a_model_without_an_encoder_encodes_nothing():
    model = sampler()
    with pytest.raises(CompositionError, match="no encoder"):
        encode(model, FromPrior(model.prior), Rows(points(3)))


def test_events_of_a_game_hold_no_number_that_is_none():
    parts = game()
    critic = parts["critic"]
    players = [Player(Discriminate(critic), list(critic.parameters()))]
    rows = Rows(torch.rand(20, 3, generator=stream(0, "x")))
    history = Trainer().fit(parts["model"], parts["guide"], players, rows, Budget(1, 10), rows)
    for measures in (history.epochs[0].train, history.epochs[0].valid):
        assert (measures.bound, measures.rate, measures.distortion) == (None, None, None)
        assert GUESSING - 1 < measures.objective < 0


def test_a_draw_decides_every_value():
    """New points and shuffles are functions of the draw; torch's own generator is neither read nor moved."""
    parts = game()
    model, guide, critic = parts.values()
    draw = drawn(model, guide, torch.rand(8, 3, generator=stream(0, "x")), k=2)
    codes, before = Critic(nn.Linear(2, 4), 4), torch.get_rng_state()
    terms = [Discriminate(critic, "prior"), GeneratorLoss(critic, "prior"), Discriminate(codes, "codes")]
    terms += [Discriminate(codes, "features"), GradientPenalty(codes, "codes"), GradientPenalty(codes, "features")]
    for term in terms:
        a, b = term(draw), term(draw)
        assert a.shape == (8,)
        assert torch.equal(a, b)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_gradient_by_enumeration_weighs_every_node():
    """A rule's nodes are weighed by its measure, not counted: quadrature and many samples agree to four errors."""
    model, critic = sampler(0.7, 0.2), line(-1.0, 0.5)
    guide, x = FromPrior(model.prior), torch.zeros(1, 1)
    rule = GeneratorLoss(critic)(Quadrature(32).draw(model, guide, Batch(x), stream(0, "noise"))).detach()
    many = GeneratorLoss(critic)(drawn(model, guide, x.expand(N, 1))).detach()
    assert abs(float(rule) - float(many.mean())) < 4 * float(many.std()) / N**0.5


def test_a_run_of_a_game_says_what_it_cannot(tmp_path, capsys):
    """From the command line: no best epoch, no score, no code, each with a remedy and exit code 2; averages may be."""
    data, out = tmp_path / "x.npy", tmp_path / "run"
    np.save(data, np.random.default_rng(0).integers(0, 5, (40, 6)))
    tiny = ["train", str(data), "--recipe", "gan", "--out", str(out), "--hidden", "4", "--latent", "2", "--epochs", "2"]
    tiny += ["--split", "0.5,0.25,0.25", "--quiet"]
    assert main([*tiny, "--keep", "best"]) == 2
    assert "--keep last" in capsys.readouterr().err
    assert main([*tiny, "--patience", "2"]) == 2
    assert main([*tiny, "--likelihood", "gaussian"]) == 2
    assert not out.exists()
    assert main([*tiny, "--average", "0.9"]) == 0
    assert "jensen fidelity" in capsys.readouterr().out
    for verb in ("evaluate", "encode", "reconstruct"):
        words = [verb, str(out), *([str(data)] if verb != "evaluate" else []), "--out", str(tmp_path / "new.csv")]
        assert main(words if verb != "evaluate" else words[:2]) == 2
        assert "jensen fidelity" in (told := capsys.readouterr().err) or "vae-gan" in told
    assert main(["compare", str(out), str(out)]) == 2
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all(m[k] is None for m in (lines[0]["train"], lines[0]["valid"]) for k in ("bound", "rate", "distortion"))
    assert "critic" not in json.dumps(json.loads((out / "spec.json").read_text())["model"]).lower()


def test_a_game_that_is_stopped_goes_on_with_its_critic(tmp_path):
    """To the bytes that it would have ended in: the critic is in no run's model, and its state is kept all the same."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 5, (40, 6)))
    how = {"recipe": "gan", "latent": 2, "hidden": (4,), "batch": 8, "epochs": 3, "checkpoints": 0}
    whole = train(str(tmp_path / "x.npy"), out=tmp_path / "whole", **how)
    asked = iter(range(100))
    with pytest.raises(InterruptedRun):
        train(str(tmp_path / "x.npy"), out=tmp_path / "run", should_stop=lambda: next(asked) >= 5, **how)
    weights = [path / "model.safetensors" for path in (whole.path, tmp_path / "run")]
    assert weights[0].read_bytes() != weights[1].read_bytes()
    resume(tmp_path / "run")
    assert weights[0].read_bytes() == weights[1].read_bytes()
