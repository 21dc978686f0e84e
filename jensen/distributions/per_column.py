"""Independent columns, each with its own kind of univariate distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ..core.errors import UsageError

__all__ = ["PerColumn"]


class _Each(constraints.Constraint):
    """Columns that are each in the support of their own distribution, checked one by one.

    They count as discrete only if all of them are.
    """

    def __init__(self, parts: Sequence[constraints.Constraint], split: Callable[[Tensor], Sequence[Tensor]]) -> None:
        self.parts, self.split = parts, split

    @property
    def is_discrete(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(part.is_discrete for part in self.parts)

    def check(self, value: Tensor) -> Tensor:
        """Return, for each entry [..., D] in the order of the groups, whether it is in its column's support."""
        return torch.cat([part.check(x) for part, x in zip(self.parts, self.split(value), strict=True)], -1)


class PerColumn(Distribution):
    """Univariate distributions of D columns that are of several kinds: batch shape [..., D], no event shape.

    Args:
        groups: distributions of batch shape [..., D_g], one for each kind, of equal batch shapes but for the last axis.
        order: [D] the columns of the first group, then those of the second, and so on.
        back: [D] the place of each column in that order.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(self, groups: Sequence[Distribution], order: Tensor, back: Tensor) -> None:
        self.groups, self.order, self.back = tuple(groups), order, back
        self.widths = [group.batch_shape[-1] for group in groups]
        super().__init__(torch.Size((*groups[0].batch_shape[:-1], len(order))), validate_args=False)

    def _split(self, value: Tensor) -> Sequence[Tensor]:
        return value[..., self.order].split(self.widths, -1)

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([*parts], -1)[..., self.back]

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts = [group.support for group in self.groups]
        return _Each([part for part in parts if part is not None], self._split)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> PerColumn:
        rows = tuple(batch_shape)[:-1]
        groups = [g.expand(torch.Size((*rows, w))) for g, w in zip(self.groups, self.widths, strict=True)]
        return PerColumn(groups, self.order, self.back)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._joined([g.log_prob(x) for g, x in zip(self.groups, self._split(value), strict=True)])

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._joined([group.sample(torch.Size(sample_shape)) for group in self.groups])

    def of_column(self, column: int) -> tuple[Distribution, int]:
        """Return the distribution of the group that a column is of, and the place of the column in it."""
        place = int(self.back[column])
        for group, width in zip(self.groups, self.widths, strict=True):
            if place < width:
                return group, place
            place -= width
        raise UsageError(f"there is no column {column}", f"Give a number from 0 to {len(self.order) - 1}.")

    @property
    def mean(self) -> Tensor:
        return self._joined([group.mean for group in self.groups])

    @property
    def variance(self) -> Tensor:
        return self._joined([group.variance for group in self.groups])
