"""Families of real values: the unit interval, heavy tails, the positive half-line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions import Laplace as TorchLaplace

from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import Beta as WideBeta
from ..distributions import ContinuousBernoulli as Exponential
from ..distributions import LogitNormal as UnitNormal
from ..distributions import LogNormal as PositiveNormal
from ..distributions import StudentT as HeavyTailed
from .base import BOUND, FLOOR, Factorised, LocationScale, PerFeature, positive, positive_inverse
from .support import ABOVE_ZERO, OPEN_UNIT, UNIT, Support

__all__ = ["Beta", "ContinuousBernoulli", "Laplace", "LogNormal", "LogitNormal", "StudentT"]

MOST = 1e6  # of concentrations and degrees of freedom; above it, another family is in place (see Gaussian)


@part
@dataclass(frozen=True)
class ContinuousBernoulli(PerFeature, Factorised):
    r"""Independent features in [0, 1], :math:`\log p(x) = \sum_d x_d l_d - \log((e^{l_d} - 1)/l_d)`: grey levels.

    Zero parameters are the uniform distribution.

    Args:
        dim: D.

    Source: Loaiza-Ganem & Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders", 2019.

    Example:
        >>> ContinuousBernoulli(2).log_prob(torch.zeros(2), torch.tensor([0.2, 0.9]))
        tensor(0.)
    """

    dim: int
    inside: ClassVar[float] = 0.5

    @property
    def support(self) -> Support:
        return UNIT

    def start(self, mean: Tensor) -> Tensor:
        """Return the logits of these means, by bisection: the mean increases with the logit."""
        target = mean.double().clamp(0.01, 0.99)
        low, high = torch.full_like(target, -200.0), torch.full_like(target, 200.0)
        for _ in range(60):
            middle = (low + high) / 2
            below = Exponential(middle, validate_args=False).mean < target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return ((low + high) / 2).to(mean.dtype)

    def features(self, params: Tensor) -> Distribution:
        return Exponential(params.clamp(-BOUND, BOUND), validate_args=False)


@part
@dataclass(frozen=True)
class Laplace(LocationScale):
    r"""Independent features, :math:`\log p(x) = -\sum_d |x_d - \mu_d| / s_d + \log 2 s_d`: absolute errors.

    Args:
        dim: D.
        floor: the lower limit of the scales, in (0, 1).

    Example:
        >>> round(float(Laplace(1).log_prob(torch.zeros(2), torch.ones(1))), 4)
        -1.6931
    """

    dim: int
    floor: float = FLOOR

    def features(self, params: Tensor) -> Distribution:
        return TorchLaplace(*self.loc_scale(params), validate_args=False)


@part
@dataclass(frozen=True)
class StudentT(LocationScale):
    """Independent features with Student's t distribution: outliers cost the logarithm of their distance.

    Zero parameters are location 0, scale 1 and three degrees of freedom. Above two degrees the variance is finite.

    Args:
        dim: D.
        degrees: of freedom, above 2; None learns them, one number per feature for all data.
        floor: the lower limit of the scales, in (0, 1).

    Source: Lange, Little & Taylor, "Robust statistical modeling using the t distribution", 1989.

    Example:
        >>> StudentT(2).size, StudentT(2).shared, StudentT(2, 5.0).size
        (6, 2, 4)
    """

    dim: int
    degrees: float | None = None
    floor: float = FLOOR

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.degrees is not None and not 2 < self.degrees <= MOST:
            raise UsageError(
                f"degrees must be above 2 and at most {MOST:g}, got {self.degrees:g}",
                f"Give a number above 2, where the variance is finite, and at most {MOST:g}; above that use Gaussian.",
            )

    @property
    def shared(self) -> int:
        return self.dim if self.degrees is None else 0

    @property
    def size(self) -> int:
        return 2 * self.dim + self.shared

    @property
    def phrase(self) -> str:
        return f"StudentT({self.dim}, {'learned' if self.degrees is None else f'{self.degrees:g}'} degrees)"

    def features(self, params: Tensor) -> Distribution:
        loc, scale = self.loc_scale(params)
        if self.degrees is not None:
            return HeavyTailed(torch.full_like(loc[..., :1], self.degrees), loc, scale, validate_args=False)
        learned = 2 + positive(params[..., 2 * self.dim :]).clamp_max(MOST)
        return HeavyTailed(learned, loc, scale, validate_args=False)


@part
@dataclass(frozen=True)
class LogNormal(LocationScale):
    r"""Independent positive features whose logarithms are N(mu, sigma^2).

    .. math:: \log p(x) = \sum_d \log N(\log x_d; \mu_d, \sigma_d^2) - \log x_d

    Args:
        dim: D.
        floor: the lower limit of sigma, in (0, 1).

    Example:
        >>> round(float(LogNormal(1).log_prob(torch.zeros(2), torch.ones(1))), 4)
        -0.9189
    """

    dim: int
    floor: float = FLOOR
    inside: ClassVar[float] = 1.0

    @property
    def support(self) -> Support:
        return ABOVE_ZERO

    def start(self, mean: Tensor) -> Tensor:
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log() - 0.5  # of sigma = 1

    def features(self, params: Tensor) -> Distribution:
        return PositiveNormal(*self.loc_scale(params), validate_args=False)


@part
@dataclass(frozen=True)
class LogitNormal(LocationScale):
    r"""Independent features in (0, 1) whose logits are N(mu, sigma^2), both ends excluded.

    .. math:: \log p(x) = \sum_d \log N(\mathrm{logit}\,x_d; \mu_d, \sigma_d^2) - \log x_d - \log(1 - x_d)

    Args:
        dim: D.
        floor: the lower limit of sigma, in (0, 1).

    Source: Atchison & Shen, "Logistic-normal distributions: some properties and uses", 1980.

    Example:
        >>> round(float(LogitNormal(1).log_prob(torch.zeros(2), torch.full((1,), 0.5))), 4)  # N(0; 0, 1) / (1/4)
        0.4674
    """

    dim: int
    floor: float = FLOOR
    inside: ClassVar[float] = 0.5

    @property
    def support(self) -> Support:
        return OPEN_UNIT

    def start(self, mean: Tensor) -> Tensor:
        return torch.logit(mean.clamp(0.01, 0.99))

    def features(self, params: Tensor) -> Distribution:
        return UnitNormal(*self.loc_scale(params), validate_args=False)


@part
@dataclass(frozen=True)
class Beta(Factorised):
    r"""Independent features in (0, 1), :math:`p(x) \propto x^{a-1} (1-x)^{b-1}`, both ends excluded.

    Zero parameters are the uniform distribution, a = b = 1; concentrations stay within 1e-4 and 1e6.

    Args:
        dim: D.

    Example:
        >>> Beta(1).log_prob(torch.zeros(2), torch.tensor([0.3]))
        tensor(0.)
    """

    dim: int

    def __post_init__(self) -> None:
        require_integer(dim=self.dim)

    @property
    def size(self) -> int:
        return 2 * self.dim

    @property
    def inside(self) -> float:
        return 0.5

    @property
    def support(self) -> Support:
        return OPEN_UNIT

    @property
    def phrase(self) -> str:
        return f"Beta({self.dim})"

    def start(self, mean: Tensor) -> Tensor:
        middle = mean.clamp(0.01, 0.99)
        return positive_inverse(torch.cat([2 * middle, 2 - 2 * middle], -1))

    def features(self, params: Tensor) -> Distribution:
        a, b = positive(params).clamp_max(MOST).chunk(2, -1)
        return WideBeta(a, b, validate_args=False)
