"""Mixtures of univariate distributions, one for each feature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .normal_terms import normal_log_terms
from .numbers import largest_by_noise
from .tails import LogNormal
from .unit import LogitNormal

__all__ = ["FeatureMixture", "LinkedNormal"]


class LinkedNormal(Distribution):
    r"""A variable of which y = x, log x or logit x is normal, whichever it is for each feature.

    .. math:: \log p(x) = \log N(y; \mu, \sigma^2) + \log |dy / dx|

    It is scored by :math:`r = (y - \mu)/\sigma`, so that squares of small scales do not underflow.

    Args:
        loc, scale: [...] of y.
        is_positive: which broadcasts against them, True where y = log x; None if nowhere.
        is_unit: likewise, True where y = logit x.

    Example:
        >>> d = LinkedNormal(torch.zeros(2), torch.ones(2), torch.tensor([True, False]))
        >>> d.log_prob(torch.ones(2)), d.mean
        (tensor([-0.9189, -1.4189]), tensor([1.6487, 0.0000]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        is_positive: Tensor | None = None,
        is_unit: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.is_positive, self.is_unit = is_positive, is_unit
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Linked(self.is_positive, self.is_unit)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> LinkedNormal:
        loc, scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        return LinkedNormal(loc, scale, self.is_positive, self.is_unit, False)

    def log_prob(self, value: Tensor) -> Tensor:
        y, log_slope = value, None
        if self.is_positive is not None:
            log_x = torch.where(self.is_positive, value, 1.0).log()
            y, log_slope = torch.where(self.is_positive, log_x, y), -log_x
        if self.is_unit is not None:
            x = torch.where(self.is_unit, value, 0.5)
            log_x, log_rest = x.log(), torch.log1p(-x)
            slope = torch.where(self.is_unit, -log_x - log_rest, 0.0)
            y = torch.where(self.is_unit, log_x - log_rest, y)
            log_slope = slope if log_slope is None else log_slope + slope
        terms = normal_log_terms(y, self.loc, self.scale)
        return terms if log_slope is None else terms + log_slope

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            y = self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            info, x = torch.finfo(y.dtype), y
            if self.is_positive is not None:
                x = torch.where(self.is_positive, y.exp().clamp(info.tiny, info.max), x)
            if self.is_unit is not None:
                x = torch.where(self.is_unit, y.sigmoid().clamp(info.tiny, 1 - info.eps), x)
            return x

    def _moment(self, name: str, plain: Tensor) -> Tensor:
        """Return a moment, in the place of that of y where the link is not the identity."""
        if self.is_positive is not None:
            plain = torch.where(self.is_positive, getattr(LogNormal(self.loc, self.scale, False), name), plain)
        if self.is_unit is not None:
            plain = torch.where(self.is_unit, getattr(LogitNormal(self.loc, self.scale, False), name), plain)
        return plain

    @property
    def mean(self) -> Tensor:
        return self._moment("mean", self.loc)

    @property
    def variance(self) -> Tensor:
        return self._moment("variance", self.scale.square())


class _Linked(constraints.Constraint):
    """Real numbers, above 0 or between 0 and 1 by feature."""

    def __init__(self, is_positive: Tensor | None, is_unit: Tensor | None) -> None:
        self.is_positive, self.is_unit = is_positive, is_unit

    def check(self, value: Tensor) -> Tensor:
        within = value.isfinite()
        if self.is_positive is not None:
            within = within & ((value > 0) | ~self.is_positive)
        if self.is_unit is not None:
            within = within & ((value > 0) & (value < 1) | ~self.is_unit)
        return within


class _OfComponents(constraints.Constraint):
    """The support that all components share."""

    def __init__(self, base: Distribution) -> None:
        self.part: constraints.Constraint = base.support  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def is_discrete(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.part.is_discrete)

    def check(self, value: Tensor) -> Tensor:
        return self.part.check(value.unsqueeze(-1))[..., 0]


class FeatureMixture(Distribution):
    r"""For each feature a mixture of n univariate distributions: :math:`\log p(x_d) = \log\sum_j \pi_{dj} p_{dj}(x_d)`.

    Args:
        logits: [..., D, n] of the weights, whatever their sum.
        base: batch shape [..., D, n], no event shape.

    Example:
        >>> d = FeatureMixture(torch.zeros(1, 2), LinkedNormal(torch.tensor([[-1.0, 1.0]]), torch.ones(1, 2)))
        >>> d.mean, d.variance
        (tensor([0.]), tensor([2.]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(self, logits: Tensor, base: Distribution, validate_args: bool | None = None) -> None:
        self.logits, self.base = logits, base
        super().__init__(base.batch_shape[:-1], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _OfComponents(self.base)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> FeatureMixture:
        shape = torch.Size((*batch_shape, self.logits.shape[-1]))
        return FeatureMixture(self.logits.expand(shape), self.base.expand(shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.logsumexp(self.logits.log_softmax(-1) + self.base.log_prob(value.unsqueeze(-1)), -1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            points = self.base.sample(torch.Size(sample_shape))
            chosen = largest_by_noise(self.logits.expand(self.base.batch_shape), sample_shape)
            return points.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    @property
    def mean(self) -> Tensor:
        return (self.logits.softmax(-1) * self.base.mean).sum(-1)

    @property
    def variance(self) -> Tensor:
        apart = (self.base.mean - self.mean.unsqueeze(-1)).square()
        return (self.logits.softmax(-1) * (self.base.variance + apart)).sum(-1)
