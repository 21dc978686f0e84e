"""The family of angles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import UsageError
from ..core.parts import part
from ..distributions import VonMises as Angle
from .base import FLOOR, Factorised, PerFeature, PointKind, check_floor, constant, limited
from .support import ANGLES, Support

__all__ = ["VonMises"]

LARGEST = 1e12  # of a scale, which is infinite where the concentration is zero
TINY = 1e-20  # of a squared concentration, so that its root has a gradient at 0


@part
@dataclass(frozen=True)
class VonMises(PerFeature, Factorised):
    r"""Independent angles from -pi to pi, :math:`p(x_d) \propto \exp(\kappa_d \cos(x_d - \mu_d))`.

    The parameters are the natural ones, :math:`\kappa_d \cos\mu_d` of all features and then
    :math:`\kappa_d \sin\mu_d`, so that no place of the circle is special. Zero parameters are uniform.

    Args:
        dim: D.
        floor: the lower limit of the scale :math:`\kappa^{-1/2}`, in radians, in (0, 1), of all angles or of each.

    Source: Mardia & Jupp, "Directional statistics", 2000.

    Example:
        >>> round(float(VonMises(1).log_prob(torch.zeros(2), torch.tensor([3.0])).exp() * 2 * torch.pi), 5)
        1.0
    """

    dim: int
    floor: float | tuple[float, ...] = FLOOR

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.scale_floors) != self.dim:
            raise UsageError(
                f"{self.dim} angles have {len(self.scale_floors)} floors", "Give one for all angles, or one for each."
            )
        for floor in self.scale_floors:
            check_floor(floor)

    @property
    def size(self) -> int:
        return 2 * self.dim

    @property
    def support(self) -> Support:
        return ANGLES

    @property
    def scale_floors(self) -> tuple[float, ...]:
        return self.floor if isinstance(self.floor, tuple) else (self.floor,) * self.dim

    @property
    def scale_floor(self) -> float | None:
        return min(self.scale_floors)

    def scales(self, params: Tensor) -> Tensor:
        return self.features(params).concentration.rsqrt().clamp_max(LARGEST)

    def start(self, mean: Tensor) -> Tensor:
        """Return a concentration of 1 about these angles."""
        return torch.cat([mean.cos(), mean.sin()], -1)

    @property
    def summary_sizes(self) -> tuple[int, ...]:
        return (2,) * self.dim

    def summary(self, params: Tensor) -> Tensor:
        """Return E cos x and E sin x of each feature, [..., 2 D]."""
        return torch.stack(self.features(params).mean_direction, -1).flatten(-2)

    def point(self, summary: Tensor, kind: PointKind = "mean") -> Tensor:
        """Return the mean direction of each feature."""
        cosine, sine = summary.unflatten(-1, (self.dim, 2)).unbind(-1)
        return torch.atan2(sine, cosine)

    def features(self, params: Tensor) -> Angle:
        cosine, sine = limited(params).split(self.dim, -1)
        most = constant(tuple(floor**-2 for floor in self.scale_floors), cosine)
        shrink = most / torch.maximum((cosine.square() + sine.square()).clamp_min(TINY).sqrt(), most)
        return Angle(cosine * shrink, sine * shrink, validate_args=False)
