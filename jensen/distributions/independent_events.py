"""Independent events, concatenated into one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["IndependentEvents"]


class _Each(constraints.Constraint):
    """Concatenated events that are each in their common support."""

    event_dim = 1

    def __init__(self, base: constraints.Constraint, size: int) -> None:
        self.base, self.size = base, size

    @property
    def is_discrete(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.base.is_discrete)

    def check(self, value: Tensor) -> Tensor:
        return self.base.check(value.unflatten(-1, (-1, self.size))).all(-1)


class IndependentEvents(Distribution):
    """n independent events of E features, as one flat event of n * E.

    Args:
        base: batch shape [..., n], event shape [E].
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, base: Distribution) -> None:
        self.base, self.each = base, base.event_shape[0]
        self.has_rsample = base.has_rsample
        shape = torch.Size((base.batch_shape[-1] * self.each,))
        super().__init__(base.batch_shape[:-1], shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Each(self.base.support, self.each)  # pyright: ignore[reportArgumentType]

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> IndependentEvents:
        return IndependentEvents(self.base.expand(torch.Size((*batch_shape, self.base.batch_shape[-1]))))

    @property
    def mean(self) -> Tensor:
        return self.base.mean.flatten(-2)

    @property
    def variance(self) -> Tensor:
        return self.base.variance.flatten(-2)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.base.sample(torch.Size(sample_shape)).flatten(-2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.base.rsample(torch.Size(sample_shape)).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.base.log_prob(value.unflatten(-1, (-1, self.each))).sum(-1)
