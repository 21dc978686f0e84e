"""The lower limit of learned scales, small against the spread of the data where they are dense."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..families import FLOOR

__all__ = ["local_spread", "relative_floor"]

ROWS = 20_000
DENSEST = 0.1  # of the values of a column
WIDTH = 0.2513  # of the interval that holds the densest tenth of a Gaussian of standard deviation 1
LEAST = 10  # values in the densest part: fewer are close together by chance
SHARE = 0.01  # of the local spread that a floor is at most
SMALLEST = 1e-10  # squares of smaller scales are lost in single precision


def local_spread(values: Tensor) -> float | None:
    r"""Return the spread of a column where it is dense; None if all of its values are the same.

    .. math:: s = \min_i \frac{u_{i+m} - u_i}{0.2513}, \qquad u \text{ the distinct values in order},\ m = 0.1\,n

    For a Gaussian column it is about the standard deviation; for clusters far apart, about that of the narrowest of
    those that hold a tenth of the values.

    Args:
        values: [N].

    Example:
        >>> x = torch.linspace(0.0005, 0.9995, 1000).double().erfinv()  # half of a Gaussian of scale 1 / sqrt(2)
        >>> 0.3 < local_spread(torch.cat([x, x + 1e5])) < 1
        True
    """
    distinct = values.double().unique()  # in order
    if len(distinct) < 2:
        return None
    steps = min(max(math.ceil(DENSEST * len(distinct)), LEAST), len(distinct) - 1)
    expected = WIDTH * steps / (DENSEST * len(distinct)) if steps > DENSEST * len(distinct) else WIDTH
    return float((distinct[steps:] - distinct[:-steps]).min()) / expected


def relative_floor(rows: Rows, floor: float = FLOOR) -> float:
    """Return a floor that is at most a hundredth of the local spread of every column, and at most the one given.

    Args:
        rows: as the model sees them; at most 20,000 of them are used, without unobserved entries and constant columns.
        floor: for data that are nowhere much denser than a Gaussian.
    """
    batch = rows.take(evenly_spaced(len(rows), ROWS, rows.device), stream(0, "local spread", rows.device))
    columns = batch.x.mT.cpu()
    observed = torch.ones_like(columns, dtype=torch.bool) if batch.mask is None else batch.mask.mT.cpu()
    spreads = (local_spread(column[seen]) for column, seen in zip(columns, observed, strict=True))
    least = min((s for s in spreads if s is not None), default=1.0)
    return max(min(floor, SHARE * least), SMALLEST)
