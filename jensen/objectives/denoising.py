"""The error of a diffusion's noise, without the weights that would make it a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.errors import CompositionError
from ..core.parts import part
from ..models.diffused import NoisedWalk
from ..models.draw import Draw
from .base import Objective

__all__ = ["NoiseError"]


@part
@dataclass(frozen=True)
class NoiseError(Objective):
    r"""Half the squared error of the noise that a diffusion estimates, at all times alike: to be subtracted.

    .. math:: \tfrac12 \int_0^1 E \|\epsilon - \hat\epsilon(z_t, t)\|^2\,dt

    It is the rate of the levels with every weight set to one, which favours times of much noise, and so the large
    shapes of samples. `-Distortion() - NoiseError()` is no bound on log p(x).

    Source: Ho, Jain & Abbeel, "Denoising diffusion probabilistic models", 2020.
    """

    needs_likelihood: ClassVar[bool] = False

    @property
    def shares(self) -> tuple[float | None, float]:
        return None, 0.0  # its weight depends on the time

    def __call__(self, draw: Draw) -> Tensor:
        if not isinstance(draw.walk, NoisedWalk):
            raise CompositionError("only a diffusion estimates noise", "Use the guide Diffused, or Rate().")
        return draw.mean(draw.walk.error)

    def __str__(self) -> str:
        return "NoiseError"
