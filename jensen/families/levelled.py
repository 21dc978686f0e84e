"""Families of levels, given by their numbers: unordered ones, and ordered ones."""

from __future__ import annotations

import functools
import itertools
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import pad

from ..core.annotations import Bins
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import Choice, OrderedLogistic
from .base import BOUND, Factorised, PointKind, constant, limited, positive, positive_inverse
from .support import Support, Supports, levels

__all__ = ["Choices", "Levelled", "Ordinal"]

FAR = 1e20  # a cut point beyond which no probability is left, for locations and scales within +-1e12
START = 0.05  # the least probability at which a decoder starts


class _Spread(torch.autograd.Function):
    """Values at given places of the last axis; each place is taken at most once but for those that are masked later.

    The gradient goes the other way by the same operation, where that of an index would add up entries one by one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(index, back)
        return x[..., index]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        index, back = ctx.saved_tensors
        return _Spread.apply(grad, back, index), None, None  # pyright: ignore[reportReturnType]


@functools.cache
def _places(sizes: tuple[int, ...], width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the places of rows of several sizes, written one after another, in a table of that width.

    Returns:
        The index [D * width] of each entry of the table (0 where there is none), the place [sum of sizes] of each
        value in the table, and a mask [D, width], True where there is no value.
    """
    with torch.inference_mode(False):
        lengths = torch.tensor(sizes, device=device)
        none = torch.arange(width, device=device) >= lengths[:, None]
        index = torch.arange(width, device=device) + (lengths.cumsum(0) - lengths)[:, None]
        back = (~none).flatten().nonzero().flatten()
        return index.masked_fill(none, 0).flatten(), back, none


def _table(values: Tensor, sizes: tuple[int, ...], width: int, fill: float) -> Tensor:
    """Return rows of several sizes, written one after another [..., S], as a table [..., D, width]."""
    if all(size == width for size in sizes):
        return values.unflatten(-1, (len(sizes), width))
    index, back, none = _places(sizes, width, values.device)
    spread: Tensor = _Spread.apply(values, index, back)  # pyright: ignore[reportAssignmentType]
    return spread.unflatten(-1, (len(sizes), width)).masked_fill(none, fill)


class Levelled(Factorised):
    """A family of features of several numbers of levels, whose summary is the probability of each level."""

    levels: tuple[int, ...]
    fewest: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_integer(self.fewest, levels=self.levels)
        require_integer(levels_of_features=len(self.levels))

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.levels)

    @property
    def support(self) -> Support | Supports:
        return Supports.of([levels(n) for n in self.levels])

    @property
    def phrase(self) -> str:
        few, many = min(self.levels), max(self.levels)
        return f"{type(self).__name__}({self.dim}, {few if few == many else f'{few} to {many}'} levels)"

    @abstractmethod
    def of_probabilities(self, probabilities: Sequence[Tensor]) -> Tensor:
        """Return the parameters [P] by which the levels of each feature have these probabilities [L_d], all above 0."""

    @property
    def summary_sizes(self) -> tuple[int, ...]:
        return self.levels

    def summary(self, params: Tensor) -> Tensor:
        """Return the probabilities [..., sum L_d] of the levels of each feature."""
        probs: Tensor = self.features(params).probs  # pyright: ignore[reportAttributeAccessIssue]
        _, back, _ = _places(self.levels, max(self.levels), probs.device)
        return probs.flatten(-2)[..., back]


@part
@dataclass(frozen=True)
class Choices(Levelled):
    r"""Independent features that are each one of L_d levels, by number: :math:`\log P(x) = \sum_d \log\pi_{d x_d}`.

    The parameters are the logits of the levels, feature after feature. Zero parameters are equal probabilities.

    Args:
        levels: L_d of each feature; one that has a single level has log P = 0.

    Example:
        >>> Choices((2, 4)).log_prob(torch.zeros(6), torch.tensor([1.0, 3.0])).exp()
        tensor(0.1250)
    """

    levels: tuple[Bins, ...]

    @property
    def size(self) -> int:
        return sum(self.levels)

    def start(self, mean: Tensor) -> Tensor:
        """Return the logits of binary features with these means; a mean of names says nothing about other features."""
        each = [
            torch.stack([m.new_zeros(()), torch.logit(m.clamp(0.01, 0.99))]) if n == 2 else m.new_zeros(n)
            for m, n in zip(mean, self.levels, strict=True)
        ]
        return torch.cat(each)

    def of_probabilities(self, probabilities: Sequence[Tensor]) -> Tensor:
        return torch.cat([p.log() - p.log().mean() for p in probabilities])

    def point(self, summary: Tensor, kind: PointKind = "mean") -> Tensor:
        """Return the most probable level of each feature."""
        return _table(summary, self.levels, max(self.levels), -1.0).argmax(-1).to(summary.dtype)

    def features(self, params: Tensor) -> Distribution:
        logits = _table(limited(params), self.levels, max(self.levels), -math.inf)
        return Choice(logits, validate_args=False)


@part
@dataclass(frozen=True)
class Ordinal(Levelled):
    r"""Independent features of L_d ordered levels: a logistic variable between cut points (cumulative logits).

    .. math:: P(x_d \le j) = \sigma((c_{dj} - \mu_d)/s_d), \quad c_{d0} < c_{d1} < \dots < c_{d,L-2}

    Location and scale come from the context; the gaps between cut points are learned, the same for all data. Zero
    parameters are equal probabilities.

    Args:
        levels: L_d of each feature, 2 or more.

    Source: McCullagh, "Regression models for ordinal data", 1980.

    Example:
        >>> family = Ordinal((3, 4))
        >>> family.size, family.shared
        (7, 3)
        >>> family.log_prob(torch.zeros(7), torch.tensor([2.0, 0.0])).exp()
        tensor(0.0833)
    """

    levels: tuple[Bins, ...]
    fewest: ClassVar[int] = 2

    @property
    def shared(self) -> int:
        return sum(self.levels) - 2 * self.dim

    @property
    def size(self) -> int:
        return 2 * self.dim + self.shared

    def start(self, mean: Tensor) -> Tensor:
        """Return locations of about these means: the logit of a mean within its range."""
        most = torch.tensor(self.levels, dtype=mean.dtype, device=mean.device) - 1
        return torch.logit((mean / most).clamp(START, 1 - START))

    def of_probabilities(self, probabilities: Sequence[Tensor]) -> Tensor:
        """Return the parameters [P] by which the levels of each feature have these probabilities [L_d], all above 0.

        The factors of the gaps have a geometric mean of 1, which decides the scale.
        """
        locations, scales, gaps = [], [], []
        for p, n in zip(probabilities, self.levels, strict=True):
            below, above = p.cumsum(-1)[:-1], p.flip(-1).cumsum(-1).flip(-1)[1:]
            cuts, first = (below / above).log(), _standard_cuts(n)[0]
            factors = cuts.diff() / cuts.new_tensor([b - a for a, b in itertools.pairwise(_standard_cuts(n))])
            scale = cuts.new_ones(()) if n == 2 else (-factors.log().mean()).exp()
            locations.append(first - scale * cuts[0])
            scales.append(scale)
            gaps.append(scale * factors)
        raw = positive_inverse(torch.cat([torch.stack(scales), *gaps]))
        return torch.cat([torch.stack(locations), raw])

    def point(self, summary: Tensor, kind: PointKind = "mean") -> Tensor:
        """Return the level next to the mean, the median level (the first with half of the mass), or the likeliest."""
        probs = _table(summary, self.levels, max(self.levels), 0.0)
        if kind == "mode":
            return probs.argmax(-1).to(summary.dtype)
        mass = probs.sum(-1)
        if kind == "median":
            return (probs.cumsum(-1) < 0.5 * mass.unsqueeze(-1)).sum(-1).to(summary.dtype)
        return ((probs @ torch.arange(probs.shape[-1]).to(probs)) / mass).round()

    def features(self, params: Tensor) -> Distribution:
        loc, scale, gaps = params.split([self.dim, self.dim, self.shared], -1)
        factors = _factors(positive(gaps).clamp_max(BOUND), self.levels)
        first, widths = _standard_gaps(self.levels)
        shape = (self.dim, max(self.levels))
        cuts = (factors * constant(first, params).view(shape)).cumsum(-1)
        return OrderedLogistic(
            limited(loc),
            positive(scale).clamp_max(BOUND),
            pad(cuts, (1, 0), value=-FAR),
            factors * constant(widths, params).view(shape),
            validate_args=False,
        )


def _factors(gaps: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the factors [..., D, L] of the gaps between cut points, 1 where there is none to learn."""
    width = max(sizes)
    if width == 2:
        return gaps.new_ones(*gaps.shape[:-1], len(sizes), width)
    inner = _table(gaps, tuple(n - 2 for n in sizes), width - 2, 1.0)
    return pad(inner, (1, 1), value=1.0)


def _standard_cuts(n: int) -> list[float]:
    """Return the cut points between n levels of equal probability, of the standard logistic distribution."""
    return [math.log(j / (n - j)) for j in range(1, n)]


@functools.cache
def _standard_gaps(sizes: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what cut points of equal probabilities add up from, and the gaps below them, each [D * L].

    Of a feature of n levels they are c_0, the gaps c_j - c_(j-1), and then a step of `FAR` to the upper end, which all
    further cut points share. The gap below c_0 is `FAR` too.
    """
    steps: list[float] = []
    gaps: list[float] = []
    for n in sizes:
        cuts = _standard_cuts(n)
        between = [b - a for a, b in itertools.pairwise(cuts)]
        after = max(sizes) - n
        steps += [cuts[0], *between, FAR, *[0.0] * after]
        gaps += [FAR, *between, FAR, *[FAR] * after]
    return tuple(steps), tuple(gaps)
