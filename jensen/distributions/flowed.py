"""A distribution pushed through an invertible map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, constraints

from .moments import EstimatedMoments
from .numbers import antithetic

__all__ = ["Flowed"]

POINTS = 256
Map = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class _Sample:
    z: Tensor
    log_prob: Tensor


class Flowed(EstimatedMoments, Distribution):
    r"""z = f(u) with u ~ base: :math:`\log q(z) = \log p(u) - \log|\det \partial z/\partial u|`.

    The density of the last sample is kept from when it was drawn, so that a map without a cheap inverse can score its
    own samples; other points go through the inverse.

    Mean and variance have no closed form: they are those of the images of 256 fixed points of the base (of a Gaussian
    with its mean and variances, where it is not Gaussian), an approximation that no density and no bound uses.

    Args:
        base: over R^Z, with `rsample`.
        forward: u -> z and log|det dz/du|.
        inverse: z -> u and log|det du/dz|; it raises where the map has no cheap inverse.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    has_rsample = True

    def __init__(self, base: Distribution, forward: Map, inverse: Map) -> None:
        self.base, self._forward, self._inverse = base, forward, inverse
        self._last: _Sample | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Flowed:
        return Flowed(self.base.expand(torch.Size(batch_shape)), self._forward, self._inverse)

    def through(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return z [..., Z] and log q(z) [...] at points u [..., Z] of the base."""
        z, log_det = self._forward(u)
        return z, self.base.log_prob(u) - log_det

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._last = _Sample(*self.through(self.base.rsample(torch.Size(sample_shape))))
        return self._last.z

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and value is self._last.z:
            return self._last.log_prob
        u, log_det = self._inverse(value)
        return self.base.log_prob(u) + log_det

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        mean, base = self.base.mean, self.base
        noise = antithetic(POINTS, self._event_shape[0]).to(mean)
        noise = noise.reshape(POINTS, *[1] * len(self._batch_shape), -1)
        if isinstance(base, MultivariateNormal):
            spread = (base.scale_tril @ noise[..., None])[..., 0]
        else:
            spread = base.variance.sqrt() * noise
        z, _ = self._forward(mean + spread)
        return z.mean(0), z.var(0)
