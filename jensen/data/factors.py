"""Factors: what data were made from, where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import DataError

__all__ = ["Factors"]


@dataclass(frozen=True)
class Factors:
    """What data were made from.

    Attributes:
        values: [N, F] int64, each column from 0.
        names: [F].
        ordered: [F], whether the numbers of a factor are an order (a size), or only names (a shape).
        counts: [F], how many values each has.

    Example:
        >>> factors = Factors.of(np.array([[10, 3], [20, 3], [30, 5]]), ("size", "kind"), (True, False))
        >>> factors.values.tolist(), factors.counts
        ([[0, 0], [1, 0], [2, 1]], (3, 2))
    """

    values: np.ndarray
    names: tuple[str, ...]
    ordered: tuple[bool, ...]
    counts: tuple[int, ...]

    @staticmethod
    def of(values: np.ndarray, names: Sequence[str] | None = None, ordered: Sequence[bool] | None = None) -> Factors:
        """Factors from numbers [N, F]; the values that occur are numbered in ascending order.

        Args:
            values: a column for each factor.
            names: by default factor1, factor2, ...
            ordered: by default every factor is, for correlations to make sense.

        Raises:
            DataError: they are no such table, or names or orders are not one for each factor.
        """
        if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "biuf":
            raise DataError(f"factors of the shape {values.shape} are no table of numbers", "Give [N, F].")
        n = values.shape[1]
        names = tuple(names or (f"factor{i + 1}" for i in range(n)))
        order = (True,) * n if ordered is None else tuple(ordered)
        if not len(names) == len(order) == n:
            raise DataError(f"{n} factors have {len(names)} names and {len(order)} orders", "Give one for each.")
        found = [np.unique(column, return_inverse=True) for column in values.T]
        numbers = np.stack([index.reshape(-1) for _, index in found], -1).astype(np.int64)
        return Factors(numbers, names, order, tuple(len(v) for v, _ in found))

    def rows(self, index: np.ndarray) -> Factors:
        """The rows [M] of these numbers."""
        return Factors(self.values[index], self.names, self.ordered, self.counts)

    @property
    def values_each(self) -> dict[str, int]:
        """How many values each factor has, by name."""
        return dict(zip(self.names, self.counts, strict=True))
