"""Moments that are estimated from points of the distribution itself."""

from __future__ import annotations

from torch import Tensor

__all__ = ["EstimatedMoments"]


class EstimatedMoments:
    """Mean and variance of a distribution that has them in no closed form: those of a fixed set of its points."""

    _moments: tuple[Tensor, Tensor]

    @property
    def mean(self) -> Tensor:
        return self._moments[0]

    @property
    def variance(self) -> Tensor:
        return self._moments[1]
