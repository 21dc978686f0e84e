"""Factors of variation: the known quantities that data were generated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import DataError

__all__ = ["Factors"]


@dataclass(frozen=True)
class Factors:
    """The factors that data were generated from.

    Attributes:
        values: [N, F] int64, each column from 0.
        names: [F].
        ordered: [F], True if the numbers of a factor are an order (a size), False if they are names (a shape).
        counts: [F], number of values of each.

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
        """Return factors from numbers [N, F]; the values that occur are numbered in ascending order.

        Args:
            values: a column for each factor.
            names: by default factor1, factor2, ...
            ordered: by default all are, so that correlations make sense.

        Raises:
            DataError: they are not such a table, or names or orders are not one per factor.
        """
        if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "biuf":
            raise DataError(f"factors must be a table of numbers, got the shape {values.shape}", "Give [N, F].")
        n = values.shape[1]
        names = tuple(names or (f"factor{i + 1}" for i in range(n)))
        order = (True,) * n if ordered is None else tuple(ordered)
        if not len(names) == len(order) == n:
            raise DataError(f"{n} factors have {len(names)} names and {len(order)} orders", "Give one for each.")
        columns = [np.unique(column, return_inverse=True) for column in values.T]
        numbers = np.stack([index.reshape(-1) for _, index in columns], -1).astype(np.int64)
        return Factors(numbers, names, order, tuple(len(distinct) for distinct, _ in columns))

    def rows(self, index: np.ndarray) -> Factors:
        """Return the rows of these numbers [M]."""
        return Factors(self.values[index], self.names, self.ordered, self.counts)

    @property
    def values_each(self) -> dict[str, int]:
        """The number of values of each factor, by name."""
        return dict(zip(self.names, self.counts, strict=True))
