"""Distributions with heaps: single values that have a mass of their own, beside whatever spreads over the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .numbers import largest_by_noise

__all__ = ["Heaped"]


class Heaped(Distribution):
    r"""Whole numbers of which some have a mass of their own, such as hours of work that are 40 for most people.

    .. math:: P(x) = w_0 P_0(x) + \sum_a w_a 1[x = h_a]

    Args:
        logits: [..., D, 1 + A] of the weights, that of the rest first.
        heaps: [D, A] the values h, all different; NaN where a feature has fewer than A.
        rest: P_0, of whole numbers, batch shape [..., D].

    Source: Heitjan & Rubin, "Inference from coarse data via multiple imputation with application to age heaping", 1990.

    Example:
        >>> from jensen.distributions import RoundedLogistic
        >>> rest = RoundedLogistic(torch.zeros(1), torch.ones(1), torch.tensor(40.0), torch.tensor(12.0))
        >>> hours = Heaped(torch.zeros(1, 2), torch.tensor([[40.0]]), rest)
        >>> hours.log_prob(torch.tensor([[40.0], [41.0]])).exp()[:, 0]
        tensor([0.5104, 0.0104])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(self, logits: Tensor, heaps: Tensor, rest: Distribution, validate_args: bool | None = None) -> None:
        self.is_heap = ~heaps.isnan()
        self.heaps, self.rest = torch.where(self.is_heap, heaps, 0.0), rest
        own = torch.where(self.is_heap, logits[..., 1:], -math.inf)
        self.logs = torch.cat([logits[..., :1], own], -1).log_softmax(-1)
        super().__init__(self.logs.shape[:-1], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.rest.support  # pyright: ignore[reportReturnType]

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Heaped:
        logs = self.logs.expand(torch.Size((*batch_shape, self.logs.shape[-1])))
        heaps = torch.where(self.is_heap, self.heaps, math.nan)
        return Heaped(logs, heaps, self.rest.expand(torch.Size(batch_shape)), False)

    def log_prob(self, value: Tensor) -> Tensor:
        is_at = (value.unsqueeze(-1) == self.heaps) & self.is_heap
        own = torch.where(is_at, self.logs[..., 1:], -math.inf)
        spread = self.logs[..., 0] + self.rest.log_prob(value)
        return torch.logsumexp(torch.cat([spread.unsqueeze(-1), own], -1), -1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            x = self.rest.sample(torch.Size(sample_shape))
            chosen = largest_by_noise(self.logs, sample_shape).unsqueeze(-1)
            heaps = self.heaps.expand((*x.shape, self.heaps.shape[-1]))
            return torch.where(chosen[..., 0] == 0, x, heaps.gather(-1, (chosen - 1).clamp_min(0))[..., 0])

    @property
    def mean(self) -> Tensor:
        weights = self.logs.exp()
        return weights[..., 0] * self.rest.mean + (weights[..., 1:] * self.heaps).sum(-1)

    @property
    def variance(self) -> Tensor:
        weights, mean = self.logs.exp(), self.mean
        of_rest = self.rest.variance + (self.rest.mean - mean).square()
        of_heaps = (self.heaps - mean.unsqueeze(-1)).square()
        return weights[..., 0] * of_rest + (weights[..., 1:] * of_heaps).sum(-1)
