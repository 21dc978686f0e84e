"""Columns of several kinds: the family of a mixed table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.distributions import Independent
from torch.nn.functional import pad

from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..distributions import PerColumn
from .base import Family, PointKind, constant, total
from .support import Support, Supports

__all__ = ["Columns"]

T = TypeVar("T")
WITHOUT_SCALE = 1e12  # in the place of a scale, of columns that learn none


@functools.cache
def _permutation(places: tuple[tuple[int, ...], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the columns of all groups one after another [D], and the place of each column among these [D]."""
    with torch.inference_mode(False):
        order = torch.tensor([column for group in places for column in group], device=device)
        return order, order.argsort()


@part
@dataclass(frozen=True)
class Columns(Family):
    r"""Independent columns of several kinds: :math:`\log p(x) = \sum_g \sum_{d \in g} \log p_g(x_d)`.

    Each group of columns has a family of independent features, which are computed together. The parameters are those of
    the groups, one after another; those that a family shares among all data come last, in the same order. Zero
    parameters are the standard member of every family.

    Args:
        families: of each group: independent features, such as Gaussian, Choices or Integers.
        places: the columns of each group, in the order of the features of its family; all together are 0..D-1.

    Raises:
        UsageError: columns are left out, or given twice, or are not as many as a family has features.
        CompositionError: features of a family depend on each other, or its scale is set to its optimum.

    Example:
        >>> from jensen.families import Choices, Gaussian
        >>> family = Columns((Gaussian(2), Choices((4,))), ((0, 2), (1,)))
        >>> family.size, family.log_probs(torch.zeros(8), torch.tensor([0.0, 3.0, 0.0])).exp()
        (8, tensor([0.3989, 0.2500, 0.3989]))
    """

    families: tuple[Family, ...]
    places: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        for family in self.families:
            if not family.factorises or family.profiled:
                what = "sets its scale to its optimum" if family.profiled else "has features that depend on each other"
                raise CompositionError(
                    f"{family.phrase}, which {what}, cannot be the family of columns",
                    'Use one of independent features, such as Gaussian(2, "each") or Choices((3, 4)).',
                )
        _check_places(self.families, self.places)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return sum(family.dim for family in self.families)

    @property
    def shared(self) -> int:
        return sum(family.shared for family in self.families)

    @property
    def size(self) -> int:
        return sum(family.size for family in self.families)

    @property
    def phrase(self) -> str:
        return f"{self.dim} columns: {', '.join(family.phrase for family in self.families)}"

    @property
    def factorises(self) -> bool:
        return True

    @property
    def support(self) -> Support | Supports:
        return Supports.of(self._of_columns(lambda f: [f.support.column(i) for i in range(f.dim)]))

    def _of_columns(self, of_features: Callable[[Family], Sequence[T]]) -> tuple[T, ...]:
        """Return what each family says of its features as a tuple in the order of the table [D]."""
        pairs = zip(self.families, self.places, strict=True)
        each = {column: value for f, group in pairs for column, value in zip(group, of_features(f), strict=True)}
        return tuple(each[column] for column in range(self.dim))

    @property
    def scale_floor(self) -> float | None:
        return min((f.scale_floor for f in self.families if f.scale_floor is not None), default=None)

    @property
    def scale_floors(self) -> tuple[float, ...]:
        return self._of_columns(lambda family: family.scale_floors)

    def scales(self, params: Tensor) -> Tensor:
        """Return the learned scale of each column [..., D]; a large number for a column without one."""
        if self.scale_floor is None:
            return super().scales(params)
        each = [
            params.new_full((*params.shape[:-1], f.dim), WITHOUT_SCALE)
            if f.scale_floor is None
            else f.scales(own).expand(*params.shape[:-1], f.dim)
            for f, own in zip(self.families, self.split(params), strict=True)
        ]
        return self._in_table_order(each)

    def start(self, mean: Tensor) -> Tensor:
        """Return the first parameters of every group about these means [D]."""
        each = [f.start(mean[list(group)]) for f, group in zip(self.families, self.places, strict=True)]
        return torch.cat([pad(e, (0, f.size - f.shared - len(e))) for e, f in zip(each, self.families, strict=True)])

    def split(self, params: Tensor) -> list[Tensor]:
        """Return the parameters of each group [..., P_g], with those that it shares among all data at the end."""
        own, shared = [f.size - f.shared for f in self.families], [f.shared for f in self.families]
        pieces = params.split([*own, *shared], -1)
        pairs = zip(pieces[: len(own)], pieces[len(own) :], strict=True)
        return [torch.cat([a, b], -1) if b.shape[-1] else a for a, b in pairs]

    def _in_groups(self, x: Tensor) -> Tensor:
        """Return x [..., D] with the columns of all groups one after another."""
        return x if self._is_ordered else x[..., _permutation(self.places, x.device)[0]]

    def _in_table_order(self, groups: Sequence[Tensor]) -> Tensor:
        """Return values of all groups as columns [..., D]."""
        joined = torch.cat([*groups], -1)
        return joined if self._is_ordered else joined[..., _permutation(self.places, joined.device)[1]]

    @property
    def _is_ordered(self) -> bool:
        return [column for group in self.places for column in group] == list(range(self.dim))

    def _group_terms(self, params: Tensor, x: Tensor, mask: Tensor | None) -> list[Tensor]:
        """Return log p(x_d) [..., D_g] of the columns of each group; those that are masked count for nothing."""
        x = self._in_groups(x)
        if mask is not None:
            inside = tuple(f.inside for f in self.families for _ in range(f.dim))
            x = torch.where(self._in_groups(mask), x, constant(inside, x))
        own = x.split([f.dim for f in self.families], -1)
        return [f.terms(p, y) for f, p, y in zip(self.families, self.split(params), own, strict=True)]

    def terms(self, params: Tensor, x: Tensor) -> Tensor:
        return self._in_table_order(self._group_terms(params, x, None))

    def log_probs(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log p(x_d) of each column, [..., D], in nats; 0 where it is not observed."""
        terms = self._in_table_order(self._group_terms(params, x, mask))
        return terms if mask is None else torch.where(mask, terms, torch.zeros_like(terms))

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        terms = torch.cat(self._group_terms(params, x, mask), -1)
        return total(terms, None if mask is None else self._in_groups(mask))

    def __call__(self, params: Tensor) -> Independent:
        groups = [f(p).base_dist for f, p in zip(self.families, self.split(params), strict=True)]  # pyright: ignore[reportAttributeAccessIssue]
        columns = PerColumn(groups, *_permutation(self.places, params.device))
        return Independent(columns, 1, validate_args=False)

    @property
    def summary_sizes(self) -> tuple[int, ...]:
        slices = self.summary_slices
        return tuple(s.stop - s.start for s in slices)

    @property
    def summary_slices(self) -> tuple[slice, ...]:
        """The places in `summary` of each column [D]."""
        slices: dict[int, slice] = {}
        start = 0
        for family, group in zip(self.families, self.places, strict=True):
            for column, size in zip(group, family.summary_sizes, strict=True):
                slices[column] = slice(start, start + size)
                start += size
        return tuple(slices[column] for column in range(self.dim))

    def summary(self, params: Tensor) -> Tensor:
        """Return statistics [..., S] that can be averaged over latents, of the columns of one group after another.

        A column has its mean; E cos x and E sin x if it is circular; the probabilities of its levels if it has levels.
        """
        return torch.cat([f.summary(p) for f, p in zip(self.families, self.split(params), strict=True)], -1)

    def point(self, summary: Tensor, kind: PointKind = "mean") -> Tensor:
        parts = summary.split([sum(f.summary_sizes) for f in self.families], -1)
        return self._in_table_order([f.point(s, kind) for f, s in zip(self.families, parts, strict=True)])


def _check_places(families: Sequence[Family], places: tuple[tuple[int, ...], ...]) -> None:
    """Refuse columns that are left out, given twice, or not as many as the features of their family.

    Raises:
        UsageError: naming them.
    """
    dims, given = [family.dim for family in families], [len(group) for group in places]
    if not families or dims != given:
        raise UsageError(
            f"families of {dims} features have {given} columns", "Give each family as many columns as features."
        )
    columns = sorted(column for group in places for column in group)
    if columns != list(range(len(columns))):
        raise UsageError(f"the columns of all groups are {columns}", f"Give each of 0 to {len(columns) - 1} once.")
