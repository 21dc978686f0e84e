"""An exact test of the uniformity of ranks by the empirical distribution function, and its band."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from scipy.special import bdtr, gammaln
from torch import Tensor

__all__ = ["LEVEL", "rank_counts", "rank_grid", "uniform_band", "uniform_p"]

LEVEL = 0.05  # probability of rejecting a perfect guide, over all quantities together


def rank_counts(ranks: Tensor, draws: int) -> Tensor:
    """Return the count of each rank [Q, l + 1]."""
    return torch.stack([torch.bincount(column, minlength=draws + 1) for column in ranks.T])


def rank_grid(draws: int) -> Tensor:
    """Return the probability [l] that a uniform rank is at most r = 0..l-1."""
    return torch.arange(1, draws + 1, dtype=torch.float64) / (draws + 1)


def uniform_p(ranks: Tensor, l: int) -> float:  # noqa: E741
    r"""Return the p-value of n independent ranks [n] under uniformity on 0..l, by their empirical distribution
    function.

    The number of ranks up to r is Binomial(n, (r + 1) / (l + 1)); the statistic is the smallest two-sided tail
    probability over r, and the p-value is the probability of one as small, exactly: no simulation, no asymptotics.
    (Below 1e-10, where rounding dominates, it is the union bound.)

    Source: Säilynoja, Bürkner & Vehtari, "Graphical test for discrete uniformity and its applications in
    goodness-of-fit evaluation and multiple sample comparison", 2022.
    """
    n = len(ranks)
    counts = rank_counts(ranks[:, None], l)[0].cumsum(0)[:-1].cpu().numpy()
    grid = rank_grid(l).numpy()
    tail = float(2 * np.minimum(bdtr(counts, n, grid), bdtr(n - counts, n, grid[::-1])).min())
    p = 1.0 - _chance_inside(n, *_accepted(n, l, tail))
    return p if p > 1e-10 else min(l * tail, 1e-10)


@functools.cache
def uniform_band(n: int, l: int, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:  # noqa: E741
    """Return lower and upper numbers [l] of ranks up to r = 0..l-1, all kept with probability at least 1 - level.

    The tail probability is the same at every r, and as large as the level allows; `uniform_p` is at most the level if
    and only if the ranks leave the band.
    """
    small, large = math.log(level / l), math.log(2 * level)  # the union bound; the level of a single r
    for _ in range(40):
        middle = (small + large) / 2
        inside = _chance_inside(n, *_accepted(n, l, math.exp(middle)))
        small, large = (middle, large) if inside >= 1 - level else (small, middle)
    return _accepted(n, l, math.exp(small))


def _accepted(n: int, draws: int, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and largest counts [l] whose two-sided tail probability is above `tail`, at each r."""
    grid = rank_grid(draws).numpy()
    low, high = np.zeros(draws, dtype=np.int64), np.full(draws, n, dtype=np.int64)
    while (low < high).any():  # bisection, at all r at once
        middle = (low + high) // 2
        is_enough = 2 * bdtr(middle, n, grid) > tail
        low, high = np.where(is_enough, low, middle + 1), np.where(is_enough, middle, high)
    return low, n - low[::-1]  # n minus a count is a count from the other end


def _chance_inside(n: int, lower: np.ndarray, upper: np.ndarray) -> float:
    """Return the probability that, for all r, the number of n uniform ranks up to r is from lower to upper.

    The numbers at each rank are independent Poisson variables given their sum, so that the paths inside the band are
    summed by one convolution per rank (Khmaladze & Shinjikashvili, 2001; Moscovich & Nadler, 2017).
    """
    k, rate = np.arange(n + 1), n / (len(lower) + 1)
    step = np.exp(k * math.log(rate) - rate - gammaln(k + 1))
    paths, start = np.ones(1), 0  # weights of the counts start, start + 1, ...
    for low, high in zip(lower.tolist(), upper.tolist(), strict=True):
        first = max(low, start)
        if high < first:
            return 0.0
        paths = np.convolve(paths, step[: high - start + 1])[first - start : high - start + 1]
        start = first
    total = float(paths @ step[n - start - np.arange(len(paths))])
    return min(total / math.exp(n * math.log(n) - n - math.lgamma(n + 1)), 1.0)
