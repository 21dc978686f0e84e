"""Mean, variance and extremes of the columns of data in one pass, in float64, and the pass that they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .file_rows import Array, FileRows, piece_rows

__all__ = ["ColumnStatistics", "column_statistics", "ends", "pieces"]


def pieces(x: Array) -> Iterator[tuple[int, np.ndarray]]:
    """Yield rows in pieces of a few megabytes, each with the number of its first row."""
    step = piece_rows(x)
    for start in range(0, len(x), step):
        yield start, x[start : min(start + step, len(x))]


def ends(x: Array) -> tuple[float, float]:
    """Return the smallest and the largest entry; NaN where one is."""
    if isinstance(x, np.ndarray):
        return x.min().item(), x.max().item()
    lows, highs = zip(*((part.min(), part.max()) for _, part in pieces(x)), strict=True)
    return np.min(lows).item(), np.max(highs).item()


@dataclass(frozen=True)
class ColumnStatistics:
    r"""Number, mean, sum of squared deviations and extremes of each column [D].

    Two sets of rows are joined exactly, up to rounding:

    .. math:: \delta = m_b - m_a, \qquad m = m_a + \frac{n_b}{n} \delta, \qquad
        M = M_a + M_b + \frac{n_a n_b}{n} \delta^2

    Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.

    Attributes:
        n: rows.
        mean: float64.
        squares: the sum of squared deviations from the mean, float64.
        low, high: the smallest and the largest entry, of the type of the rows.
    """

    n: int
    mean: np.ndarray
    squares: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """[D], with the denominator n."""
        return self.squares / max(self.n, 1)

    @staticmethod
    def of(x: np.ndarray, shift: np.ndarray | None = None) -> ColumnStatistics:
        """Return the statistics of rows [N, D], at least one; mean and deviations of what is left without a shift [D].

        Example:
            >>> ColumnStatistics.of(np.array([[1.0, 2.0], [3.0, 2.0]])).variance
            array([1., 0.])
        """
        values = x.astype(np.float64) if shift is None else x - shift
        mean = values.mean(axis=0)
        values -= mean
        return ColumnStatistics(len(x), mean, np.einsum("nd,nd->d", values, values), x.min(axis=0), x.max(axis=0))

    def joined(self, other: ColumnStatistics) -> ColumnStatistics:
        """Return the statistics of both sets of rows."""
        n, difference = self.n + other.n, other.mean - self.mean
        return ColumnStatistics(
            n,
            self.mean + difference * (other.n / n),
            self.squares + other.squares + difference**2 * (self.n * other.n / n),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )


def column_statistics(x: Array, prepare: Callable[[np.ndarray, int], np.ndarray] | None = None) -> ColumnStatistics:
    """Return the statistics of all rows [N, D], read once; those of rows in files are kept with them.

    Args:
        x: at least one row.
        prepare: of what becomes of rows, from these and the number of the first; None of the rows themselves.
    """
    if isinstance(x, FileRows) and prepare is None:
        if not isinstance(x.statistics, ColumnStatistics):
            x.statistics = _joined(part for _, part in pieces(x))
        return x.statistics
    return _joined(part if prepare is None else prepare(part, start) for start, part in pieces(x))


def _joined(parts: Iterable[np.ndarray]) -> ColumnStatistics:
    joined, shift = None, None
    with np.errstate(over="ignore", invalid="ignore"):  # entries that overflow are refused by their extremes
        for part in parts:
            if shift is None:
                shift = part[0].astype(np.float64)  # a large mean then costs no digits of differences between means
            own = ColumnStatistics.of(part, shift)
            joined = own if joined is None else joined.joined(own)
        if joined is None or shift is None:
            raise ValueError("there are no rows")
        return replace(joined, mean=joined.mean + shift)
