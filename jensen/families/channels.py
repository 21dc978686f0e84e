"""Mixtures of discretised logistics for pixels whose channels depend on each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import DiscretizedLogisticMixture as PixelMixture
from .base import BOUND, Family, filled, positive, total

__all__ = ["DiscretizedLogisticMixture"]


@part
@dataclass(frozen=True)
class DiscretizedLogisticMixture(Family):
    """Pixels of C channels with levels 0..L-1, each a mixture of n discretised logistics (see the distribution).

    Parameters come in planes that lie as the data do, so that those of a pixel come from its own place in a
    convolution: n planes [D] of locations, n of scales, then per pixel n weights and n C (C-1)/2 leanings of channels
    on earlier ones, as tanh. Zero parameters are one standard discretised logistic per feature. Pixels are independent
    and their channels are not: a mask takes or leaves whole pixels.

    Args:
        dim: D = pixels * C, in the order height, width, channel.
        channels: C.
        levels: L >= 2; 256 for 8-bit pixels.
        n: components; six gives whole planes for one, two and three channels.

    Source: Salimans, Karpathy, Chen & Kingma, "PixelCNN++", 2017.

    Example:
        >>> DiscretizedLogisticMixture(12, channels=3).size  # 20 numbers for each of 12 features
        240
    """

    dim: int
    channels: int = 1
    levels: int = 256
    n: int = 6

    def __post_init__(self) -> None:
        require_integer(dim=self.dim, channels=self.channels, n=self.n)
        require_integer(2, levels=self.levels)
        if self.dim % self.channels:
            raise UsageError(
                f"{self.dim} features are not pixels of {self.channels} channels", "Give channels that divide dim."
            )

    @property
    def pixels(self) -> int:
        """Pixels of one datum."""
        return self.dim // self.channels

    @property
    def _rest(self) -> int:
        """Weights and leanings of one pixel."""
        return self.n * (1 + self.channels * (self.channels - 1) // 2)

    @property
    def size(self) -> int:
        return 2 * self.n * self.dim + self._rest * self.pixels

    @property
    def phrase(self) -> str:
        colours = f", {self.channels} channels" if self.channels > 1 else ""
        return f"DiscretizedLogisticMixture({self.dim}{colours}, {self.levels} levels, {self.n} components)"

    def start(self, mean: Tensor) -> Tensor:
        """All components at the mean; the last layer's weights, which differ, part them."""
        return (mean * (2 / (self.levels - 1)) - 1).repeat(self.n)

    def _planes(self, params: Tensor) -> Tensor:
        """n planes [..., n * D] as [..., pixels, C, n]."""
        return params.unflatten(-1, (self.n, self.pixels, self.channels)).movedim(-3, -1)

    def __call__(self, params: Tensor) -> PixelMixture:
        span = self.n * self.dim
        loc = self._planes(params[..., :span].clamp(-BOUND, BOUND))
        scale = self._planes(positive(params[..., span : 2 * span]))
        rest, c = params[..., 2 * span :].clamp(-BOUND, BOUND), self.channels
        if self._rest % c == 0:  # whole planes
            rest = rest.unflatten(-1, (self._rest // c, self.pixels, c)).movedim(-3, -1).flatten(-2)
        else:
            rest = rest.unflatten(-1, (self._rest, self.pixels)).movedim(-2, -1)
        lean = torch.tanh(rest[..., self.n :]).unflatten(-1, (c * (c - 1) // 2, self.n))
        return PixelMixture(rest[..., : self.n], loc, scale, lean, self.levels, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self(params).pixel_log_prob(x).sum(-1)
        seen = mask.unflatten(-1, (self.pixels, self.channels))
        whole = seen.all(-1)
        if bool((seen.any(-1) & ~whole).any()):
            raise CompositionError(
                "the channels of a pixel depend on each other, and some are observed without the others",
                "Mask whole pixels, or use --likelihood discretized-logistic.",
            )
        return total(self(params).pixel_log_prob(filled(x, mask)), whole)
