"""Mixtures of discretised logistics for pixels whose channels depend on each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.annotations import Bins
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import DiscretizedLogisticMixture as PixelMixture
from .base import BOUND, Family, filled, positive, total
from .support import Support, levels

__all__ = ["DiscretizedLogisticMixture"]


@part
@dataclass(frozen=True)
class DiscretizedLogisticMixture(Family):
    """Pixels of C channels with levels 0..L-1, each a mixture of n discretised logistics (see the distribution).

    Parameters come in planes in the order of the data, so that those of a pixel come from its own position in a
    convolution: n planes [D] of locations, n of scales, then per pixel n weights and n C (C-1)/2 coefficients of
    channels on earlier ones, as tanh. Zero parameters are one standard discretised logistic per feature. Pixels
    are independent and their channels are not: a mask covers whole pixels.

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
    levels: Bins = 256
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
    def _other(self) -> int:
        """Weights and coefficients of one pixel, of channels on earlier ones."""
        return self.n * (1 + self.channels * (self.channels - 1) // 2)

    @property
    def size(self) -> int:
        return 2 * self.n * self.dim + self._other * self.pixels

    @property
    def support(self) -> Support:
        return levels(self.levels)

    @property
    def phrase(self) -> str:
        colours = f", {self.channels} channels" if self.channels > 1 else ""
        return f"DiscretizedLogisticMixture({self.dim}{colours}, {self.levels} levels, {self.n} components)"

    def start(self, mean: Tensor) -> Tensor:
        """Return all components at the mean; the last layer's weights, which differ, separate them."""
        return (mean * (2 / (self.levels - 1)) - 1).repeat(self.n)

    def _planes(self, params: Tensor) -> Tensor:
        """Return n planes [..., n * D] as [..., pixels, C, n]."""
        return params.unflatten(-1, (self.n, self.pixels, self.channels)).movedim(-3, -1)

    def __call__(self, params: Tensor) -> PixelMixture:
        span = self.n * self.dim
        loc = self._planes(params[..., :span].clamp(-BOUND, BOUND))
        scale = self._planes(positive(params[..., span : 2 * span]))
        other, c = params[..., 2 * span :].clamp(-BOUND, BOUND), self.channels
        if self._other % c == 0:  # whole planes
            other = other.unflatten(-1, (self._other // c, self.pixels, c)).movedim(-3, -1).flatten(-2)
        else:
            other = other.unflatten(-1, (self._other, self.pixels)).movedim(-2, -1)
        lean = torch.tanh(other[..., self.n :]).unflatten(-1, (c * (c - 1) // 2, self.n))
        return PixelMixture(other[..., : self.n], loc, scale, lean, self.levels, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self(params).pixel_log_prob(x).sum(-1)
        observed = mask.unflatten(-1, (self.pixels, self.channels))
        whole = observed.all(-1)
        if bool((observed.any(-1) & ~whole).any()):
            raise CompositionError(
                "the channels of a pixel depend on each other, and some are observed without the others",
                "Mask whole pixels, or use --likelihood discretized-logistic.",
            )
        return total(self(params).pixel_log_prob(filled(x, mask)), whole)
