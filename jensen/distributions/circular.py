"""The von Mises distribution of angles, by its natural parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .numbers import LOG_2PI, wide

__all__ = ["VonMises"]

TINY = 1e-20  # added to the squared concentration, so that its root has a gradient at 0
END = math.pi + 1e-6  # single precision rounds pi up


class VonMises(Distribution):
    r"""An angle from -pi to pi, by the vector :math:`\eta = \kappa (\cos\mu, \sin\mu)`.

    .. math:: \log p(x) = \eta_1 \cos x + \eta_2 \sin x - \log 2\pi I_0(\kappa), \quad \kappa = |\eta|

    At zero it is uniform. The sum of the first and the last terms, which cancel at large concentrations, is taken as
    :math:`-\kappa (1 - \cos(x - \mu))` and the logarithm of :math:`2\pi e^{-\kappa} I_0(\kappa)`. The mean is that of
    directions, mu, and the variance 1 - E cos(x - mu).

    Args:
        cosine, sine: [...] of eta.

    Source: Mardia & Jupp, "Directional statistics", 2000; sampling: Best & Fisher, "Efficient simulation of the von
    Mises distribution", 1979.

    Example:
        >>> round(float(VonMises(torch.zeros(1), torch.zeros(1)).log_prob(torch.ones(1)).exp() * 2 * torch.pi), 5)
        1.0
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.interval(-END, END)  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(self, cosine: Tensor, sine: Tensor, validate_args: bool | None = None) -> None:
        self.cosine, self.sine = torch.broadcast_tensors(cosine, sine)
        self.concentration = (self.cosine.square() + self.sine.square() + TINY).sqrt()
        super().__init__(self.cosine.shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> VonMises:
        return VonMises(self.cosine.expand(batch_shape), self.sine.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        cos, sin, kappa = value.cos(), value.sin(), self.concentration
        along, across = self.cosine * cos + self.sine * sin, self.cosine * sin - self.sine * cos
        # kappa - along = across^2 / (kappa + along), which does not cancel on the near side
        lost = torch.where(along > 0, across * (across / (kappa + along.clamp_min(0))), kappa - along)
        return -lost - LOG_2PI - torch.special.i0e(kappa).log()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Draw by rejection from a wrapped Cauchy distribution, of which at least two thirds are accepted."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            kappa = wide(self.concentration).clamp_min(1e-6)
            tau = 1 + (1 + 4 * kappa.square()).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
            r = ((1 + rho.square()) / (2 * rho)).expand(shape)
            kappa = kappa.expand(shape)
            cos, open_ = torch.zeros_like(r), torch.ones_like(r, dtype=torch.bool)
            while bool(open_.any()):
                u, level = torch.rand((2, *shape), dtype=r.dtype, device=r.device)
                turn = torch.cos(math.pi * u)
                new = (1 + r * turn) / (r + turn)
                c = kappa * (r - new)
                accepted = (c * (2 - c) > level) | (c.log() - level.log() + 1 - c >= 0)
                cos, open_ = torch.where(open_ & accepted, new, cos), open_ & ~accepted
            away = cos.clamp(-1, 1).acos() * torch.where(torch.rand_like(cos) < 0.5, -1.0, 1.0)
            x = torch.atan2(wide(self.sine), wide(self.cosine)) + away
            return (torch.remainder(x + math.pi, 2 * math.pi) - math.pi).to(self.cosine.dtype)

    @property
    def mean(self) -> Tensor:
        return torch.atan2(self.sine, self.cosine)

    @property
    def variance(self) -> Tensor:
        return 1 - torch.special.i1e(self.concentration) / torch.special.i0e(self.concentration)

    @property
    def mean_direction(self) -> tuple[Tensor, Tensor]:
        """E cos x and E sin x [...]."""
        share = torch.special.i1e(self.concentration) / torch.special.i0e(self.concentration) / self.concentration
        return share * self.cosine, share * self.sine
