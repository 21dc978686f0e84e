"""The workbench of gradients: what it says of estimators whose bias and noise are known."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from jensen.errors import CompositionError, UsageError
from jensen.estimators import Pathwise
from jensen.evaluate import gradients
from jensen.evaluate.gradients import compare_gradients
from jensen.families import Categorical, Gaussian
from jensen.guides import Deterministic
from jensen.nets import MLP
from jensen.surrogates import Score
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
        model, amortized(5, Gaussian(2)), simulated(model, 6), weighted=True, points=5, repeats=64
    )
    assert list(named(found)) == ["Pathwise(k=5)", "DoublyReparameterized(k=5)", "Score(k=5)"]
    assert not any(m.biased for m in found.measured)


@dataclass(frozen=True)
class Tilted(Score):
    """A score function whose baseline holds its own point: (K - 1) / K of the gradient."""

    def surrogate(self, term, draw):
        value = super().surrogate(term, draw)
        return value.detach() + 0.5 * (value - value.detach())


def test_a_bias_is_seen(monkeypatch):
    model = curved_model()
    monkeypatch.setattr(gradients, "_candidates", lambda weighted, points: [Pathwise(1), Tilted(8)])
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
