"""Planar flows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.parts import part
from ..core.precision import applied
from ..core.validation import require_integer
from ..families import positive
from .base import LARGEST, Flow, net_input, one_way

__all__ = ["Planar"]

FLOOR = 1e-3  # the Jacobian's determinant stays above this
STEEPEST = 1e3


@part
class Planar(Flow):
    r"""A shift along one direction, by an amount that depends on the position along another.

    .. math:: z = u + \hat v \tanh(w \cdot u + b), \qquad \hat v = v + (m(w \cdot v) - w \cdot v)\, w / |w|^2

    with m above -1, so that the map is invertible; its inverse has no closed form and is refused. Here m(0) = 0: with
    v = 0, as before training, the map is the identity.

    Args:
        dim: Z.
        context: H; v, w and b are affine in it.

    Source: Rezende & Mohamed, "Variational inference with normalizing flows", 2015.
    """

    def __init__(self, dim: int, context: int = 0) -> None:
        super().__init__()
        require_integer(dim=dim)
        require_integer(0, context=context)
        self.dim, self.context = dim, context
        # v, w, b
        self.value = nn.Parameter(torch.cat([torch.zeros(dim), torch.randn(dim) / dim**0.5, torch.zeros(1)]))
        self.head = nn.Linear(context, 2 * dim + 1, bias=False) if context else None
        if self.head is not None:
            nn.init.zeros_(self.head.weight)

    def _directions(self, u: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        value = self.value
        context = net_input(u[..., :0], h, self.context)
        if self.head is not None:
            value = value + applied(self.head, context)
        v, w, b = value.clamp(-STEEPEST, STEEPEST).split([self.dim, self.dim, 1], -1)
        along = (w * v).sum(-1, keepdim=True)
        # where w is nearly zero, so is the product, and the added constant does not matter
        pushed = v + (positive(along, FLOOR) - 1.0 - along) * w / (w.square().sum(-1, keepdim=True) + 1e-12)
        return pushed, w, b

    def forward(self, u: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        pushed, w, b = self._directions(u, h)
        t = torch.tanh((w * u.clamp(-LARGEST, LARGEST)).sum(-1, keepdim=True) + b)
        log_det = torch.log1p(((1.0 - t.square()) * (w * pushed).sum(-1, keepdim=True)).clamp_min(FLOOR - 1.0))
        return u + pushed * t, log_det[..., 0]

    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise one_way(self)

    @property
    def invertible(self) -> bool:
        return False

    @property
    def phrase(self) -> str:
        return "planar flow"
