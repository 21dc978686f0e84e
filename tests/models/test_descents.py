"""Ways through a chain: the deterministic one up and down against the flow of a Gaussian, and how samples are drawn."""

from __future__ import annotations

import pytest
import torch

from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import stream
from jensen.families import Gaussian
from jensen.models import diffused
from jensen.models.conditionals import Linear, Unconditional
from jensen.models.descents import (
    Descent,
    ascend,
    chain_prior,
    noised,
    recorded_descent,
    watched_chain,
    with_descent,
)
from jensen.models.diffused import DiffusionPrior
from jensen.models.diffusion import Diffusion
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import LinearSchedule, signal_and_noise
from jensen.nets import MLP
from tests.identities.test_diffusion import END, EYE, START, C, D, M, diffusion


def labelled(context=2):
    torch.manual_seed(0)
    chain = Diffusion(D, MLP(D + 5 + context, D, (16,)), LinearSchedule(-6, 4), None, frequencies=2, context=context)
    labels = Unconditional(Gaussian(context)) if context else None
    return LatentVariableModel(DiffusionPrior(chain), Linear(D, D), labels)


def moved(z):
    """z_1 of z_0 [n, D] by the flow of Gaussian data: a linear map along the eigenvectors of C."""
    variance, basis = torch.linalg.eigh(C)
    ends = [signal_and_noise(torch.tensor(g, dtype=torch.float64)) for g in (START, END)]
    (a0, s0), (a1, s1) = ends
    scale = ((a1**2 * variance + s1**2) / (a0**2 * variance + s0**2)).sqrt()
    return a1 * M + ((z - a0 * M) @ basis * scale) @ basis.T


def test_the_way_up_tends_to_the_flow_and_twice_the_steps_halve_the_distance():
    z = M + torch.randn(50, D, dtype=torch.float64, generator=stream(0, "z")) @ C
    errors = [float((ascend(diffusion(), z, steps) - moved(z)).norm(dim=-1).mean()) for steps in (100, 200, 400)]
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.3)
    assert errors[1] / errors[2] == pytest.approx(2.0, abs=0.2)
    assert errors[2] < 0.05


def test_down_again_without_noise_is_back():
    """Up to terms of the step length."""
    chain, z = diffusion(), M + torch.randn(50, D, dtype=torch.float64, generator=stream(0, "z")) @ C
    for steps, most in ((100, 0.1), (400, 0.025)):
        back = chain.descend(ascend(chain, z, steps), steps, noise=0.0)
        assert float((back - z).norm(dim=-1).mean()) < most


def test_a_recorded_descent_is_a_descent():
    chain, top = diffusion(), torch.randn(4, D, dtype=torch.float64, generator=stream(0, "z"))
    points = recorded_descent(chain, top, 5, Descent(20, noise=0.0))
    assert [p.t for p in points] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert torch.equal(points[0].z, top)
    torch.testing.assert_close(points[-1].z, chain.descend(top, 20, noise=0.0))
    gamma = chain.schedule(torch.tensor(0.5, dtype=torch.float64))
    torch.testing.assert_close(points[2].x, chain.data_at(points[2].z, gamma))
    torch.manual_seed(3)
    last = recorded_descent(chain, top, 3, Descent(20))[-1].z
    torch.manual_seed(3)
    torch.testing.assert_close(last, chain.descend(top, 20))


def test_noise_up_to_a_time_has_its_moments():
    """20,000 draws, four standard errors."""
    chain, x = diffusion(), M.expand(20_000, -1)
    torch.manual_seed(0)
    z = noised(chain, x, 0.4)
    alpha, sigma = signal_and_noise(chain.schedule(torch.tensor(0.4, dtype=torch.float64)))
    assert bool(((z.mean(0) - alpha * M).abs() < 4 * sigma / 20_000**0.5).all())
    torch.testing.assert_close(z.T.cov(), sigma**2 * EYE, atol=float(4 * sigma**2 * (2 / 20_000) ** 0.5), rtol=0)
    for t in (0.0, 1.1, float("nan")):
        with pytest.raises(UsageError, match="--from-noise"):
            noised(chain, x, t)


def test_samples_are_those_of_the_descent_with_the_same_seed():
    model = labelled()
    other = with_descent(model, Descent(7, 0.0, 2.5))
    assert chain_prior(other).diffusion is chain_prior(model).diffusion
    context = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    z = other.simulate(2, stream(0, "samples"), context)[0]
    top = torch.randn(2, D, generator=stream(0, "samples"))
    chain = chain_prior(model).diffusion
    torch.testing.assert_close(z, chain.descend(top, 7, noise=0.0, context=context, guidance=2.5))
    plain = chain.descend(top, 7, noise=0.0, context=context)
    assert float((z - plain).detach().abs().max()) > 1e-3
    torch.testing.assert_close(z, other.simulate(2, stream(0, "samples"), context)[0], rtol=0, atol=0)


def test_guidance_is_a_multiple_of_what_the_label_adds():
    chain = chain_prior(labelled()).diffusion
    z, context = torch.randn(4, D), torch.tensor([1.0, 0.0])
    gamma = torch.tensor(-1.0)
    without, with_label = chain.velocity(z, gamma), chain.velocity(z, gamma, context)
    torch.testing.assert_close(chain.velocity(z, gamma, context, 3.0), without + 3 * (with_label - without))
    torch.testing.assert_close(chain.velocity(z, gamma, context, 0.0), without)


def test_many_points_go_down_in_parts_and_report_their_progress(monkeypatch):
    model = with_descent(labelled(), Descent(3, 0.0))
    context, done = torch.eye(2).repeat(5, 1), []
    whole = model.simulate(10, stream(0, "samples"), context)[0]
    monkeypatch.setattr(diffused, "AT_ONCE", 4)
    with watched_chain(model, done.append):
        parts = model.simulate(10, stream(0, "samples"), context)[0]
    torch.testing.assert_close(parts, whole)
    assert done == sorted(done)
    assert len(done) == 9
    assert done[-1] == pytest.approx(1.0)
    assert chain_prior(model).watch is None


def test_what_a_descent_cannot_be_is_refused():
    plain = LatentVariableModel(Unconditional(Gaussian(D)), Linear(D, D))
    with pytest.raises(CompositionError, match="are of a diffusion"):
        with_descent(plain, Descent(5))
    with pytest.raises(CompositionError, match="towards a label"):
        with_descent(labelled(0), Descent(guidance=2.0))
    for wrong in ({"steps": 0}, {"noise": 1.5}, {"guidance": -1.0}):
        with pytest.raises(UsageError):
            Descent(**wrong)
    assert Descent(40).steps_from(diffusion(), 0.3) == 12
    assert Descent().steps_from(diffusion(8)) == 8
