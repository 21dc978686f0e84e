"""A likelihood that only samples: x is a function of z, without a density."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import NotNormalised, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import Point
from .base import BOUND, Family

__all__ = ["Implicit"]

INSIDE = 0.01  # a decoder starts at least this far from either end of the range, where a sigmoid has a gradient


@part
@dataclass(frozen=True)
class Implicit(Family):
    r"""All mass at x = g(parameters): the likelihood of a GAN, which samples and is never scored.

    .. math:: x = \mathrm{low} + (\mathrm{high} - \mathrm{low})\,\sigma(\text{parameters})

    or the parameters themselves, where no range is given. Objectives that need log p(x | z) are refused before the
    loop, and log p(x) is not estimated.

    Source: Mohamed & Lakshminarayanan, "Learning in implicit generative models", 2016.

    Args:
        dim: D.
        low, high: the range of the data; None for all reals.

    Raises:
        UsageError: half a range, or an empty one.

    Example:
        >>> Implicit(2, 0.0, 16.0)(torch.zeros(2)).sample()
        tensor([8., 8.])
    """

    dim: int
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        require_integer(dim=self.dim)
        ranged = self.low is not None and self.high is not None and -math.inf < self.low < self.high < math.inf
        if not ranged and (self.low, self.high) != (None, None):
            raise UsageError(
                f"low must be below high, and both finite, got {self.low} and {self.high}",
                "Give low < high, or neither.",
            )

    @property
    def size(self) -> int:
        return self.dim

    @property
    def phrase(self) -> str:
        return "a sample without a density"

    @property
    def has_density(self) -> bool:
        return False

    def start(self, mean: Tensor) -> Tensor:
        if self.low is None or self.high is None:
            return mean.clamp(-BOUND, BOUND)
        return torch.logit(((mean - self.low) / (self.high - self.low)).clamp(INSIDE, 1 - INSIDE))

    def __call__(self, params: Tensor) -> Point:
        if self.low is None or self.high is None:
            return Point(params.clamp(-BOUND, BOUND))
        return Point(self.low + (self.high - self.low) * torch.sigmoid(params))

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        raise NotNormalised(
            "this likelihood only samples: it has no density p(x|z)",
            "Compare samples with data instead: jensen fidelity RUN.",
        )
