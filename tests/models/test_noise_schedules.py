"""Noise schedules: ends, derivatives and monotony, at any parameters."""

from __future__ import annotations

import pytest
import torch

from jensen.core.errors import UsageError
from jensen.core.parts import build, spec_of
from jensen.models.noise_schedules import CosineSchedule, LearnedSchedule, LinearSchedule, signal_and_noise

SCHEDULES = [LinearSchedule, CosineSchedule, LearnedSchedule]


def made(kind, start=-6.0, end=4.0):
    torch.manual_seed(3)
    schedule = kind(start, end).double()
    with torch.no_grad():
        for parameter in schedule.parameters():
            parameter.normal_()
    return schedule


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_ends_are_met_and_gamma_rises(kind):
    schedule = made(kind)
    gamma = schedule(torch.linspace(0, 1, 1001, dtype=torch.float64)).detach()
    torch.testing.assert_close(gamma[[0, -1]], torch.tensor([-6.0, 4.0], dtype=torch.float64), atol=1e-12, rtol=0)
    assert bool((gamma.diff() > 0).all())


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_slope_is_the_derivative(kind):
    schedule = made(kind)
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(schedule(t).sum(), t)
    torch.testing.assert_close(schedule.slope(t).detach(), expected, rtol=1e-10, atol=0)


def test_zero_parameters_are_the_linear_schedule():
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    learned = LearnedSchedule(-6.0, 4.0).double()
    torch.testing.assert_close(learned(t).detach(), LinearSchedule(-6.0, 4.0)(t), rtol=0, atol=1e-13)


def test_the_cosine_schedule_has_angles_that_grow_evenly():
    alpha, sigma = signal_and_noise(CosineSchedule(-6.0, 4.0)(torch.linspace(0, 1, 11, dtype=torch.float64)))
    angle = torch.atan2(sigma, alpha)
    torch.testing.assert_close(angle.diff(), angle.diff()[:1].expand(10), rtol=1e-10, atol=0)


def test_signal_and_noise_keep_unit_variance():
    alpha, sigma = signal_and_noise(torch.linspace(-20, 20, 81, dtype=torch.float64))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(81, dtype=torch.float64), rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_is_rebuilt_from_its_specification(kind):
    (again,) = build(spec_of(kind(-5.0, 3.0)))
    assert isinstance(again, kind)
    assert (again.start, again.end) == (-5.0, 3.0)


@pytest.mark.parametrize(("start", "end"), [(1.0, 1.0), (2.0, -3.0), (float("nan"), 1.0)])
def test_a_schedule_that_does_not_rise_is_refused(start, end):
    with pytest.raises(UsageError):
        LinearSchedule(start, end)
