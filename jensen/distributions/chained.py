"""A distribution over groups of features, each conditional on those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical, constraints

from .onehots import OneHots

__all__ = ["Chained"]


class _Joined(constraints.Constraint):
    """Points [..., Z1 + Z2] whose groups are each in their support (torch's `cat` is for supports of numbers)."""

    event_dim = 1  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, parts: Sequence[constraints.Constraint], sizes: Sequence[int]) -> None:
        self.parts, self.sizes = parts, sizes
        super().__init__()

    @property
    def is_discrete(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(part.is_discrete for part in self.parts)

    def check(self, value: Tensor) -> Tensor:
        inside = torch.ones(value.shape[:-1], dtype=torch.bool, device=value.device)
        for part, group in zip(self.parts, value.split(list(self.sizes), -1), strict=True):
            valid = part.check(group)
            inside = inside & (valid if valid.dim() < value.dim() else valid.all(-1))
        return inside


class Chained(Distribution):
    r"""Two groups of features, concatenated, the second given the first: :math:`q(z) = q(z_1)\, q(z_2 \mid z_1)`.

    The second may be such a chain again. The log-density of points that an estimator drew is kept (`remember`),
    so that the network that computes it is not run twice.

    The mean and variance of the second group are exact where the first is a class, or where the second does not depend
    on the first; elsewhere they are those at the mean of the first, an approximation that no density and no bound uses.

    Args:
        first: q(z_1), batch shape [B], event shape [Z1].
        then: z_1 [..., B, Z1] -> q(z_2 | z_1), whose batch shape is that of z_1, or [B] if it does not depend on z_1.
        size: Z2.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, first: Distribution, then: Callable[[Tensor], Distribution], size: int) -> None:
        self.first, self.then = first, then
        self._last: tuple[Tensor, Tensor] | None = None
        width = first.event_shape[0] + size
        super().__init__(first.batch_shape, torch.Size((width,)), validate_args=False)

    @cached_property
    def _second(self) -> Distribution:
        """q(z_2 | z_1) at the mean of the first group."""
        return self.then(self.first.mean)

    @property
    def has_rsample(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.first.has_rsample and self._second.has_rsample

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleVariableOverride]
        parts: list[constraints.Constraint] = [d.support for d in (self.first, self._second)]  # pyright: ignore[reportAssignmentType]
        return _Joined(parts, self.sizes)

    @property
    def sizes(self) -> tuple[int, int]:
        """Z1 and Z2."""
        size = self.first.event_shape[0]
        return size, self.event_shape[0] - size

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Chained:
        return Chained(self.first.expand(torch.Size(batch_shape)), self.then, self.sizes[1])

    def _points(self, shape: Sequence[int], *, path: bool) -> Tensor:
        z1 = self.first.rsample(torch.Size(shape)) if path else self.first.sample(torch.Size(shape))
        second = self.then(z1)
        missing = z1.shape[: z1.dim() - 1 - len(second.batch_shape)]
        return torch.cat([z1, second.rsample(missing) if path else second.sample(missing)], -1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            return self._points(sample_shape, path=False)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._points(sample_shape, path=True)

    def remember(self, z: Tensor, log_prob: Tensor) -> None:
        """Keep the log-density [...] of these very points [..., Z], computed as they were drawn."""
        self._last = z, log_prob

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and value is self._last[0]:
            return self._last[1]
        z1, z2 = value.split(self.sizes, -1)
        return self.first.log_prob(z1) + self.then(z1).log_prob(z2)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of the second group."""
        first, n = self.first, self.first.event_shape[0]
        is_class = isinstance(first, OneHotCategorical) or (isinstance(first, OneHots) and first.groups == 1)
        if not is_class:
            return self._second.mean, self._second.variance
        shares = first.mean.movedim(-1, 0)[..., None]  # [n, B, 1]
        states = torch.eye(n, dtype=shares.dtype, device=shares.device)
        each = self.then(states.view(n, *[1] * len(first.batch_shape), n).expand(n, *first.batch_shape, n))
        mean = (shares * each.mean).sum(0)
        return mean, (shares * (each.variance + (each.mean - mean).square())).sum(0)

    @property
    def mean(self) -> Tensor:
        first = self.first.mean
        return torch.cat([first, self._moments[0].expand(*first.shape[:-1], -1)], -1)

    @property
    def variance(self) -> Tensor:
        first = self.first.variance
        return torch.cat([first, self._moments[1].expand(*first.shape[:-1], -1)], -1)
