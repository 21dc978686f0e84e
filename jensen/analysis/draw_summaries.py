"""Summaries of draws of each feature: quantiles and modes, also of angles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["mode", "quantiles"]

TURN = 2 * math.pi


def quantiles(draws: Tensor, levels: Sequence[float], circular: Tensor) -> Tensor:
    r"""Return quantiles [Q, ..., D] of n draws [n, ..., D].

    The r-th of n sorted draws is the quantile r / (n + 1), and those between follow linearly: another draw is below it
    with exactly that probability, whatever the distribution, so that intervals contain what they should on average.

    Quantiles of angles are those of the differences from their mean direction, within half a turn; they may lie beyond
    -pi or pi.

    Args:
        draws: [n, ..., D].
        levels: Q probabilities.
        circular: [D], True for angles.

    Source: Hyndman & Fan, "Sample quantiles in statistical packages", 1996, definition 6.

    Example:
        >>> draws = torch.tensor([[3.0], [1.0], [2.0]])
        >>> quantiles(draws, [0.25, 0.5], torch.tensor([False]))[:, 0].tolist()
        [1.0, 2.0]
    """
    center, sorted_draws = _sorted(draws, circular)
    n, results = len(draws), []
    for level in levels:
        place = min(max(level * (n + 1) - 1, 0.0), n - 1.0)
        below = min(math.floor(place), max(n - 2, 0))
        above = min(below + 1, n - 1)
        results.append(torch.lerp(sorted_draws[below], sorted_draws[above], place - below))
    return center + torch.stack(results)


def mode(draws: Tensor, circular: Tensor) -> Tensor:
    """Return the half-sample mode [..., D] of n draws [n, ..., D].

    Of half of the draws, those that lie closest together, half are kept in turn, until two or three are left.

    Args:
        draws: [n, ..., D].
        circular: [D], True for angles.

    Source: Bickel & Frühwirth, "On a fast, robust estimator of the mode", 2006.

    Example:
        >>> round(mode(torch.tensor([[0.0], [5.0], [5.1], [5.2], [9.0]]), torch.tensor([False])).item(), 1)
        5.1
    """
    center, kept = _sorted(draws, circular)
    while len(kept) > 3:
        kept = _closest(kept, -(-len(kept) // 2))
    if len(kept) == 3:
        first, second = kept[1] - kept[0], kept[2] - kept[1]
        kept = torch.where(first == second, kept[1].expand(2, *first.shape), _closest(kept, 2))
    return center + kept.mean(0)


def _closest(draws: Tensor, size: int) -> Tensor:
    """Return, of sorted draws [n, ..., D], `size` neighbours that lie closest together."""
    start = (draws[size - 1 :] - draws[: len(draws) - size + 1]).argmin(0)
    offsets = torch.arange(size, device=draws.device).reshape(-1, *[1] * start.dim())
    return draws.gather(0, start + offsets)


def _sorted(draws: Tensor, circular: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean direction of angles, 0 of other features [..., D]; and the differences from it, sorted."""
    direction = torch.atan2(draws.sin().mean(0), draws.cos().mean(0))
    center = torch.where(circular, direction, 0.0)
    differences = draws - center
    turned = torch.remainder(differences + math.pi, TURN) - math.pi
    return center, torch.where(circular, turned, differences).sort(0).values
