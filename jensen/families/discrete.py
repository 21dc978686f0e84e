"""Families of bits, classes and levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent, OneHotCategorical
from torch.nn.functional import log_softmax, softplus

from ..core.annotations import Bins
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import DiscretizedLogistic as BinnedLogistic
from .base import BOUND, Factorised, PerFeature, PointKind, filled, positive, total
from .support import BITS, Support, levels

__all__ = ["Bernoulli", "Categorical", "DiscretizedLogistic"]


class _BernoulliTerms(torch.autograd.Function):
    """log(1 + e^l) - x l, term by term: separate sums of the two would cancel, or overflow.

    A saturated pixel's e^-|l| is so small that processors fall back to slow arithmetic (denormal numbers), here, in
    every product with its gradient and in the optimiser's squares; log(1 + x) is slow for x below 1e-11 too. So l is
    clamped to at least -25 in the logarithm, far below the rounding of single precision (-80 in double, for exactness),
    and the gradient is at least 1e-11 of the largest. Above 40 that logarithm is l to the last digit.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(logits, x)
        most = 80.0 if logits.dtype == torch.float64 else 25.0
        return softplus(logits.clamp_min(-most), threshold=40).addcmul_(x, logits, value=-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        logits, x = ctx.saved_tensors
        most = 80.0 if logits.dtype == torch.float64 else 25.0
        of_x = -logits * grad if ctx.needs_input_grad[1] else None
        if torch.is_grad_enabled():  # this gradient will be differentiated, so nothing may be overwritten
            return (logits.clamp(-most, most).sigmoid() - x) * grad, of_x
        return logits.clamp(-most, most).sigmoid_().sub_(x).mul_(grad), of_x


FACTORS = 100  # factors from 1/2 to 1, whose product does not underflow in single precision


def _bernoulli_log_prob(logits: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
    r"""Return log p(x) [...] without gradients, in half the time of the terms above.

    .. math:: x l - \log(1 + e^l) = -\tfrac12 (|l| + (1 - 2x) l) + \log\sigma(|l|)

    The first sum does not cancel: for bits its terms are exactly 0 or 2 |l|. The second is the logarithm of a product
    of sigmoids, so that there is one exponential per feature and one logarithm per `FACTORS` of them. Sigmoids are
    rounded, which adds an error of about 2^-24 nats per feature (2^-53 in double precision).
    """
    if mask is not None:  # certain, and as expected: both terms are exactly 0
        logits = torch.where(mask, logits, -BOUND)
    size = logits.abs()
    missed = torch.addcmul(size, logits, 1 - 2 * x).sum(-1)
    factors = size.sigmoid_()
    whole = factors.shape[-1] // FACTORS * FACTORS
    logs = factors[..., whole:].prod(-1).log_()
    if whole:
        logs = logs + factors[..., :whole].unflatten(-1, (-1, FACTORS)).prod(-1).log_().sum(-1)
    return logs - 0.5 * missed


@part
@dataclass(frozen=True)
class Bernoulli(PerFeature):
    r"""Independent binary features with logits l: :math:`\log p(x) = \sum_d x_d l_d + \log\sigma(-l_d)`.

    Args:
        dim: D.
    """

    dim: int

    @property
    def support(self) -> Support:
        return BITS

    def start(self, mean: Tensor) -> Tensor:
        return torch.logit(mean.clamp(0.01, 0.99))

    def __call__(self, params: Tensor) -> Distribution:
        return Independent(TorchBernoulli(logits=params, validate_args=False), 1, validate_args=False)

    @property
    def factorises(self) -> bool:
        return True

    def terms(self, params: Tensor, x: Tensor) -> Tensor:
        x, params = torch.broadcast_tensors(x, params)
        return -_BernoulliTerms.apply(params, x)  # pyright: ignore[reportOperatorIssue]

    @property
    def summary_sizes(self) -> tuple[int, ...]:
        return (2,) * self.dim

    def summary(self, params: Tensor) -> Tensor:
        """Return the probabilities [..., 2 D] of 0 and 1 of each feature."""
        return torch.stack([torch.sigmoid(-params), torch.sigmoid(params)], -1).flatten(-2)

    def point(self, summary: Tensor, kind: PointKind = "mean") -> Tensor:
        return summary.unflatten(-1, (self.dim, 2)).argmax(-1).to(summary.dtype)

    def log_prob(self, params: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if not torch.is_grad_enabled():
            return _bernoulli_log_prob(params, filled(x, mask), mask)
        x, params = torch.broadcast_tensors(filled(x, mask), params)
        return -total(_BernoulliTerms.apply(params, x), mask)  # pyright: ignore[reportArgumentType]


@part
@dataclass(frozen=True)
class Categorical(PerFeature):
    r"""One of n classes, as a one-hot event: :math:`\log p(x) = \sum_j x_j \log\mathrm{softmax}(l)_j`.

    Args:
        dim: n classes.
    """

    dim: int

    @property
    def support(self) -> Support:
        return BITS

    def start(self, mean: Tensor) -> Tensor:
        return mean.clamp(0.01, 0.99).log()

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
class DiscretizedLogistic(Factorised):
    """Independent integer features 0..L-1, each a logistic variable in bins (see the distribution of that name).

    Args:
        dim: D.
        levels: L; 256 for 8-bit pixels.
    """

    dim: int
    levels: Bins = 256

    def __post_init__(self) -> None:
        require_integer(dim=self.dim)
        require_integer(2, levels=self.levels)

    @property
    def size(self) -> int:
        return 2 * self.dim

    @property
    def support(self) -> Support:
        return levels(self.levels)

    @property
    def phrase(self) -> str:
        return f"DiscretizedLogistic({self.dim}, {self.levels} levels)"

    def start(self, mean: Tensor) -> Tensor:
        return mean * (2 / (self.levels - 1)) - 1

    def features(self, params: Tensor) -> Distribution:
        loc = params[..., : self.dim].clamp(-BOUND, BOUND)
        return BinnedLogistic(loc, positive(params[..., self.dim :]), self.levels, validate_args=False)
