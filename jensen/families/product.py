"""Independent members of one family, concatenated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..core.errors import CompositionError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import IndependentEvents
from .base import Family
from .support import Support, Supports

__all__ = ["Product"]


@part
@dataclass(frozen=True)
class Product(Family):
    r"""n independent members of one family of E features, one after another: :math:`\log p(x) = \sum_i \log p(x_i)`.

    Each position has its own parameters, concatenated: [n * P]. Unlike a `Mixture` over all features,
    `Product(Mixture(...), n)` is a separate mixture at every position.

    Args:
        part: the family of a position; parameters shared across contexts are not supported in it.
        n: positions; D = n * E.

    Example:
        >>> from jensen.families import Bernoulli
        >>> Product(Bernoulli(1), 2).log_prob(torch.zeros(2), torch.ones(2)).exp()
        tensor(0.2500)
    """

    part: Family
    n: int

    def __post_init__(self) -> None:
        require_integer(n=self.n)
        if self.part.shared:
            raise CompositionError(
                f"positions of {self.part.phrase} would share parameters that no context gives them",
                'Use a family whose parameters all come from the context, such as scale="each".',
            )

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.n * self.part.dim

    @property
    def size(self) -> int:
        return self.n * self.part.size

    @property
    def scale_floor(self) -> float | None:
        return self.part.scale_floor

    @property
    def scale_floors(self) -> tuple[float, ...]:
        return self.part.scale_floors * self.n

    def scales(self, params: Tensor) -> Tensor:
        each = self.part.scales(params.unflatten(-1, (self.n, self.part.size)))
        return each.expand(*each.shape[:-1], self.part.dim).flatten(-2)

    @property
    def support(self) -> Support | Supports:
        return Supports.of([self.part.support.column(d) for d in range(self.part.dim)] * self.n)

    @property
    def phrase(self) -> str:
        return f"{self.n} x {self.part.phrase}"

    def start(self, mean: Tensor) -> Tensor:
        each = [self.part.start(m) for m in mean.unflatten(-1, (self.n, self.part.dim))]
        return torch.cat([pad(e, (0, self.part.size - len(e))) for e in each])

    def __call__(self, params: Tensor) -> IndependentEvents:
        return IndependentEvents(self.part(params.unflatten(-1, (self.n, self.part.size))))

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        each = params.unflatten(-1, (self.n, self.part.size))
        observed = None if mask is None else mask.unflatten(-1, (self.n, self.part.dim))
        return self.part.log_prob(each, x.unflatten(-1, (self.n, self.part.dim)), observed).sum(-1)
