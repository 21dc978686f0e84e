"""Mixtures of members of one family."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, MixtureSameFamily
from torch.nn.functional import log_softmax

from ..core.errors import CompositionError
from ..core.parts import part
from ..core.validation import require_integer
from .base import Family
from .support import Support, Supports

__all__ = ["Mixture"]


@part
@dataclass(frozen=True)
class Mixture(Family):
    r"""A mixture of n members of one family: :math:`\log p(x) = \log\sum_j \pi_j\, p_j(x)`.

    Zero parameters give equal weights and n standard members, which is the standard member itself. A mixture of
    factorised families can be scored on its observed features.

    Args:
        part: the family of the components; parameters shared across contexts are not supported in it.
        n: components.
    """

    part: Family
    n: int

    def __post_init__(self) -> None:
        require_integer(n=self.n)
        if self.part.shared:
            raise CompositionError(
                "a Mixture needs components whose parameters all come from the context", 'Use scale="each".'
            )

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.part.dim

    @property
    def size(self) -> int:
        return self.n * (1 + self.part.size)

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params[..., : self.n], params[..., self.n :].unflatten(-1, (self.n, self.part.size))

    @property
    def scale_floor(self) -> float | None:
        return self.part.scale_floor

    @property
    def scale_floors(self) -> tuple[float, ...]:
        return self.part.scale_floors

    def scales(self, params: Tensor) -> Tensor:
        return self.part.scales(self._split(params)[1]).amin(-2)

    @property
    def support(self) -> Support | Supports:
        return self.part.support

    @property
    def phrase(self) -> str:
        return f"Mixture of {self.n} {self.part.phrase}"

    def start(self, mean: Tensor) -> Tensor:
        return mean.new_zeros(0)  # the components' parameters do not come first

    def __call__(self, params: Tensor) -> Distribution:
        logits, parts = self._split(params)
        return MixtureSameFamily(
            TorchCategorical(logits=logits, validate_args=False), self.part(parts), validate_args=False
        )

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        logits, parts = self._split(params)
        each = self.part.log_prob(parts, x.unsqueeze(-2), None if mask is None else mask.unsqueeze(-2))
        return torch.logsumexp(log_softmax(logits, -1) + each, -1)
