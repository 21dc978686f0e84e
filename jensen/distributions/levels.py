"""Distributions over the numbers 0..L-1 of levels: unordered ones by logits, ordered ones by cut points."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from ..core.shapes import broadcast_shapes
from .numbers import largest_by_noise

__all__ = ["Choice", "OrderedLogistic"]


class _Levels(Distribution):
    """The number of one of L levels: its moments from their probabilities."""

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False
    levels: int

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        return constraints.integer_interval(0, self.levels - 1)

    @property
    @abstractmethod
    def probs(self) -> Tensor:
        """The probabilities [..., L]."""

    def _moment(self, power: int) -> Tensor:
        probs = self.probs
        return probs @ torch.arange(self.levels, dtype=probs.dtype, device=probs.device) ** power

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def variance(self) -> Tensor:
        return (self._moment(2) - self._moment(1).square()).clamp_min(0)


class Choice(_Levels):
    r"""The number of one of L levels: :math:`\log P(x = j) = \mathrm{log\,softmax}(l)_j`.

    Levels of logit minus infinity do not exist, so that variables of different numbers of levels are one tensor.

    Args:
        logits: [..., L].

    Example:
        >>> d = Choice(torch.tensor([0.0, 0.0, -torch.inf]))
        >>> d.log_prob(torch.tensor([0.0, 1.0])).exp(), d.mean
        (tensor([0.5000, 0.5000]), tensor(0.5000))
    """

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logs, self.levels = logits.log_softmax(-1), logits.shape[-1]
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Choice:
        return Choice(self.logs.expand(*batch_shape, self.levels), False)

    @property
    def probs(self) -> Tensor:
        """The probabilities [..., L]."""
        return self.logs.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        shape = broadcast_shapes(value.shape, self.logs.shape[:-1])
        index = value.clamp(0, self.levels - 1).long().expand(shape).unsqueeze(-1)
        return self.logs.expand(*shape, self.levels).gather(-1, index).squeeze(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            return largest_by_noise(self.logs, sample_shape).to(self.logs.dtype)


class OrderedLogistic(_Levels):
    r"""The number of one of L ordered levels: a logistic variable in bins between increasing cut points c.

    .. math:: P(x = j) = \sigma((c_{j+1} - \mu)/s) - \sigma((c_j - \mu)/s), \quad c_0 = -\infty,\; c_L = \infty

    The difference is :math:`\log\sigma(b) + \log\sigma(-a) + \log(1 - e^{a-b})`, which is exact in both tails, with
    b - a from the gap between two cut points, not from their difference.

    Args:
        loc, scale: [...].
        cuts: [..., L + 1], the first and last so far away that no probability is left beyond.
        gaps: [..., L] between two cut points.

    Source: McCullagh, "Regression models for ordinal data", 1980.
    """

    def __init__(
        self, loc: Tensor, scale: Tensor, cuts: Tensor, gaps: Tensor, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.cuts, self.gaps, self.levels = cuts, gaps, gaps.shape[-1]
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> OrderedLogistic:
        return OrderedLogistic(self.loc.expand(batch_shape), self.scale.expand(batch_shape), self.cuts, self.gaps)

    def log_prob(self, value: Tensor) -> Tensor:
        shape = broadcast_shapes(value.shape, self.loc.shape)
        index = value.clamp(0, self.levels - 1).long().expand(shape).unsqueeze(-1)
        cuts = self.cuts.expand(*shape, self.levels + 1).gather(-1, torch.cat([index, index + 1], -1))
        gap = self.gaps.expand(*shape, self.levels).gather(-1, index).squeeze(-1)
        lower, upper = ((cuts - self.loc.unsqueeze(-1)) / self.scale.unsqueeze(-1)).unbind(-1)
        return logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-gap / self.scale))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            u = torch.rand(self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype, device=self.loc.device)
            y = self.loc + self.scale * torch.logit(u, eps=torch.finfo(u.dtype).tiny)
            return (y.unsqueeze(-1) > self.cuts[..., 1:]).sum(-1).to(y.dtype)

    @property
    def probs(self) -> Tensor:
        """The probabilities [..., L]; 0 for levels that do not exist."""
        lower, upper = (
            (cuts - self.loc.unsqueeze(-1)) / self.scale.unsqueeze(-1)
            for cuts in (self.cuts[..., :-1], self.cuts[..., 1:])
        )
        gap = -torch.expm1(-self.gaps / self.scale.unsqueeze(-1))
        return torch.sigmoid(upper) * torch.sigmoid(-lower) * gap
