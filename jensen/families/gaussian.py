"""The Gaussian family, with its kinds of scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions.normal_terms import normal_log_prob, normal_log_terms
from ..distributions.numbers import LOG_2PI
from .base import BOUND, FLOOR, Family, check_floor, filled, limited, positive, positive_inverse, total

__all__ = ["Gaussian"]


@part
@dataclass(frozen=True)
class Gaussian(Family):
    r"""Independent normal features, N(mu, sigma^2).

    .. math:: \log p(x) = -\tfrac12 \sum_d \left[ ((x_d - \mu_d)/\sigma_d)^2 + 2\log\sigma_d + \log 2\pi \right]

    Args:
        dim: D; 0 is the latent of a model without latents, with density 1.
        scale: "each" (from the context, per feature), "one" (from the context, one for all features), "feature"
            (learned per feature, the same for all data), "shared" (one learned number), "optimal" (one number, kept at
            its closed-form optimum while training: Rybkin, Daniilidis & Levine, "Simple and effective VAE training with
            calibrated decoders", 2021), or a fixed number.
        floor: the lower limit of a learned scale, in (0, 1).

    Example:
        >>> Gaussian(2)(torch.zeros(4)).base_dist
        Normal(loc: torch.Size([2]), scale: torch.Size([2]))
    """

    dim: int
    scale: Literal["each", "one", "feature", "shared", "optimal"] | float = "each"
    floor: float = FLOOR

    def __post_init__(self) -> None:
        require_integer(0, dim=self.dim)
        if not isinstance(self.scale, str) and not 0 < self.scale < BOUND:
            raise UsageError(f"scale must be a positive number, got {self.scale:g}", "Give a positive number.")
        if isinstance(self.scale, str) and self.scale not in ("each", "one", "feature", "shared", "optimal"):
            remedy = 'Choose "each", "one", "feature", "shared", "optimal" or a number.'
            raise UsageError(f"there is no scale {self.scale!r}", remedy)
        check_floor(self.floor)

    @property
    def smallest(self) -> float:
        """The smallest scale that `raw` can express."""
        return 2 * self.floor

    def raw(self, scale: Tensor) -> Tensor:
        """Return the parameters of these scales; those below `smallest` are raised to it."""
        return positive_inverse(scale, self.floor)

    @property
    def shared(self) -> int:
        if not isinstance(self.scale, str):
            return 0
        return {"feature": self.dim, "shared": 1, "optimal": 1}.get(self.scale, 0)

    @property
    def scale_floor(self) -> float | None:
        return self.floor if isinstance(self.scale, str) and self.dim else None

    def scales(self, params: Tensor) -> Tensor:
        return self.loc_scale(params)[1] if self.scale_floor is not None else super().scales(params)

    @property
    def profiled(self) -> bool:
        return self.scale == "optimal"

    @property
    def size(self) -> int:
        return self.dim + ({"each": self.dim, "one": 1}.get(str(self.scale), self.shared))

    def loc_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu [..., D] and sigma, which broadcasts against it."""
        if not isinstance(self.scale, str):
            return limited(params[..., : self.dim]), torch.full_like(params[..., :1], self.scale)
        loc, raw = params.split([self.dim, params.shape[-1] - self.dim], -1)
        return limited(loc), positive(raw, self.floor)

    def mean_square(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the mean squared error [1] over data and observed features: the shared variance of largest density."""
        square = (filled(x, mask) - params[..., : self.dim].clamp(-BOUND, BOUND)).square()
        if mask is None:
            return square.mean()[None]
        observed = mask.expand_as(square)
        return (total(square, observed).sum() / observed.sum().clamp_min(1))[None]

    @property
    def phrase(self) -> str:
        kind = {"each": "", "one": ", one scale", "feature": ", a scale per feature", "shared": ", one shared scale"}
        kind["optimal"] = ", one scale at its optimum"
        scale = kind[self.scale] if isinstance(self.scale, str) else f", scale {self.scale:g}"
        return f"Gaussian({self.dim}{scale})"

    def start(self, mean: Tensor) -> Tensor:
        return mean

    def __call__(self, params: Tensor) -> Distribution:
        loc, scale = self.loc_scale(params)
        return Independent(Normal(loc, scale.expand_as(loc), validate_args=False), 1, validate_args=False)

    @property
    def factorises(self) -> bool:
        return True

    def terms(self, params: Tensor, x: Tensor) -> Tensor:
        return normal_log_terms(x, *self.loc_scale(params))

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        loc, scale = self.loc_scale(params)
        if mask is None and scale.shape[-1] == self.dim:
            return normal_log_prob(x, loc, scale)
        residual = (filled(x, mask) - loc) / scale
        if mask is None:
            return -0.5 * (residual.square().sum(-1) + self.dim * LOG_2PI) - self.dim * scale.log().sum(-1)
        return total(-0.5 * (residual.square() + LOG_2PI) - scale.log(), mask)
