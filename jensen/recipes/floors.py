"""The lower limit of learned scales, small against the spread of the data where they are dense."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..families import FLOOR

__all__ = ["closest_values", "relative_floor"]

ROWS = 20_000
NEIGHBOURS = 10  # distinct values in a row; fewer are close together by chance
DENSITY = 0.4  # of a Gaussian at its mean, in standard deviations
DENSE = 0.01  # of the width that is expected of so many values of a Gaussian: what chance does not reach
SHARE = 0.1  # of the width of the densest values that a floor is at most
SMALLEST = 1e-10  # squares of smaller scales are lost in single precision


def closest_values(values: Tensor) -> tuple[float, float] | None:
    r"""Return the least width of ten neighbouring distinct values of a column, and the width expected of a Gaussian.

    .. math:: w = \min_i\, (u_{i+10} - u_i), \qquad E[w] \approx \frac{10}{0.4\, n}

    with u the n distinct values in order, and the Gaussian of standard deviation 1. None if there is one value.

    Args:
        values: [N].

    Example:
        >>> x = torch.linspace(0.0005, 0.9995, 1000).double().erfinv()
        >>> least, expected = closest_values(x)
        >>> 0.3 < least / expected < 1
        True
    """
    distinct = values.double().unique()  # in order
    if len(distinct) < 2:
        return None
    steps = min(NEIGHBOURS, len(distinct) - 1)
    return float((distinct[steps:] - distinct[:-steps]).min()), steps / (DENSITY * len(distinct))


def relative_floor(rows: Rows, floor: float = FLOOR) -> float:
    """Return the floor given; where values lie much closer than those of a Gaussian, a tenth of their width if less.

    So a scale can follow clusters that are narrow against the distance between them, however few rows are in one, and
    columns that are small against others.

    Args:
        rows: as the model sees them; at most 20,000 of them are used, without unobserved entries and constant columns.
        floor: for data that are nowhere much denser than a Gaussian.
    """
    batch = rows.take(evenly_spaced(len(rows), ROWS, rows.device), stream(0, "local spread", rows.device))
    columns = batch.x.mT.cpu()
    observed = torch.ones_like(columns, dtype=torch.bool) if batch.mask is None else batch.mask.mT.cpu()
    widths = [closest_values(column[seen]) for column, seen in zip(columns, observed, strict=True)]
    dense = [w[0] for w in widths if w is not None and w[0] < DENSE * w[1]]
    return max(min([floor, *(SHARE * w for w in dense)]), SMALLEST)
