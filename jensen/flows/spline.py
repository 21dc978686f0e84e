"""Rational-quadratic splines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.annotations import Bins
from ..core.errors import UsageError
from ..core.parts import part
from ..core.precision import applied
from ..core.shapes import broadcast_shapes
from ..core.validation import require_integer
from ..families import positive
from .affine import coupling_net, halves
from .base import Flow, net_input

__all__ = ["SplineCoupling"]

NARROWEST = 1e-3  # width of a bin, as a share of the interval
FLATTEST, STEEPEST = 1e-3, 1e3  # slopes at the knots


@dataclass(frozen=True)
class _Bins:
    """The bin that each number falls into: left edges, widths, heights, slopes at both ends, all [..., M]."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor

    @property
    def steepness(self) -> Tensor:
        return self.height / self.width

    @property
    def bend(self) -> Tensor:
        return self.left + self.right - 2.0 * self.steepness

    def log_slope(self, t: Tensor) -> Tensor:
        """Return log dy/dx at the fraction t of the bin."""
        s, mixed = self.steepness, t * (1.0 - t)
        top = self.right * t.square() + 2.0 * s * mixed + self.left * (1.0 - t).square()
        return 2.0 * s.log() + top.log() - 2.0 * (s + self.bend * mixed).log()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = ((x - self.x) / self.width).clamp(0.0, 1.0)
        s, mixed = self.steepness, t * (1.0 - t)
        y = self.y + self.height * (s * t.square() + self.left * mixed) / (s + self.bend * mixed)
        return y, self.log_slope(t)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and log dx/dy at y: the root of a quadratic equation in t, in the form without cancellation."""
        s, risen = self.steepness, (y - self.y).clamp_min(0.0)
        a = self.height * (s - self.left) + risen * self.bend
        b = self.height * self.left - risen * self.bend
        c = -s * risen
        root = (b.square() - 4.0 * a * c).clamp_min(torch.finfo(y.dtype).tiny).sqrt()
        t = (-2.0 * c / (b + root)).clamp(0.0, 1.0)
        return self.x + t * self.width, -self.log_slope(t)


@part
class SplineCoupling(Flow):
    """Half of the features, each through a monotone spline whose knots are a network of the other half.

    Within [-bound, bound] the spline is rational-quadratic; outside it is the identity. No bin is narrower than a
    thousandth of the interval, and slopes at the knots are between 0.001 and 1,000.

    Args:
        dim: Z, at least 2.
        context: H.
        bins: of the spline.
        bound: half the width of the interval.
        hidden: sizes of the network's hidden layers.
        flip: move the even features rather than the odd ones.

    Source: Durkan, Bekasov, Murray & Papamakarios, "Neural spline flows", 2019.
    """

    def __init__(
        self,
        dim: int,
        context: int = 0,
        bins: Bins = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (64,),
        flip: bool = False,
    ) -> None:
        super().__init__()
        require_integer(dim=dim, bins=bins)
        if not bins <= 100 or not 0 < bound < 1e6:
            raise UsageError(
                f"bins must be at most 100 and bound between 0 and 1,000,000, got {bins} and {bound:g}",
                "Give 1 to 100 bins and a positive bound.",
            )
        self.dim, self.context, self.bins, self.bound = dim, context, bins, bound
        self.kept, self.moved = halves(dim, flip)
        self.net = coupling_net(len(self.kept), context, len(self.moved) * (3 * bins - 1), hidden)

    def _knots(self, raw: Tensor) -> Tensor:
        """Return positions [..., M, bins + 1] from -bound to bound."""
        widths = NARROWEST + (1.0 - NARROWEST * self.bins) * raw.softmax(-1)
        inner = widths.cumsum(-1)[..., :-1]
        zero = torch.zeros_like(widths[..., :1])
        return self.bound * (2.0 * torch.cat([zero, inner, zero + 1.0], -1) - 1.0)

    def _bins(self, kept: Tensor, h: Tensor | None, at: Tensor, *, backwards: bool) -> _Bins:
        raw = applied(self.net, net_input(kept, h, self.context)).unflatten(-1, (len(self.moved), 3 * self.bins - 1))
        wide, high, steep = raw.split([self.bins, self.bins, self.bins - 1], -1)
        x, y = self._knots(wide), self._knots(high)
        edge = torch.ones_like(raw[..., :1])  # slope 1, as outside
        slope = torch.cat([edge, positive(steep.clamp(max=STEEPEST), FLATTEST), edge], -1)
        index = torch.searchsorted((y if backwards else x)[..., 1:-1].contiguous(), at[..., None].contiguous())

        def here(t: Tensor, step: int = 0) -> Tensor:
            return t.gather(-1, index + step)[..., 0]

        return _Bins(here(x), here(y), here(x, 1) - here(x), here(y, 1) - here(y), here(slope), here(slope, 1))

    def _through(self, given: Tensor, h: Tensor | None, *, backwards: bool) -> tuple[Tensor, Tensor]:
        if h is not None:
            given = given.expand(*broadcast_shapes(given.shape[:-1], h.shape[:-1]), -1)
        moved = given[..., self.moved]
        at = moved.clamp(-self.bound, self.bound)
        bins = self._bins(given[..., self.kept], h, at, backwards=backwards)
        inside, log_slope = bins.inverse(at) if backwards else bins.forward(at)
        out = given.clone()
        within = moved.abs() < self.bound
        out[..., self.moved] = torch.where(within, inside, moved)
        return out, torch.where(within, log_slope, torch.zeros_like(log_slope)).sum(-1)

    def forward(self, u: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._through(u, h, backwards=False)

    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._through(z, h, backwards=True)

    @property
    def invertible(self) -> bool:
        return True

    @property
    def phrase(self) -> str:
        return f"spline coupling with {self.bins} bins"
