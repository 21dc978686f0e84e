"""Hamiltonian moves leave their target as it is; a move that does not is noticed."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.random import stream
from jensen.evaluate.hamiltonian import Ends, State, move

S = 20_000
PRECISION = torch.tensor([[3.0, 1.2], [1.2, 1.0]], dtype=torch.float64)
CENTRE = torch.tensor([1.0, -2.0], dtype=torch.float64)


def quadratic(z: torch.Tensor) -> torch.Tensor:
    """A Gaussian's log-density without its constant, about CENTRE."""
    r = z - CENTRE
    return -0.5 * (r @ PRECISION * r).sum(-1)


def standard(z: torch.Tensor) -> torch.Tensor:
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


def gumbel(z: torch.Tensor) -> torch.Tensor:
    return (-z - torch.exp(-z)).sum(-1)


GAUSSIAN, SKEWED = Ends(standard, quadratic), Ends(standard, gumbel)


def between(b: float, noise: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples [S, 1, 2] of f_b for the Gaussian ends, with their mean and covariance."""
    precision = (1 - b) * torch.eye(2).double() + b * PRECISION
    covariance = torch.linalg.inv(precision)
    mean = covariance @ (b * PRECISION @ CENTRE)
    eps = torch.randn(S, 1, 2, dtype=torch.float64, generator=noise)
    return mean + eps @ torch.linalg.cholesky(covariance).mT, mean, covariance


def moved(ends: Ends, z: torch.Tensor, b: float, step: float, leaps: int, times: int, noise) -> tuple[State, float]:
    state, rates = ends.at(z), []
    for _ in range(times):
        state, accept = move(ends, state, b, torch.tensor(step).double(), leaps, noise)
        rates.append(float(accept.double().mean()))
    return state, sum(rates) / times


def away(b: float, step: float) -> float:
    """The largest distance of the first two moments from those of f_b after ten moves, in standard errors."""
    noise = stream(0, "invariance")
    z, mean, covariance = between(b, noise)
    r = moved(GAUSSIAN, z, b, step, 3, 10, noise)[0].z[:, 0] - mean
    pairs = torch.stack([r[:, 0] ** 2, r[:, 1] ** 2, r[:, 0] * r[:, 1]], 1)
    expected = torch.stack([covariance[0, 0], covariance[1, 1], covariance[0, 1]])
    off = torch.cat([r.mean(0) / r.std(0), (pairs.mean(0) - expected) / pairs.std(0)])
    return float(off.abs().max()) * math.sqrt(S)


@pytest.mark.parametrize("b", [0.0, 0.3, 1.0])
def test_a_gaussian_is_left_as_it_is(b):
    """Mean and covariance of 20,000 chains after ten coarse moves, each within four of its standard errors."""
    assert away(b, 0.9) < 4


def test_without_the_correction_it_is_not(monkeypatch):
    """The planted bug: every trajectory is accepted."""
    monkeypatch.setattr(torch, "rand", lambda shape, **how: torch.zeros(shape, dtype=how["dtype"]))
    assert away(1.0, 0.9) > 20


def test_a_move_and_its_reverse_are_as_likely():
    """Detailed balance: at equilibrium (z0, z1) is exchangeable, so E[z0^2 z1] = E[z0 z1^2], of a skewed target."""
    noise = stream(0, "balance")
    u = torch.rand(S, 1, 1, dtype=torch.float64, generator=noise)
    before = -torch.log(-torch.log(u))
    after, rate = moved(SKEWED, before, 1.0, 0.8, 2, 1, noise)
    z0, z1 = before.flatten(), after.z.flatten()
    odd = z0.square() * z1 - z0 * z1.square()
    assert float(odd.mean().abs() / odd.std()) * math.sqrt(S) < 4
    assert float((z1 - z1.mean()).abs().max()) > 0
    assert 0.5 < rate < 0.99
    assert abs(float(z1.mean()) - 0.5772) < 4 * float(z1.std()) / math.sqrt(S)


def test_without_the_correction_they_are_not(monkeypatch):
    noise = stream(0, "balance")
    u = torch.rand(S, 1, 1, dtype=torch.float64, generator=noise)
    monkeypatch.setattr(torch, "rand", lambda shape, **how: torch.zeros(shape, dtype=how["dtype"]))
    z1 = moved(SKEWED, -torch.log(-torch.log(u)), 1.0, 0.8, 2, 5, noise)[0].z.flatten()
    assert abs(float(z1.mean()) - 0.5772) > 6 * float(z1.std()) / math.sqrt(S)


def rejected(step: float) -> float:
    """The share of rejected trajectories of length 1.8 at equilibrium."""
    noise = stream(0, "energy")
    z, _, _ = between(0.7, noise)
    return 1 - moved(GAUSSIAN, z, 0.7, step, round(1.8 / step), 2, noise)[1]


def test_the_energy_error_is_of_second_order():
    """The share of rejected trajectories is proportional to the energy's error: halved steps, a quarter of it."""
    coarse, fine = rejected(0.6), rejected(0.3)
    assert 0.005 < fine < coarse
    assert 3 < coarse / fine < 5.5


def test_a_force_of_the_wrong_sign_is_noticed(monkeypatch):
    """The planted bug: it leaves the target invariant, but hardly a trajectory survives, however small the steps."""
    plain = State.pull
    monkeypatch.setattr(State, "pull", lambda self, b: -plain(self, b))
    assert rejected(0.3) > 0.3
    assert rejected(0.6) / rejected(0.3) < 2


def test_trajectories_that_leave_the_numbers_are_rejected():
    """NaN, or a support that ends: the chain stays where it was, and the others move on."""

    def cut(z: torch.Tensor) -> torch.Tensor:
        return torch.where(z[..., 0] > 0.5, math.nan, quadratic(z))

    noise = stream(0, "cut")
    z = torch.full((500, 1, 2), 0.0, dtype=torch.float64)
    ends = Ends(standard, cut)
    state, rate = moved(ends, z, 0.8, 0.5, 4, 5, noise)
    assert torch.isfinite(state.z).all()
    assert torch.isfinite(state.goal).all()
    assert torch.isfinite(state.pull_goal).all()
    assert float(state.z[..., 0].max()) <= 0.5
    assert 0.05 < rate < 0.95


def test_the_state_is_that_of_its_points():
    """What is carried along for each chain, accepted or not, is what would be computed at its place."""
    noise = stream(0, "state")
    z, _, _ = between(1.0, noise)
    state, rate = moved(GAUSSIAN, z[:200], 0.5, 1.3, 3, 1, noise)
    assert 0.05 < rate < 0.95
    again = GAUSSIAN.at(state.z)
    for name in ("start", "goal", "pull_start", "pull_goal"):
        assert torch.equal(getattr(state, name), getattr(again, name))
    kept = (state.z == z[:200]).all(-1)
    assert kept.double().mean() == pytest.approx(1 - rate)


def test_each_feature_has_its_own_step():
    """A feature whose step is zero does not move."""
    z = torch.zeros(50, 1, 2, dtype=torch.float64)
    state, _ = move(GAUSSIAN, GAUSSIAN.at(z), 1.0, torch.tensor([0.3, 0.0]).double(), 5, stream(0, "step"))
    assert (state.z[..., 1] == 0).all()
    assert (state.z[..., 0] != 0).any()
