"""Affine flows: a shift and a scale per feature, computed from other features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.errors import CompositionError
from ..core.parts import part
from ..core.precision import applied
from ..core.validation import require_integer
from ..nets import MLP
from ..nets.masked import MaskedMLP
from .base import LARGEST, Flow, net_input, one_way

__all__ = ["AffineCoupling", "Autoregressive", "coupling_net", "halves"]

STEEPEST = 5.0  # log-scales are within +-this
FARTHEST = 1e30  # points are clamped to +-this, so that no product overflows


def _log_scale(raw: Tensor) -> Tensor:
    return STEEPEST * torch.tanh(raw / STEEPEST)


def _clamped(x: Tensor) -> Tensor:
    return x.clamp(-FARTHEST, FARTHEST)


def halves(dim: int, flip: bool) -> tuple[list[int], list[int]]:
    """Return the features that a coupling keeps and those that it moves: every other one.

    Two couplings, one of them flipped, move all.

    Raises:
        CompositionError: there is a single feature.
    """
    require_integer(dim=dim)
    if dim < 2:
        raise CompositionError(
            f"a coupling flow needs at least 2 features, got {dim}",
            "Give --latent 2 or more, or take an autoregressive or planar flow, such as that of --recipe iaf.",
        )
    even, odd = list(range(0, dim, 2)), list(range(1, dim, 2))
    return (odd, even) if flip else (even, odd)


def coupling_net(kept: int, context: int, outputs: int, hidden: Sequence[int]) -> MLP:
    """Return the network of a coupling, whose outputs are zero before training."""
    require_integer(0, context=context)
    net = MLP(kept + context, outputs, hidden, "tanh")
    last = net.layers[-1]
    if isinstance(last, nn.Linear):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return net


@part
class AffineCoupling(Flow):
    r"""Half of the features, shifted and scaled by a network of the other half (and of the context).

    .. math:: z_a = u_a, \qquad z_b = u_b\, e^{s(u_a, h)} + t(u_a, h)

    Log-scales s are kept within +-5 by a hyperbolic tangent.

    Args:
        dim: Z, at least 2.
        context: H.
        hidden: sizes of the network's hidden layers.
        flip: move the even features rather than the odd ones.

    Source: Dinh, Sohl-Dickstein & Bengio, "Density estimation using real NVP", 2017.
    """

    def __init__(self, dim: int, context: int = 0, hidden: Sequence[int] = (64,), flip: bool = False) -> None:
        super().__init__()
        self.dim, self.context = dim, context
        self.kept, self.moved = halves(dim, flip)
        self.net = coupling_net(len(self.kept), context, 2 * len(self.moved), hidden)

    def _shift_scale(self, kept: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        shift, raw = applied(self.net, net_input(kept, h, self.context)).chunk(2, -1)
        return shift.clamp(-LARGEST, LARGEST), _log_scale(raw)

    def _with_moved(self, x: Tensor, moved: Tensor) -> Tensor:
        z = x.expand(*moved.shape[:-1], -1).clone()
        z[..., self.moved] = moved
        return z

    def forward(self, u: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shift, log_scale = self._shift_scale(u[..., self.kept], h)
        return self._with_moved(u, _clamped(u[..., self.moved]) * log_scale.exp() + shift), log_scale.sum(-1)

    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shift, log_scale = self._shift_scale(z[..., self.kept], h)
        return self._with_moved(z, (_clamped(z[..., self.moved]) - shift) * (-log_scale).exp()), -log_scale.sum(-1)

    @property
    def invertible(self) -> bool:
        return True

    @property
    def phrase(self) -> str:
        return "affine coupling"


@part
class Autoregressive(Flow):
    r"""Inverse autoregressive flow: each feature, shifted and scaled by a masked network of those before.

    .. math:: z_i = u_i\, e^{s_i(u_{<i}, h)} + t_i(u_{<i}, h)

    One pass samples; the inverse would take Z sequential passes, and is refused. Log-scales s are kept within
    +-5 by a hyperbolic tangent.

    Args:
        dim: Z.
        context: H.
        hidden: sizes of the network's hidden layers, each at least Z for every feature to count.
        flip: from the last feature to the first.

    Source: Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling, "Improved variational inference with inverse
    autoregressive flow", 2016.
    """

    def __init__(self, dim: int, context: int = 0, hidden: Sequence[int] = (64,), flip: bool = False) -> None:
        super().__init__()
        self.dim, self.context, self.flipped = dim, context, flip
        self.net = MaskedMLP(dim, context, 2, hidden)

    def _ordered(self, x: Tensor) -> Tensor:
        return x.flip(-1) if self.flipped else x

    def forward(self, u: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = self._ordered(u)
        shift, raw = applied(self.net, net_input(u, h, self.context)).unbind(-2)
        log_scale = _log_scale(raw)
        return self._ordered(_clamped(u) * log_scale.exp() + shift.clamp(-LARGEST, LARGEST)), log_scale.sum(-1)

    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise one_way(self)

    @property
    def invertible(self) -> bool:
        return False

    @property
    def phrase(self) -> str:
        return "inverse autoregressive flow"
