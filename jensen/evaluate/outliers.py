"""Rows that carry a mean: without a few of them it would be another number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.wording import plural
from .estimate import format_nats

__all__ = ["CarryingRows", "carrying_rows"]

LEAST = 8  # rows, of fewer none can be told from the rest
SHARE = 0.1  # of the rows may carry the mean
ERRORS = 5.0  # standard errors of the rest by which these rows move the mean
FAR = 20.0  # standard deviations of the rest by which each of these rows lies lower
MOST = 1000
ROUNDING = 1e-9
SHOWN = 5


@dataclass(frozen=True)
class CarryingRows:
    """Few rows that move a mean by many of its standard errors.

    Attributes:
        rows: their numbers from 0, the lowest first.
        of: the number of all rows.
        mean, stderr: of the other rows, in nats.
    """

    rows: tuple[int, ...]
    of: int
    mean: float
    stderr: float

    def note(self, numbers: Sequence[int] | None = None, of: str = "log p(x)") -> str:
        """Return a sentence for the user.

        Args:
            numbers: of all rows in the user's file; None for those of the rows themselves.
            of: the quantity.
        """
        named = [i if numbers is None else int(numbers[i]) for i in self.rows[:SHOWN]]
        listed = ", ".join(map(str, named)) + (", ..." if len(self.rows) > SHOWN else "")
        what = f"row {listed} carries" if len(self.rows) == 1 else f"rows {listed} carry"
        where = "" if numbers is None else " of the file"
        return (
            f"{what} the mean ({len(self.rows):,} of {plural(self.of, 'row')}; numbers{where} from 0): "
            f"without {'it' if len(self.rows) == 1 else 'them'} {of} is {format_nats(self.mean, self.stderr)} nats"
        )


def carrying_rows(nats: Tensor) -> CarryingRows | None:
    r"""Return the fewest lowest rows that lie far from all others and move the mean; None if there are none.

    With m of N rows left out, of the rest the mean :math:`\bar l_m` and standard deviation :math:`s_m`:

    .. math:: \bar l_m - \bar l > 5\, s_m / \sqrt{N - m}, \qquad \bar l_m - \max_{i \le m} l_i > 20\, s_m

    Args:
        nats: [N], of each row; at most a tenth of them, and a thousand, can carry the mean.

    Example:
        >>> x = torch.linspace(-1, 1, 40)
        >>> x[7] = -1e10
        >>> carrying_rows(x).rows, carrying_rows(x).note()[:40]
        ((7,), 'row 7 carries the mean (1 of 40 rows; nu')
    """
    n = len(nats)
    if n < LEAST or not bool(torch.isfinite(nats).all()):
        return None
    values, order = nats.double().sort()
    mean, most = float(values.mean()), min(max(int(SHARE * n), 1), MOST)
    bulk = values[most:]  # no row within its reach is far from the rest, and none above that one either
    reach = float(bulk.mean()) - 0.9 * FAR * float(bulk.std())
    for m in range(1, 1 + min(most, int((values < reach).sum()))):
        rest = values[m:]
        spread, shift = float(rest.std()), float(rest.mean()) - mean
        is_far = float(rest.mean() - values[m - 1]) > FAR * spread
        if is_far and shift > max(ERRORS * spread / math.sqrt(n - m), ROUNDING * abs(mean)):
            return CarryingRows(tuple(order[:m].tolist()), n, float(rest.mean()), spread / math.sqrt(n - m))
    return None
