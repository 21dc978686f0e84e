"""The workbench of gradients: what it says of estimators whose bias and noise are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from jensen.analysis import gradients
from jensen.analysis.climbed import COMPARED, REASONS, climbed
from jensen.analysis.gradients import compare_gradients
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import stream
from jensen.estimators.denoising import Corrupted, Masking
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.score import Score
from jensen.families import Categorical, Gaussian, OneHots
from jensen.guides import Deterministic
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import (
    DIP,
    MMD,
    Capacity,
    CustomObjective,
    Distortion,
    Elbo,
    FreeBits,
    ImportanceWeighted,
    LogRatio,
    Ramp,
    Rate,
    Renyi,
    TotalCorrelation,
)
from jensen.objectives.wake_sleep import Inclusive
from tests.contracts.members import ALL_COUPLED, ALL_OBJECTIVES, GAMES, OF_CODES, OF_CODES_ALONE, OF_LABELS_ALONE
from tests.identities.models import amortized, curved_model, linear_model, mixture_model, normal_guide, simulated


def named(found) -> dict:
    return {m.estimator: m for m in found.measured}


def test_no_bias_is_seen_where_there_is_none():
    """One latent feature: quadrature, the path and the score agree (64 repeats, 4 standard errors)."""
    model = curved_model()
    found = compare_gradients(model, amortized(3, Gaussian(1)), simulated(model, 6), repeats=64)
    assert set(named(found)) == {"Pathwise(k=1)", "StickTheLanding(k=1)", "Score(k=2)", "Quadrature(n=32)"}
    assert not any(m.biased for m in found.measured)
    assert found.recommended == "Quadrature(n=32)"
    assert named(found)["Score(k=2)"].guide.variance > 2 * named(found)["Pathwise(k=1)"].guide.variance
    assert found.sentence.startswith("Use Quadrature(n=32): it has no noise")


def test_a_finite_latent_has_a_reference_without_noise():
    model = mixture_model()
    found = compare_gradients(model, amortized(2, Categorical(3)), simulated(model, 6), repeats=64)
    assert set(named(found)) == {"Score(k=2)", "Enumerate()"}
    assert found.reference == "Enumerate(), without noise"
    exact = named(found)["Enumerate()"]
    assert (exact.guide.bias, exact.guide.variance, exact.guide.signal_to_noise) == (0.0, 0.0, None)
    assert not any(m.biased for m in found.measured)


def test_importance_weights_are_compared_at_the_same_k():
    model = linear_model(2)
    found = compare_gradients(
        model, amortized(5, Gaussian(2)), simulated(model, 6), objective=ImportanceWeighted(), points=5, repeats=64
    )
    assert list(named(found)) == ["Pathwise(k=5)", "DoublyReparameterized(k=5)", "Score(k=5)"]
    assert not any(m.biased for m in found.measured)


def test_renyi_bounds_are_compared_at_the_same_k():
    model = curved_model()
    found = compare_gradients(
        model, amortized(3, Gaussian(1)), simulated(model, 6), objective=Renyi(0.5), points=4, repeats=32
    )
    assert list(named(found)) == ["Pathwise(k=4)", "Score(k=4)"]
    assert found.left_out == (
        ("DoublyReparameterized(k=4)", "DoublyReparameterized(k=4) gives wrong gradients for Renyi(alpha=0.5)"),
    )
    assert not any(m.biased for m in found.measured)


def test_the_reference_of_a_relaxation_has_as_many_points_as_the_bound():
    """Of four times as many it would be another bound's, and every estimator would look biased."""
    relaxed = OneHots(1, 3, 0.5)
    model = LatentVariableModel(Unconditional(OneHots(1, 3)), Given(MLP(3, 4, (4,)), Gaussian(2))).double()
    found = compare_gradients(
        model, amortized(2, relaxed), simulated(model, 4), objective=ImportanceWeighted(), points=2, repeats=32
    )
    assert found.reference == "the mean of 128 draws of Score(k=2)"
    assert not named(found)["Score(k=2)"].biased


@pytest.mark.parametrize("term", [MMD(), DIP("points")], ids=str)
def test_terms_of_the_aggregate_are_compared_where_they_read_no_density(term):
    model = linear_model(2)
    objective = -Distortion() - 0.5 * Rate() - 3.0 * term
    found = compare_gradients(model, amortized(5, Gaussian(2)), simulated(model, 6), objective=objective, repeats=32)
    assert list(named(found)) == ["Pathwise(k=1)", "StickTheLanding(k=1)"]
    assert not any(m.biased for m in found.measured)
    assert {name for name, _ in found.left_out} == {"Stratified(k=1)", "Score(k=2)", "Enumerate()", "Quadrature(n=32)"}


@dataclass(frozen=True)
class Counted(Masking):
    """Masking that counts how often it is drawn."""

    times: list[int] = field(default_factory=list)

    def __call__(self, x, generator=None):
        self.times.append(1)
        return super().__call__(x, generator)


def test_the_guide_of_a_denoising_run_sees_noise_drawn_once(monkeypatch):
    """With every feature hidden the guide sees zeros, and the likelihood what was there."""
    model, guide, hidden = curved_model(), amortized(3, Gaussian(1)), Counted(1.0)
    batch, objective = simulated(model, 6), -Distortion() - Rate()
    monkeypatch.setattr(gradients, "_candidates", lambda objective, points: [Pathwise(1)])
    found = compare_gradients(model, guide, batch, corruption=hidden, repeats=32)
    assert found.objective == "-Distortion - Rate, of x with 100 % of the features set to 0, drawn once"
    assert len(hidden.times) == 1
    seen, parameters = torch.zeros_like(batch.x), list(guide.parameters())
    value = objective(Corrupted(Quadrature(32), Masking(1.0)).draw(model, guide, batch)).mean()
    theirs = torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters)])
    ours, clean = (
        one(one.placed(Quadrature(32)), stream(0, "none"))
        for one in (
            gradients._Gradient(model, guide, batch, objective, parameters, c) for c in (gradients._Drawn(seen), None)
        )
    )
    torch.testing.assert_close(ours, theirs)
    assert float((ours - clean).norm() / clean.norm()) > 0.01


# ---------------------------------------------------------------- what a run says it climbed


@pytest.mark.parametrize(
    "objective",
    [
        *(ImportanceWeighted(), Renyi(-0.5), Renyi(1e-05), -Distortion(), -Distortion() - 2.5 * Rate()),
        -Distortion() - 0.5 * Rate() - 100 * MMD(),
        -Distortion() - Rate() - 1e-05 * MMD((0.5, 2.0)),
        -Distortion() - Rate() - DIP("points", 1e06, 0.0),
    ],
    ids=str,
)
def test_words_are_read_back(objective):
    assert climbed([{"objective": str(objective)}], {"points": 3}) == {"objective": objective, "points": 3}


@pytest.mark.parametrize(
    ("players", "words"),
    [
        (["Elbo"], "-Distortion - Rate"),
        (["Elbo(beta=0.5)"], "-Distortion - 0.5 Rate"),
        (["-Distortion - (0 to 4 in 10 steps, every 20) Rate"], "-Distortion - 4 Rate"),
        (["-Distortion - (1e-05 to 0.5 in 10 steps) Rate - 2 MMD"], "-Distortion - 0.5 Rate - 2 MMD"),
        (["-Rate", "-Distortion - 2 Rate"], "-Distortion - 2 Rate"),
        (["-Distortion - Rate", "ImportanceWeighted"], "ImportanceWeighted"),
    ],
)
def test_what_stands_for_a_run(players, words):
    found = climbed([{"objective": player} for player in players], {})
    assert (str(found["objective"]), found["points"]) == (words, 1)


@pytest.mark.parametrize(
    ("objective", "why"),
    [
        (-Distortion() - FreeBits(0.25, 1), r"FreeBits reads densities of the whole batch.*Pathwise\(k\) alone"),
        (-Distortion() - Capacity(Ramp(25.0, 10), 10.0), "Capacity reads"),
        (-Distortion() - Rate() - 3.0 * TotalCorrelation(), "TotalCorrelation reads"),
        (-Distortion() - Rate() - 10.0 * LogRatio(OF_CODES), "LogRatio hangs on a critic"),
        (
            Elbo() + CustomObjective(lambda draw: draw.log_lik[0], "Energy"),
            "Energy is not known here.*Compare a run of vae",
        ),
        (Elbo() + CustomObjective(lambda draw: draw.log_lik[0], "mine, in words"), "mine, in words is not known here"),
        (Inclusive(), "Inclusive is the guide's own"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_says_why(objective, why):
    with pytest.raises(CompositionError, match=why):
        climbed([{"objective": str(objective)}], {})


def test_every_term_is_compared_or_has_a_reason():
    terms = (*ALL_OBJECTIVES, *ALL_COUPLED, *GAMES, *OF_CODES_ALONE, *OF_LABELS_ALONE)
    names = {type(term).__name__ for term in terms} - {"CustomObjective", "Sum"}
    assert names == COMPARED.keys() | REASONS.keys()


@dataclass(frozen=True)
class Tilted(Score):
    """A score function whose baseline holds its own point: (K - 1) / K of the gradient."""

    def surrogate(self, term, draw):
        value = super().surrogate(term, draw)
        return value.detach() + 0.5 * (value - value.detach())


def test_a_bias_is_seen(monkeypatch):
    model = curved_model()
    monkeypatch.setattr(gradients, "_candidates", lambda objective, points: [Pathwise(1), Tilted(8)])
    found = compare_gradients(model, amortized(3, Gaussian(1)), simulated(model, 6), repeats=64)
    honest, tilted = found.measured
    assert not honest.biased
    assert tilted.biased
    assert abs(tilted.model.bias + 0.5) < 4 * tilted.model.bias_stderr
    assert abs(tilted.model.bias_squared - 0.25) < 6 * tilted.model.bias_squared_stderr
    assert found.recommended == "Pathwise(k=1)"


def test_sticking_the_landing_wins_at_the_posterior():
    model = linear_model(1)
    batch = simulated(model, 6)
    with torch.no_grad():
        p = model.posterior(batch)
    guide = normal_guide(p.mean.clone(), p.variance.sqrt().expand(6, 1).clone())
    found = named(compare_gradients(model, guide, batch, repeats=32))
    assert found["StickTheLanding(k=1)"].guide.variance < 1e-20 < 1e-6 < found["Pathwise(k=1)"].guide.variance
    assert found["StickTheLanding(k=1)"].guide.bias is None  # there is no gradient to be off from


def test_refusals():
    model = linear_model(2)
    batch = simulated(model, 3)
    with pytest.raises(UsageError, match="at least 32"):
        compare_gradients(model, amortized(5, Gaussian(2)), batch, repeats=10)
    with pytest.raises(CompositionError, match="no noise to compare"):
        compare_gradients(model, Deterministic(MLP(5, 2, (4,))).double(), batch)
