"""Families: a flat tensor of parameters becomes a distribution, or at once a log-density.

Zero parameters are the standard member of a family, exactly. Every finite parameter is a valid one: scales are kept
above a floor that is compensated at zero, and locations and scales within +-1e12, so that no input gives a NaN.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal, OneHotCategorical
from torch.nn.functional import log_softmax, softplus

from .distributions import DiscretizedLogistic as BinnedLogistic
from .errors import CompositionError, UsageError
from .parts import part

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiscretizedLogistic",
    "Family",
    "Gaussian",
    "Mixture",
    "positive",
    "positive_inverse",
]

FLOOR = 1e-4
BOUND = 1e12
LOG_2PI = math.log(2.0 * math.pi)


def positive(raw: Tensor, floor: float = FLOOR) -> Tensor:
    """The scale of a raw parameter: floor + softplus, so that `positive(0) == 1` exactly and it never reaches zero."""
    unit, rest = _compensation(raw.dtype, floor)
    return rest + softplus(raw.clamp(max=BOUND) + unit)


@functools.cache
def _compensation(dtype: torch.dtype, floor: float) -> tuple[float, float]:
    """The shift at which floor + softplus is 1, and the floor corrected for what softplus loses there by rounding."""
    unit = math.log(math.expm1(1.0 - floor))
    return unit, 1.0 - float(softplus(torch.tensor(unit, dtype=dtype)))


def positive_inverse(scale: Tensor, floor: float = FLOOR) -> Tensor:
    """The raw parameter of a scale; scales below twice the floor are set to twice the floor."""
    above = (scale - floor).clamp_min(floor)
    return above + torch.log(-torch.expm1(-above)) - math.log(math.expm1(1.0 - floor))


class Family(ABC):
    """What turns parameters [..., P] into a distribution over events [..., D].

    Attributes:
        dim: D, features of one event.
        size: P, numbers that describe one event.
        shared: how many of them, the last ones, do not depend on the context (a scale learned once for all data).
    """

    dim: int

    @property
    @abstractmethod
    def size(self) -> int: ...

    @property
    def shared(self) -> int:
        return 0

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A few words for the sentence that describes a model."""

    @abstractmethod
    def __call__(self, params: Tensor) -> Distribution:
        """The distribution with these parameters [..., P]; batch shape [...], event shape [D]."""

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(x) [...] in nats, without building the distribution; of the observed features alone, given a mask.

        `params` [..., P] and `x`, `mask` [..., D] broadcast against each other.
        """


def _total(terms: Tensor, mask: Tensor | None) -> Tensor:
    return (terms if mask is None else torch.where(mask, terms, torch.zeros_like(terms))).sum(-1)


def _filled(x: Tensor, mask: Tensor | None) -> Tensor:
    """Unobserved entries replaced by 0, which is in the support of every family here: selected, never multiplied."""
    return x if mask is None else torch.where(mask, x, torch.zeros_like(x))


@part
@dataclass(frozen=True)
class Gaussian(Family):
    r"""Independent normal features, N(mu, sigma^2).

    .. math:: \log p(x) = -\tfrac12 \sum_d \left[ ((x_d - \mu_d)/\sigma_d)^2 + 2\log\sigma_d + \log 2\pi \right]

    Args:
        dim: D; 0 is the latent of a model without latents, with density 1.
        scale: "each" (from the context, per feature), "feature" (learned per feature, the same for all data),
            "shared" (one learned number), or a fixed number.
        floor: what a learned scale stays above, in (0, 1).

    Example:
        >>> Gaussian(2)(torch.zeros(4)).base_dist
        Normal(loc: torch.Size([2]), scale: torch.Size([2]))
    """

    dim: int
    scale: Literal["each", "feature", "shared"] | float = "each"
    floor: float = FLOOR

    def __post_init__(self) -> None:
        if not isinstance(self.scale, str) and not 0 < self.scale < BOUND:
            raise UsageError(f"a scale of {self.scale:g} cannot work", "Give a positive number.")
        if isinstance(self.scale, str) and self.scale not in ("each", "feature", "shared"):
            raise UsageError(f"there is no scale {self.scale!r}", 'Choose "each", "feature", "shared" or a number.')
        if not 0 < self.floor < 1:
            raise UsageError(f"a floor of {self.floor:g} cannot work", "Give --floor a number between 0 and 1.")

    @property
    def smallest(self) -> float:
        """The smallest scale that `raw` can express."""
        return 2 * self.floor

    def raw(self, scale: Tensor) -> Tensor:
        """The parameters of these scales; those below `smallest` are raised to it."""
        return positive_inverse(scale, self.floor)

    @property
    def shared(self) -> int:
        return {"feature": self.dim, "shared": 1}.get(self.scale, 0) if isinstance(self.scale, str) else 0

    @property
    def size(self) -> int:
        return self.dim + (self.dim if self.scale == "each" else self.shared)

    def loc_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """mu [..., D] and sigma, which broadcasts against it."""
        loc = params[..., : self.dim].clamp(-BOUND, BOUND)
        if not isinstance(self.scale, str):
            return loc, torch.full_like(params[..., :1], self.scale)
        return loc, positive(params[..., self.dim :], self.floor)

    @property
    def phrase(self) -> str:
        kind = {"each": "", "feature": ", a scale per feature", "shared": ", one shared scale"}
        how = kind[self.scale] if isinstance(self.scale, str) else f", scale {self.scale:g}"
        return f"Gaussian({self.dim}{how})"

    def __call__(self, params: Tensor) -> Distribution:
        loc, scale = self.loc_scale(params)
        return Independent(Normal(loc, scale.expand_as(loc), validate_args=False), 1, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        loc, scale = self.loc_scale(params)
        residual = (_filled(x, mask) - loc) / scale
        if mask is None:
            logs = scale.log().sum(-1) * (1 if scale.shape[-1] == self.dim else self.dim)
            return -0.5 * (residual.square().sum(-1) + self.dim * LOG_2PI) - logs
        return _total(-0.5 * (residual.square() + LOG_2PI) - scale.log(), mask)


class _BernoulliTerms(torch.autograd.Function):
    """x l - log(1 + e^l), term by term: the sums of both apart would cancel, or overflow.

    A saturated pixel's e^-|l| is so small that processors fall back to slow arithmetic (denormal numbers), here, in
    every product with its gradient and in the optimiser's squares; log(1 + x) is slow for x below 1e-11 too. So l is
    held above -25 in the logarithm, far below the rounding of single precision (-80 in double, where exactness is asked
    for), and the gradient at 1e-11 of the largest. Above 40 that logarithm is l to the last digit.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        # beyond the threshold, log(1 + e^l) is l to the last digit
        most = 80.0 if logits.dtype == torch.float64 else 25.0
        return torch.addcmul(softplus(logits.clamp_min(-most), threshold=40).neg_(), x, logits)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        logits, x = ctx.saved_tensors
        most = 80.0 if logits.dtype == torch.float64 else 25.0
        slope = logits.clamp(-most, most).sigmoid_()
        torch.sub(x, slope, out=slope)
        return slope.mul_(grad), logits * grad if ctx.needs_input_grad[1] else None


@part
@dataclass(frozen=True)
class Bernoulli(Family):
    r"""Independent binary features with logits l: :math:`\log p(x) = \sum_d x_d l_d + \log\sigma(-l_d)`.

    Args:
        dim: D.
    """

    dim: int

    @property
    def size(self) -> int:
        return self.dim

    @property
    def phrase(self) -> str:
        return f"Bernoulli({self.dim})"

    def __call__(self, params: Tensor) -> Distribution:
        return Independent(TorchBernoulli(logits=params, validate_args=False), 1, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x, params = torch.broadcast_tensors(_filled(x, mask), params)
        return _total(_BernoulliTerms.apply(params, x), mask)  # pyright: ignore[reportArgumentType]


@part
@dataclass(frozen=True)
class Categorical(Family):
    r"""One of n classes, as a one-hot event: :math:`\log p(x) = \sum_j x_j \log\mathrm{softmax}(l)_j`.

    Args:
        dim: n classes.
    """

    dim: int

    @property
    def size(self) -> int:
        return self.dim

    @property
    def phrase(self) -> str:
        return f"Categorical({self.dim})"

    def __call__(self, params: Tensor) -> Distribution:
        return OneHotCategorical(logits=params, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise CompositionError("a Categorical event is observed as a whole", "Mask all of its features or none.")
        # by selection, so that a class of probability zero does not make 0 * inf
        logs = log_softmax(params, -1)
        return torch.where(x > 0.5, logs, torch.zeros_like(logs)).sum(-1)


@part
@dataclass(frozen=True)
class Mixture(Family):
    r"""A mixture of n members of one family: :math:`\log p(x) = \log\sum_j \pi_j\, p_j(x)`.

    Zero parameters give equal weights and n standard members, which is the standard member itself. A mixture of
    factorised families can be scored on its observed features.

    Args:
        part: the family of the components; parameters shared across contexts are not supported in it.
        n: components.
    """

    part: Family
    n: int

    def __post_init__(self) -> None:
        if self.part.shared:
            raise CompositionError(
                "a Mixture needs components whose parameters all come from the context", 'Use scale="each".'
            )

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.part.dim

    @property
    def size(self) -> int:
        return self.n * (1 + self.part.size)

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        return params[..., : self.n], params[..., self.n :].unflatten(-1, (self.n, self.part.size))

    @property
    def phrase(self) -> str:
        return f"Mixture of {self.n} {self.part.phrase}"

    def __call__(self, params: Tensor) -> Distribution:
        logits, parts = self._split(params)
        return MixtureSameFamily(
            TorchCategorical(logits=logits, validate_args=False), self.part(parts), validate_args=False
        )

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        logits, parts = self._split(params)
        each = self.part.log_prob(parts, x.unsqueeze(-2), None if mask is None else mask.unsqueeze(-2))
        return torch.logsumexp(log_softmax(logits, -1) + each, -1)


@part
@dataclass(frozen=True)
class DiscretizedLogistic(Family):
    """Independent integer features 0..L-1, each a logistic variable seen in bins (see the distribution of that name).

    Args:
        dim: D.
        levels: L; 256 for 8-bit pixels.
    """

    dim: int
    levels: int = 256

    @property
    def size(self) -> int:
        return 2 * self.dim

    def _base(self, params: Tensor) -> BinnedLogistic:
        loc = params[..., : self.dim].clamp(-BOUND, BOUND)
        return BinnedLogistic(loc, positive(params[..., self.dim :]), self.levels, validate_args=False)

    @property
    def phrase(self) -> str:
        return f"DiscretizedLogistic({self.dim}, {self.levels} levels)"

    def __call__(self, params: Tensor) -> Distribution:
        return Independent(self._base(params), 1, validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return _total(self._base(params).log_prob(_filled(x, mask)), mask)
