"""The workbench of gradients: what it says of estimators whose bias and noise are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from jensen.analysis import gradients
from jensen.analysis.gradient_samples import FlatGradient
from jensen.analysis.gradients import compare_gradients
from jensen.core.random import stream
from jensen.estimators.denoising import Corrupted, Masking
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Categorical, Gaussian, OneHots
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import (
    DIP,
    MMD,
    Distortion,
    ImportanceWeighted,
    Rate,
    Renyi,
)
from tests.identities.models import amortized, curved_model, linear_model, mixture_model, simulated


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
        for one in (FlatGradient(model, guide, batch, objective, parameters, c) for c in (gradients._Drawn(seen), None))
    )
    torch.testing.assert_close(ours, theirs)
    assert float((ours - clean).norm() / clean.norm()) > 0.01
