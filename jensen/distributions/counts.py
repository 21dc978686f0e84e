"""Distributions of counts 0, 1, 2, ...: masses in double precision inside, since log-gamma functions cancel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid, softplus

from .numbers import wide

__all__ = ["NegativeBinomial", "Poisson", "ZeroInflated"]

MOST = 2e9  # a larger rate cannot be sampled on every device
MANY = 2**15  # entries, from which it pays to look for those above 0


class Poisson(Distribution):
    r"""Counts with one rate: :math:`\log P(x) = x \log\lambda - \lambda - \log x!`.

    Args:
        log_rate: [...].

    Example:
        >>> round(float(Poisson(torch.zeros(1)).log_prob(torch.arange(20.0)[:, None]).exp().sum()), 6)
        1.0
    """

    arg_constraints = {"log_rate": constraints.real}  # pyright: ignore[reportAssignmentType]
    support = constraints.nonnegative_integer  # pyright: ignore[reportAssignmentType]

    def __init__(self, log_rate: Tensor, validate_args: bool | None = None) -> None:
        self.log_rate = log_rate
        super().__init__(log_rate.shape, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> Poisson:
        return Poisson(self.log_rate.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_rate, x = wide(self.log_rate), wide(value)
        return (x * log_rate - log_rate.exp() - torch.lgamma(x + 1)).to(self.log_rate.dtype)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            return torch.poisson(self.mean.clamp_max(MOST).expand(self._extended_shape(torch.Size(sample_shape))))

    @property
    def mean(self) -> Tensor:
        return self.log_rate.exp()

    @property
    def variance(self) -> Tensor:
        return self.mean


def _dispersed(log_mean: Tensor, theta: Tensor, x: Tensor) -> Tensor:
    """Return the log-mass of a negative binomial, whose gradients are autograd's."""
    wide_theta, wide_x = wide(theta), wide(x)
    logit = wide(log_mean) - wide_theta.log()
    ways = torch.lgamma(wide_x + wide_theta) - torch.lgamma(wide_theta) - torch.lgamma(wide_x + 1)
    return (ways + wide_theta * logsigmoid(-logit) + wide_x * logsigmoid(logit)).to(log_mean.dtype)


class _Dispersed(torch.autograd.Function):
    """Its log-mass with gradients in closed form. Of many entries on a CPU, gamma functions are those of counts above 0
    alone, since most counts of large tables are 0: log P(0) is one product, without cancellation."""

    @staticmethod
    def forward(ctx: Any, log_mean: Tensor, theta: Tensor, x: Tensor) -> Tensor:
        above = x.reshape(-1).nonzero()[:, 0] if _are_many(x) else None
        ctx.save_for_backward(log_mean, theta, x, above)
        if above is None:
            return _dispersed(log_mean, theta, x)
        log_p = softplus(log_mean - theta.log()).mul_(theta).neg_().reshape(-1)
        some = _dispersed(*_at(above, log_mean, theta, x))
        return log_p.scatter_(0, above, some.to(log_p.dtype)).view(x.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        log_mean, theta, x, above = ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient will be differentiated
            of = [t for t, needed in zip((log_mean, theta), ctx.needs_input_grad, strict=False) if needed]
            given = iter(torch.autograd.grad(_dispersed(log_mean, theta, x), of, grad, create_graph=True))
            return tuple(next(given) if needed else None for needed in ctx.needs_input_grad)
        if above is None:
            of_mean, of_theta = _slopes(wide(log_mean), wide(theta), wide(x))
        else:
            logit = log_mean - theta.log()
            s = logit.sigmoid()
            of_mean, of_theta = (-theta * s).contiguous(), (s - softplus(logit)).contiguous()  # where x is 0
            for slope, some in zip((of_mean, of_theta), _slopes(*_at(above, log_mean, theta, x)), strict=True):
                slope.view(-1).scatter_(0, above, some.to(slope.dtype))
        return of_mean.to(grad.dtype) * grad, of_theta.to(grad.dtype) * grad, None


def _slopes(log_mean: Tensor, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of the log-mass by log mu and theta."""
    logit = log_mean - theta.log()
    s = logit.sigmoid()  # mu / (mu + theta)
    steps = torch.digamma(x + theta) - torch.digamma(theta)
    return x - (x + theta) * s, steps + s - softplus(logit) - x * (1 - s) / theta


def _at(index: Tensor, *parts: Tensor) -> list[Tensor]:
    """Return these entries of tensors, flat and in double precision."""
    return [part.reshape(-1).index_select(0, index).double() for part in parts]


def _are_many(x: Tensor) -> bool:
    """Return whether the entries above 0 are worth looking for: a GPU would wait for their number."""
    return x.device.type == "cpu" and x.numel() >= MANY and x.is_floating_point()


class NegativeBinomial(Distribution):
    r"""A Poisson count whose rate has a Gamma distribution, by its mean and its inverse dispersion.

    .. math:: \log P(x) = \log\frac{\Gamma(x+\theta)}{\Gamma(\theta)\, x!} + \theta\log\frac{\theta}{\theta+\mu}
        + x\log\frac{\mu}{\theta+\mu}, \qquad \mathrm{Var}\,x = \mu + \mu^2/\theta

    Args:
        log_mean: [...] log mu.
        theta: [...] inverse dispersion; the Poisson is its limit at infinity.

    Example:
        >>> d = NegativeBinomial(torch.zeros(1), torch.ones(1))  # the geometric distribution of mean 1
        >>> d.log_prob(torch.tensor([3.0])).exp()
        tensor([0.0625])
    """

    arg_constraints = {"log_mean": constraints.real, "theta": constraints.positive}  # pyright: ignore[reportAssignmentType]
    support = constraints.nonnegative_integer  # pyright: ignore[reportAssignmentType]

    def __init__(self, log_mean: Tensor, theta: Tensor, validate_args: bool | None = None) -> None:
        self.log_mean, self.theta = torch.broadcast_tensors(log_mean, theta)
        super().__init__(self.log_mean.shape, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> NegativeBinomial:
        return NegativeBinomial(self.log_mean.expand(batch_shape), self.theta.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_mean, theta, x = torch.broadcast_tensors(self.log_mean, self.theta, value)
        if x.requires_grad:
            return _dispersed(log_mean, theta, x)
        return _Dispersed.apply(log_mean, theta, x)  # pyright: ignore[reportReturnType]

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            rate = torch._standard_gamma(self.theta.expand(shape)) * (self.mean / self.theta)  # pyright: ignore[reportPrivateImportUsage]
            return torch.poisson(rate.clamp(0, MOST))

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return self.mean + self.mean.square() / self.theta


class ZeroInflated(Distribution):
    r"""Counts of which a share is zero beyond the zeros of P_0: :math:`P(x) = \pi [x = 0] + (1 - \pi) P_0(x)`.

    Args:
        base: P_0, of batch shape [...].
        gate: [...] the logit of pi.

    Example:
        >>> ZeroInflated(Poisson(torch.zeros(1)), torch.zeros(1)).mean
        tensor([0.5000])
    """

    arg_constraints = {"gate": constraints.real}  # pyright: ignore[reportAssignmentType]
    support = constraints.nonnegative_integer  # pyright: ignore[reportAssignmentType]

    def __init__(self, base: Distribution, gate: Tensor, validate_args: bool | None = None) -> None:
        self.base, self.gate = base, gate.expand(base.batch_shape)
        super().__init__(base.batch_shape, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> ZeroInflated:
        return ZeroInflated(self.base.expand(batch_shape), self.gate.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        counted = logsigmoid(-self.gate) + self.base.log_prob(value)
        return torch.where(value == 0, torch.logaddexp(logsigmoid(self.gate), counted), counted)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            x = self.base.sample(torch.Size(sample_shape))
            return torch.where(torch.rand_like(x) < torch.sigmoid(self.gate), torch.zeros_like(x), x)

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(-self.gate) * self.base.mean

    @property
    def variance(self) -> Tensor:
        kept = torch.sigmoid(-self.gate)
        return kept * (self.base.variance + (1 - kept) * self.base.mean.square())
