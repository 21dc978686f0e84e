"""Several independent classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution

from ..core.errors import CompositionError
from ..core.parts import part
from ..core.validation import require_above, require_integer
from ..distributions import OneHots as SeveralClasses
from .base import Family
from .support import BITS, Support

__all__ = ["OneHots"]


@part
@dataclass(frozen=True)
class OneHots(Family):
    r"""G independent classes of n, one-hot, concatenated (see the distribution of that name).

    Args:
        groups: G.
        classes: n.
        temperature: of the Gumbel softmax, whose gradients are biased and need no enumeration; None for no gradients.
        hard: points stay one-hot, and only their gradient is that of the relaxed ones.

    Raises:
        UsageError: a size below 1, or a temperature that is not positive.

    Source: Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax", 2017.

    Example:
        >>> import torch
        >>> OneHots(3, 4)(torch.zeros(12)).mean[0]
        tensor(0.2500)
    """

    groups: int
    classes: int
    temperature: float | None = None
    hard: bool = True

    def __post_init__(self) -> None:
        require_integer(groups=self.groups, classes=self.classes)
        if self.temperature is not None:
            require_above(0, temperature=self.temperature)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.groups * self.classes

    @property
    def size(self) -> int:
        return self.dim

    @property
    def support(self) -> Support:
        return BITS

    @property
    def phrase(self) -> str:
        relaxed = "" if self.temperature is None else f", relaxed at {self.temperature:g}"
        return f"{self.groups} Categorical({self.classes}){relaxed}"

    def start(self, mean: Tensor) -> Tensor:
        return mean.clamp(0.01, 0.99).log()

    def __call__(self, params: Tensor) -> Distribution:
        return SeveralClasses(params, self.groups, self.temperature, self.hard)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise CompositionError("a class is observed as a whole", "Mask all of its features or none.")
        return self(params).log_prob(x)
