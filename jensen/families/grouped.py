"""Several families, concatenated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.errors import CompositionError
from ..core.parts import part
from ..distributions import Chained
from .base import Family

__all__ = ["Grouped"]


@part
@dataclass(frozen=True)
class Grouped(Family):
    r"""Independent groups of features, one after another, each of its own family: :math:`p(y) = \prod_g p_g(y_g)`.

    Args:
        parts: the families, two or more; their parameters are concatenated too.

    Raises:
        CompositionError: fewer than two, or one with parameters that all contexts share.

    Example:
        >>> from jensen.families import Categorical, Gaussian
        >>> Grouped((Categorical(10), Gaussian(4)))(torch.zeros(3, 18)).event_shape
        torch.Size([14])
    """

    parts: tuple[Family, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise CompositionError("a family of groups must have two or more", "Give two or more.")
        if any(p.shared for p in self.parts):
            raise CompositionError("no group may share parameters across contexts", "Give each its own scale.")

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return sum(p.dim for p in self.parts)

    @property
    def size(self) -> int:
        return sum(p.size for p in self.parts)

    @property
    def has_density(self) -> bool:
        return all(p.has_density for p in self.parts)

    @property
    def phrase(self) -> str:
        return " and ".join(p.phrase for p in self.parts)

    def start(self, mean: Tensor) -> Tensor:
        pieces = zip(self.parts, mean.split([p.dim for p in self.parts], -1), strict=True)
        starts = [(p, p.start(m)) for p, m in pieces]
        return torch.cat([torch.cat([s, s.new_zeros(p.size - len(s))]) for p, s in starts])

    def __call__(self, params: Tensor) -> Distribution:
        first, *others = self.parts
        own, other = params.split([first.size, self.size - first.size], -1)
        second = (others[0] if len(others) == 1 else Grouped(tuple(others)))(other)
        return Chained(first(own), lambda z: second, self.dim - first.dim)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        dims = [p.dim for p in self.parts]
        masks = [None] * len(dims) if mask is None else mask.split(dims, -1)
        pieces = zip(self.parts, params.split([p.size for p in self.parts], -1), x.split(dims, -1), masks, strict=True)
        terms = [family.log_prob(own, group, observed) for family, own, group, observed in pieces]
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
