"""The columns of a table in data and in rows of a model: the distances of their distributions, beside what is noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.columns import Column

__all__ = [
    "ColumnAgreement",
    "around",
    "circular_mean",
    "circular_wasserstein",
    "column_distance",
    "compare_columns",
    "deviation",
    "halves",
    "total_variation",
    "wasserstein",
]

FEWEST = 10  # observed cells of a column in each half, below which it is not compared
SPREADS = 3.0  # standard deviations above the distance of halves that are more than noise


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    r"""Return the 1-Wasserstein distance of samples [N] and [M], in their units.

    .. math:: W_1 = \int |F_a(t) - F_b(t)| \, dt

    Example:
        >>> wasserstein(np.array([0.0, 1.0]), np.array([5.0, 6.0]))
        5.0
    """
    difference, width = _steps(a, b)
    return float(np.abs(difference) @ width)


def circular_wasserstein(a: np.ndarray, b: np.ndarray, low: float, high: float) -> float:
    r"""Return the 1-Wasserstein distance of samples [N] and [M] on a circle, whose points `low` and `high` are one.

    .. math:: W_1 = \min_c \int |F_a(t) - F_b(t) - c| \, dt

    The minimum is at the median of the difference (Werman, Peleg & Rosenfeld, "A distance metric for multidimensional
    histograms", 1985).

    Example:
        >>> circular_wasserstein(np.array([23.0]), np.array([1.0]), 0, 24)
        2.0
    """
    period = high - low
    difference, width = _steps((a - low) % period, (b - low) % period)
    # across the common point of both ends the difference is that of 1 and 1, or of 0 and 0
    difference, width = np.append(difference, 0.0), np.append(width, period - width.sum())
    order = np.argsort(difference)
    middle = difference[order][np.searchsorted(np.cumsum(width[order]), period / 2)]
    return float(np.abs(difference - middle) @ width)


def _steps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return F_a - F_b between neighbouring values of both samples, and how far these lie apart."""
    both = np.sort(np.concatenate([a, b]))
    below = (np.searchsorted(np.sort(values), both[:-1], "right") / len(values) for values in (a, b))
    return np.subtract(*below), np.diff(both)


def total_variation(a: np.ndarray, b: np.ndarray, levels: int) -> float:
    r"""Return the total variation of two samples [N] and [M] of numbers of levels, from 0 to 1.

    .. math:: \mathrm{TV} = \tfrac{1}{2} \sum_l |p_a(l) - p_b(l)|

    Example:
        >>> total_variation(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2)
        0.25
    """
    shares = (np.bincount(values.astype(np.int64), minlength=levels) / len(values) for values in (a, b))
    return float(np.abs(np.subtract(*shares)).sum() / 2)


def circular_mean(column: Column, values: np.ndarray) -> np.ndarray:
    """Return the mean direction along the first axis of values [N, ...] of a circular column, within [low, high)."""
    low, period = _circle(column)
    turned = np.exp(2j * np.pi * (values - low) / period).mean(0)
    return np.asarray(low + np.angle(turned) / (2 * np.pi) * period % period)


def _circle(column: Column) -> tuple[float, float]:
    """Return the beginning and the length of a circular column."""
    low, high = column.low or 0.0, column.high or 0.0
    return low, high - low


def around(column: Column, difference: np.ndarray) -> np.ndarray:
    """Return differences of a column's values; of a circular one the shorter way round, from -period/2 to period/2."""
    if column.kind != "circular":
        return difference
    _, period = _circle(column)
    return (difference + period / 2) % period - period / 2


def deviation(column: Column, values: np.ndarray) -> float:
    """Return the standard deviation of a column that has no levels, about its mean; 1 where it does not vary."""
    middle = circular_mean(column, values) if column.kind == "circular" else values.mean()
    scale = float(np.sqrt(np.square(around(column, values - middle)).mean()))
    return scale if scale > 0 else 1.0


def column_distance(column: Column, a: np.ndarray, b: np.ndarray, scale: float = 1.0) -> float:
    """Return the total variation of two samples of a column with levels; else the 1-Wasserstein distance over `scale`.

    Args:
        column: of both.
        a, b: [N] and [M] stored values, none missing.
        scale: such as the standard deviation of data.
    """
    if column.is_levelled:
        return total_variation(a, b, len(column.levels))
    if column.kind == "circular":
        return circular_wasserstein(a, b, column.low or 0.0, column.high or 0.0) / scale
    return wasserstein(a, b) / scale


@dataclass(frozen=True)
class ColumnAgreement:
    """The distance of a column in rows of the model to the same column in data, beside what is noise.

    Attributes:
        name: of the column.
        measure: "s.d." of 1-Wasserstein distances in standard deviations of the data, "TV" of total variations.
        distance: of half the data to as many rows of the model, on average over random halves.
        spread: its standard deviation over these.
        noise: distance of one half of the data to the other, on average: that of a perfect model.
        noise_spread: its standard deviation.
    """

    name: str
    measure: str
    distance: float
    spread: float
    noise: float
    noise_spread: float

    @property
    def is_beyond_noise(self) -> bool:
        """True if the model is further from the data than halves of the data are, by more than three spreads."""
        return self.distance - self.noise > SPREADS * self.noise_spread


def halves(n: int, repeats: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return random halves of n numbers, so many times; of an odd number one is left out.

    Example:
        >>> [sorted(np.concatenate(pair).tolist()) for pair in halves(4, 2, seed=0)]
        [[0, 1, 2, 3], [0, 1, 2, 3]]
    """
    rng = np.random.default_rng(seed)
    half = n // 2
    orders = (rng.permutation(n) for _ in range(repeats))
    return [(order[:half], order[half : 2 * half]) for order in orders]


def compare_columns(
    columns: Sequence[Column], data: np.ndarray, drawn: np.ndarray, *, repeats: int = 20, seed: int = 0
) -> tuple[ColumnAgreement | None, ...]:
    """Compare each column of data with that of as many rows of a model.

    Both distances of a column are of samples of one size, so that those of a perfect model are equal in expectation.

    Args:
        columns: the D columns.
        data: [N, D] stored values, NaN where missing; missing cells are left out.
        drawn: [N, D].
        repeats: random halves of the data.
        seed: of these.

    Returns:
        The agreement of each column; None where fewer than 10 cells of a half are observed.
    """
    pairs, mixed = halves(len(data), repeats, seed), halves(len(drawn), repeats, seed + 1)
    return tuple(
        _agreement(column, data[:, i], drawn[:, i], pairs, [first for first, _ in mixed])
        for i, column in enumerate(columns)
    )


def _agreement(
    column: Column,
    data: np.ndarray,
    drawn: np.ndarray,
    pairs: list[tuple[np.ndarray, np.ndarray]],
    chosen: list[np.ndarray],
) -> ColumnAgreement | None:
    observed = ~np.isnan(data)
    if min(min(observed[a].sum(), observed[b].sum()) for a, b in pairs) < FEWEST:
        return None
    scale = 1.0 if column.is_levelled else deviation(column, data[observed])
    distances, noises = [], []
    for (a, b), some in zip(pairs, chosen, strict=True):
        first, second, other = (data[a])[observed[a]], (data[b])[observed[b]], drawn[some]
        # as many rows of the model as the half has observed cells
        distances.append(column_distance(column, first, other[: len(second)], scale))
        noises.append(column_distance(column, first, second, scale))
    return ColumnAgreement(
        name=column.name,
        measure="TV" if column.is_levelled else "s.d.",
        distance=float(np.mean(distances)),
        spread=float(np.std(distances)),
        noise=float(np.mean(noises)),
        noise_spread=float(np.std(noises)),
    )
