"""The abstraction of a family, and its tools: positive parameters, masks, features that factorise."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.nn.functional import hardtanh, softplus

from ..core.errors import CompositionError, UsageError
from ..core.validation import require_integer
from .support import REALS, Support, Supports

__all__ = [
    "BOUND",
    "FLOOR",
    "Factorised",
    "Family",
    "LocationScale",
    "PerFeature",
    "PointKind",
    "check_floor",
    "constant",
    "filled",
    "limited",
    "positive",
    "positive_each",
    "positive_inverse",
    "total",
]

PointKind = Literal["mean", "median", "mode"]

FLOOR = 1e-4
SMALL = 1e-6  # below it, a scale of 1 is one only to single precision
BOUND = 1e12


def check_floor(floor: float) -> None:
    """Refuse a floor that is not between 0 and 1.

    Raises:
        UsageError: it is not.
    """
    if not 0 < floor < 1:
        raise UsageError(f"floor must be above 0 and below 1, got {floor:g}", "Give --floor a number between 0 and 1.")


def positive(raw: Tensor, floor: float = FLOOR) -> Tensor:
    """Return the scale of a raw parameter, floor + softplus: exactly 1 at 0, and always positive."""
    unit, corrected = _compensation(raw.dtype, floor)
    return corrected + softplus(limited(raw) + unit)


def limited(x: Tensor) -> Tensor:
    """Return x within +-`BOUND`; the gradient, which is zero beyond, takes a single operation."""
    return hardtanh(x, -BOUND, BOUND)


@functools.cache
def _compensation(dtype: torch.dtype, floor: float) -> tuple[float, float]:
    """Return the shift at which floor + softplus is 1, and the floor, corrected for the rounding of softplus there."""
    unit = math.log(math.expm1(1.0 - floor))
    if floor < SMALL:  # what would be corrected is as large as the floor itself
        return unit, floor
    return unit, 1.0 - float(softplus(torch.tensor(unit, dtype=dtype)))


def positive_each(raw: Tensor, floors: tuple[float, ...], limits: tuple[float, ...]) -> Tensor:
    r"""Return the scales of raw parameters [..., D, n] that are within +-`BOUND`, with limits for each feature.

    They are floor + s with s the softplus; or, with an upper limit L below `BOUND`, floor + s / (1 + s / (L - floor)),
    which has a gradient everywhere.
    """
    pairs = [_compensation(raw.dtype, floor) for floor in floors]
    unit, corrected = (constant(values, raw).unsqueeze(-1) for values in zip(*pairs, strict=True))
    above = softplus(raw + unit)
    if any(limit < BOUND for limit in limits):
        inverse = tuple(
            1 / (limit - floor) if limit < BOUND else 0.0 for limit, floor in zip(limits, floors, strict=True)
        )
        above = above / (1 + above * constant(inverse, raw).unsqueeze(-1))
    return corrected + above


def positive_inverse(scale: Tensor, floor: float = FLOOR) -> Tensor:
    """Return the raw parameter of a scale; scales below twice the floor are set to twice the floor."""
    above = (scale - floor).clamp_min(floor)
    return above + torch.log(-torch.expm1(-above)) - math.log(math.expm1(1.0 - floor))


@functools.cache
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def constant(values: tuple[float, ...], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return these numbers on the device of another tensor, copied there once, in its type or the given one."""
    return _constant(values, like.dtype if dtype is None else dtype, like.device)


class Family(ABC):
    """A map from parameters [..., P] to a distribution over events [..., D].

    Attributes:
        dim: D, features of one event.
        size: P, numbers that describe one event.
        shared: the number of them, the last ones, that do not depend on the context (a scale learned for all data).
        inside: a value in the support of independent features, which replaces unobserved entries.
    """

    dim: int
    inside: ClassVar[float] = 0.0

    @property
    @abstractmethod
    def size(self) -> int: ...

    @property
    def shared(self) -> int:
        return 0

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A short description, for the sentence that describes a model."""

    @property
    def support(self) -> Support | Supports:
        """The values that a feature can have: all finite numbers, unless a family says otherwise."""
        return REALS

    @property
    def has_density(self) -> bool:
        """True if events can be scored."""
        return True

    @property
    def scale_floor(self) -> float | None:
        """The lower limit of learned scales, the least of them; None if no scale is learned."""
        return None

    @property
    def scale_floors(self) -> tuple[float, ...]:
        """The lower limit of the learned scale of each feature [D]; 0 where none is learned."""
        return (self.scale_floor or 0.0,) * self.dim

    def scales(self, params: Tensor) -> Tensor:
        """Return the learned scale of each feature, [..., D] or broadcasting to it; of a mixture, the smallest.

        Raises:
            CompositionError: no scale is learned.
        """
        raise CompositionError(f"{self.phrase} has no learned scale", "Look at scale_floor first.")

    @property
    def factorises(self) -> bool:
        """True if features are independent, each with a univariate distribution (see `terms`)."""
        return False

    def terms(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log p(x_d) [..., D] of each feature in nats.

        Raises:
            CompositionError: features depend on each other.
        """
        raise CompositionError(f"features of {self.phrase} depend on each other", "Look at factorises first.")

    @property
    def summary_sizes(self) -> tuple[int, ...]:
        """The numbers in `summary` of each feature [D]."""
        return (1,) * self.dim

    def summary(self, params: Tensor) -> Tensor:
        """Return statistics [..., S] of the features that can be averaged over latents: means, unless a family has
        better ones."""
        return self(params).mean

    def point(self, summary: Tensor, kind: PointKind = "mean") -> Tensor:
        """Return one value [..., D] of each feature from averaged statistics [..., S].

        It is the mean of a number, the mean direction of an angle and the most probable of unordered levels; of ordered
        levels it is that of the kind: the one next to the mean, the median, or the most probable.
        """
        return summary

    @property
    def profiled(self) -> bool:
        """True if the shared parameters are set to their closed-form optimum in training, not by gradients."""
        return False

    @abstractmethod
    def start(self, mean: Tensor) -> Tensor:
        """Return the first parameters [M], M <= P - shared, of a member about this mean [D], for a decoder's start."""

    @abstractmethod
    def __call__(self, params: Tensor) -> Distribution:
        """Return the distribution with these parameters [..., P]; batch shape [...], event shape [D]."""

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log p(x) [...] in nats, without building the distribution; with a mask, of the observed features.

        `params` [..., P] and `x`, `mask` [..., D] broadcast against each other.
        """


def total(terms: Tensor, mask: Tensor | None) -> Tensor:
    """Return the sum [...] of terms [..., D]; with a mask, of the observed ones."""
    return (terms if mask is None else torch.where(mask, terms, torch.zeros_like(terms))).sum(-1)


def filled(x: Tensor, mask: Tensor | None, value: float = 0.0) -> Tensor:
    """Replace unobserved entries by a value inside the support: selected, never multiplied."""
    return x if mask is None else torch.where(mask, x, torch.full_like(x, value))


class Factorised(Family):
    """A family of independent features of one kind of distribution: unobserved features can be left out."""

    @property
    def factorises(self) -> bool:
        return True

    def terms(self, params: Tensor, x: Tensor) -> Tensor:
        return self.features(params).log_prob(x)

    @abstractmethod
    def features(self, params: Tensor) -> Distribution:
        """Return the distributions of the features: batch shape [..., D], no event shape."""

    def __call__(self, params: Tensor) -> Distribution:
        return Independent(self.features(params), 1, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return total(self.terms(params, filled(x, mask, self.inside)), mask)


class PerFeature(Family):
    """A family whose only field need be `dim`: one parameter for each feature, unless `size` says otherwise."""

    def __post_init__(self) -> None:
        require_integer(dim=self.dim)

    @property
    def size(self) -> int:
        return self.dim

    @property
    def phrase(self) -> str:
        return f"{type(self).__name__}({self.dim})"


class LocationScale(PerFeature, Factorised):
    """A family of features with a location and a scale each, the first 2 D parameters.

    Attributes:
        floor: the lower limit of the scales, in (0, 1).
    """

    floor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_floor(self.floor)

    @property
    def size(self) -> int:
        return 2 * self.dim

    @property
    def scale_floor(self) -> float | None:
        return self.floor

    def scales(self, params: Tensor) -> Tensor:
        return self.loc_scale(params)[1]

    def loc_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Return location and scale [..., D]."""
        loc = limited(params[..., : self.dim])
        return loc, positive(params[..., self.dim : 2 * self.dim], self.floor).clamp_max(BOUND)

    def start(self, mean: Tensor) -> Tensor:
        return mean
