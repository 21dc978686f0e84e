"""Families of whole numbers without ends: the rounded logistic, and mixtures of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_above, require_finite, require_integer
from ..distributions import FeatureMixture, Heaped, RoundedLogistic
from .base import Factorised, PerFeature, constant, limited, positive
from .gaussian_mixtures import components
from .support import INTEGERS, Support, Supports, at_least

__all__ = ["HeapedIntegers", "IntegerMixtures", "Integers"]

WIDER = 2.0**-22  # of a location: twice the distance between numbers of single precision there
LEAST = 1e-6  # of a scale, in the column's unit: far below one whole number, where all of the mass is on one of them


def _check_places(
    dim: int, center: tuple[float, ...], scale: tuple[float, ...], lowest: tuple[float | None, ...]
) -> None:
    """Refuse centers, units and lowest values that are not numbers, one for each feature.

    Raises:
        UsageError: naming them.
    """
    require_integer(dim=dim)
    require_finite(center=center)
    require_above(0, scale=scale)
    require_finite(lowest=tuple(v for v in lowest if v is not None))
    if not len(center) == len(scale) == dim or len(lowest) not in (0, dim):
        raise UsageError(
            f"{dim} features have {len(center)} centers, {len(scale)} scales and {len(lowest)} lowest values",
            "Give one of each to every feature; leave all lowest values out if there are none.",
        )


class _Whole(PerFeature, Factorised):
    """A family of whole numbers, with locations and scales in units of its own for each feature."""

    center: tuple[float, ...]
    scale: tuple[float, ...]
    lowest: tuple[float | None, ...]
    is_wide: bool

    @property
    def support(self) -> Support | Supports:
        return Supports.of([INTEGERS if v is None else at_least(v) for v in self.lowest or (None,)])

    @property
    def inside(self) -> float:
        return max((v for v in self.lowest if v is not None), default=0.0)

    def frame(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return center, unit and lowest value [D] of the features; None where none has a lowest value."""
        lowest = tuple(-math.inf if v is None else v for v in self.lowest)
        has_lowest = any(v is not None for v in self.lowest)
        return constant(self.center, like), constant(self.scale, like), constant(lowest, like) if has_lowest else None

    def widened(self, loc: Tensor, scale: Tensor, center: Tensor, unit: Tensor) -> Tensor:
        """Return the scales in the unit, none of them finer than single precision is at its location."""
        return scale + WIDER * (loc + center / unit).abs() if self.is_wide else scale

    def mixture(self, params: Tensor, n: int) -> Distribution:
        """Return mixtures of n components from the logits of their weights, locations and scales [..., 3 D n]."""
        logits, loc, raw = limited(params).unflatten(-1, (3, self.dim, n)).unbind(-3)
        center, unit, lowest = self.frame(loc)
        frame = (center[:, None], unit[:, None], None if lowest is None else lowest[:, None])
        base = RoundedLogistic(loc, self.widened(loc, positive(raw, LEAST), *frame[:2]), *frame, validate_args=False)
        return FeatureMixture(logits, base, validate_args=False)

    def standardised(self, mean: Tensor) -> Tensor:
        """Return the locations [D] of these means."""
        return (mean - constant(self.center, mean)) / constant(self.scale, mean)


@part
@dataclass(frozen=True)
class Integers(_Whole):
    r"""Independent whole numbers, each a logistic variable rounded to the next one (see `RoundedLogistic`).

    .. math:: P(x) = \prod_d \sigma((x_d + \tfrac12 - m_d)/r_d) - \sigma((x_d - \tfrac12 - m_d)/r_d)

    with m = center + scale mu and r = scale s. Zero parameters are mu = 0 and s = 1.

    Args:
        dim: D.
        center: of each feature, in its own numbers.
        scale: the unit of location and scale of each feature, above 0.
        lowest: the lowest value of each feature, which has all of the mass at and below it; None for none.
        is_wide: for numbers beyond 2^24, several of which are the same one in single precision: scales are wider by
            2^-22 of the distance from 0, so that the masses of all whole numbers still add up to 1.

    Example:
        >>> import torch
        >>> family = Integers(1, (40.0,), (12.0,))
        >>> round(float(family.log_prob(torch.zeros(2), torch.tensor([40.0])).exp() * 48), 3)  # density 1 / (4 scale)
        1.0
    """

    dim: int
    center: tuple[float, ...]
    scale: tuple[float, ...]
    lowest: tuple[float | None, ...] = ()
    is_wide: bool = False

    def __post_init__(self) -> None:
        _check_places(self.dim, self.center, self.scale, self.lowest)

    @property
    def size(self) -> int:
        return 2 * self.dim

    def start(self, mean: Tensor) -> Tensor:
        return self.standardised(mean)

    def features(self, params: Tensor) -> Distribution:
        loc, raw = limited(params).split(self.dim, -1)
        frame = self.frame(loc)
        return RoundedLogistic(loc, self.widened(loc, positive(raw, LEAST), *frame[:2]), *frame, validate_args=False)


@part
@dataclass(frozen=True)
class IntegerMixtures(_Whole):
    r"""Independent whole numbers, each a mixture of n rounded logistics: a few frequent values, and a long tail.

    .. math:: P(x) = \prod_d \sum_j \pi_{dj} P_{dj}(x_d)

    The parameters are the logits of the weights, the locations and the scales, n of each for every feature. Zero
    parameters are n equal components, each the standard member of `Integers`.

    Args:
        dim: D.
        n: components of each feature.
        center: of each feature, in its own numbers.
        scale: the unit of location and scale of each feature, above 0.
        lowest: the lowest value of each feature, which has all of the mass at and below it; None for none.
        is_wide: for numbers beyond 2^24, several of which are the same one in single precision: scales are wider by
            2^-22 of the distance from 0, so that the masses of all whole numbers still add up to 1.

    Source: Salimans et al., "PixelCNN++", 2017.

    Example:
        >>> import torch
        >>> IntegerMixtures(1, 3, (0.0,), (2.0,)).log_prob(torch.zeros(9), torch.zeros(1)).exp()
        tensor(0.1244)
    """

    dim: int
    n: int
    center: tuple[float, ...]
    scale: tuple[float, ...]
    lowest: tuple[float | None, ...] = ()
    is_wide: bool = False

    def __post_init__(self) -> None:
        _check_places(self.dim, self.center, self.scale, self.lowest)
        require_integer(n=self.n)

    @property
    def size(self) -> int:
        return 3 * self.n * self.dim

    @property
    def phrase(self) -> str:
        return f"IntegerMixtures({self.dim}, {self.n} components)"

    def start(self, mean: Tensor) -> Tensor:
        """Return equal weights, and locations spread about these means."""
        return components(self.standardised(mean), self.n)

    def features(self, params: Tensor) -> Distribution:
        return self.mixture(params, self.n)


@part
@dataclass(frozen=True)
class HeapedIntegers(_Whole):
    r"""Independent whole numbers, each a mixture of n rounded logistics and of single values with masses of their own.

    .. math:: P(x) = \prod_d \left( w_{d0} P_d(x_d) + \sum_a w_{da} 1[x_d = h_{da}] \right)

    P_d is the mixture of `IntegerMixtures`. The parameters are those of it, then a logit for each heap beside that of
    the mixture, which is 0. Zero parameters are equal weights.

    Args:
        dim: D.
        n: components of each feature.
        center: of each feature, in its own numbers.
        scale: the unit of location and scale of each feature, above 0.
        heaps: of each feature, the values with a mass of their own, all different.
        lowest: the lowest value of each feature, which has all of the mass at and below it; None for none.
        is_wide: for numbers beyond 2^24, several of which are the same one in single precision: scales are wider by
            2^-22 of the distance from 0, so that the masses of all whole numbers still add up to 1.

    Source: Heitjan & Rubin, "Inference from coarse data via multiple imputation with application to age heaping", 1990.

    Example:
        >>> import torch
        >>> hours = HeapedIntegers(1, 1, (40.0,), (12.0,), ((40.0, 50.0),))
        >>> hours.log_prob(torch.zeros(hours.size), torch.tensor([[40.0], [50.0], [51.0]])).exp()
        tensor([0.3403, 0.3392, 0.0057])
    """

    dim: int
    n: int
    center: tuple[float, ...]
    scale: tuple[float, ...]
    heaps: tuple[tuple[float, ...], ...]
    lowest: tuple[float | None, ...] = ()
    is_wide: bool = False

    def __post_init__(self) -> None:
        _check_places(self.dim, self.center, self.scale, self.lowest)
        require_integer(n=self.n)
        require_finite(heaps=tuple(v for own in self.heaps for v in own))
        lowest = [-math.inf if v is None else v for v in self.lowest or (None,) * self.dim]
        is_bad = len(self.heaps) != self.dim or not any(self.heaps) or any(len(set(v)) < len(v) for v in self.heaps)
        if is_bad or any(v < least or v % 1 for own, least in zip(self.heaps, lowest, strict=True) for v in own):
            raise UsageError(
                f"{self.dim} features have heaps {self.heaps}",
                "Give different whole numbers that each feature can have, some to one at least; or IntegerMixtures.",
            )

    @property
    def _most(self) -> int:
        return max(map(len, self.heaps))

    @property
    def size(self) -> int:
        return (3 * self.n + self._most) * self.dim

    @property
    def phrase(self) -> str:
        return f"HeapedIntegers({self.dim}, {self.n} components, {sum(map(len, self.heaps))} heaps)"

    def start(self, mean: Tensor) -> Tensor:
        """Return equal weights, and locations spread about these means."""
        return components(self.standardised(mean), self.n)

    def features(self, params: Tensor) -> Distribution:
        of_rest, own = params.split([3 * self.n * self.dim, self._most * self.dim], -1)
        logits = limited(own).unflatten(-1, (self.dim, self._most))
        heaps = constant(tuple(v for of in self.heaps for v in (*of, *[math.nan] * (self._most - len(of)))), params)
        rest = self.mixture(of_rest, self.n)
        return Heaped(torch.nn.functional.pad(logits, (1, 0)), heaps.view(self.dim, self._most), rest, False)
