"""Quantiles and modes of draws: exact coverage for any distribution, and angles about their mean direction."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.analysis.draw_summaries import mode, quantiles

NO, YES = torch.tensor([False]), torch.tensor([True])
Z_MOST = 4.0


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", [19, 50, 200])
def test_another_draw_is_below_a_quantile_with_its_probability(n):
    """Of intervals from n draws, another draw is within with the stated probability: an order statistic's, exactly."""
    draws = torch.rand(n + 1, 10_000, 1, generator=seeded(n)).exp()
    low, high = quantiles(draws[:n], [0.05, 0.95], NO)
    inside = ((draws[n] > low) & (draws[n] < high)).double().mean()
    assert abs(float(inside) - 0.9) < Z_MOST * math.sqrt(0.09 / 10_000)


def test_quantiles_of_few_draws_stay_within_them():
    draws = torch.tensor([[3.0], [1.0]])
    assert quantiles(draws, [0.01, 0.5, 0.99], NO)[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert quantiles(draws[:1], [0.01, 0.5], NO)[:, 0].tolist() == [3.0, 3.0]


def test_angles_turn_with_their_distribution():
    """Quantiles and mode of turned angles are turned, also across the point where pi meets -pi."""
    angles = 0.3 * torch.randn(500, 1, generator=seeded()).abs()
    plain = torch.cat([quantiles(angles, [0.1, 0.5, 0.9], YES), mode(angles, YES)[None]])
    turned = torch.remainder(angles + 3.0 + math.pi, 2 * math.pi) - math.pi
    assert turned.min() < -2.9 < 2.9 < turned.max()
    results = torch.cat([quantiles(turned, [0.1, 0.5, 0.9], YES), mode(turned, YES)[None]])
    assert torch.allclose(torch.cos(results), torch.cos(plain + 3.0), atol=1e-4)
    assert torch.allclose(plain[:3], quantiles(angles, [0.1, 0.5, 0.9], NO), atol=1e-5)


def test_the_mode_is_where_draws_lie_closest():
    skewed = torch.rand(2000, 3, generator=seeded()).log().neg()  # the mode is 0, the median log 2, the mean 1
    assert (mode(skewed, NO.expand(3)) < 0.15).all()
    two = torch.cat([torch.full((6, 1), 7.0), torch.linspace(0, 3, 5)[:, None]])
    assert mode(two, NO).tolist() == [7.0]
    assert mode(torch.tensor([[1.0], [4.0], [5.0]]), NO).tolist() == [4.5]
    assert mode(torch.tensor([[1.0], [3.0]]), NO).tolist() == [2.0]
