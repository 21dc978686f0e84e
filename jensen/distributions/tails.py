"""Distributions with heavy tails: Student's t and the log-normal."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .numbers import LOG_2PI, wide

__all__ = ["LogNormal", "StudentT"]


class StudentT(Distribution):
    r"""Student's t with location, scale and more than two degrees of freedom, so that its variance is finite.

    .. math:: \log p(x) = \log\frac{\Gamma(\frac{\nu+1}2)}{\Gamma(\frac\nu2)} - \tfrac12\log(\nu\pi) - \log s
        - \tfrac{\nu+1}2 \log\Big(1 + \frac{(x-\mu)^2}{\nu s^2}\Big)

    Args:
        degrees, loc, scale: [...], which broadcast.

    Example:
        >>> d = StudentT(torch.tensor([5.0]), torch.zeros(1), torch.ones(1))
        >>> d.log_prob(torch.tensor([1e30])).isfinite()
        tensor([True])
    """

    arg_constraints = {  # pyright: ignore[reportAssignmentType]
        "degrees": constraints.greater_than(2),
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(self, degrees: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.degrees = degrees  # not broadcast, so that its gamma functions are not computed per datum
        self.loc, self.scale, _ = torch.broadcast_tensors(loc, scale, degrees)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> StudentT:
        return StudentT(self.degrees.expand(batch_shape), self.loc.expand(batch_shape), self.scale, False)

    def log_prob(self, value: Tensor) -> Tensor:
        nu = wide(self.degrees)
        constant = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * torch.log(nu * math.pi)
        u = (value - self.loc).abs() / self.scale / self.degrees.sqrt()
        # log(1 + u^2), where the square of a large u would overflow
        near, far = u.clamp_max(1.0), u.clamp_min(1.0)
        power = torch.where(u < 1, torch.log1p(near.square()), 2 * far.log() + torch.log1p(far.reciprocal().square()))
        return constant.to(value.dtype) - self.scale.log() - 0.5 * (self.degrees + 1) * power

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            half = (self.degrees / 2).expand(shape)
            gamma = torch._standard_gamma(half).clamp_min(torch.finfo(half.dtype).eps ** 2)  # pyright: ignore[reportPrivateImportUsage]
            return self.loc + self.scale * torch.randn_like(half) * (half / gamma).sqrt()

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (self.degrees / (self.degrees - 2))


class LogNormal(Distribution):
    r"""A positive variable whose logarithm is normal: :math:`\log p(x) = \log N(\log x; \mu, \sigma^2) - \log x`.

    Samples and moments beyond the range of their type are its largest or smallest number.

    Args:
        loc, scale: [...] of the logarithm.

    Example:
        >>> LogNormal(torch.zeros(1), torch.ones(1)).log_prob(torch.ones(1))
        tensor([-0.9189])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # pyright: ignore[reportAssignmentType]
    support = constraints.positive  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> LogNormal:
        return LogNormal(self.loc.expand(batch_shape), self.scale.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_value = value.log()
        residual = (log_value - self.loc) / self.scale
        return -0.5 * (residual.square() + LOG_2PI) - self.scale.log() - log_value

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            return _in_range(torch.exp(self.loc + self.scale * noise))

    @property
    def mean(self) -> Tensor:
        return _in_range(torch.exp(self.loc + 0.5 * self.scale.square()))

    @property
    def variance(self) -> Tensor:
        return _in_range(torch.expm1(self.scale.square()) * torch.exp(2 * self.loc + self.scale.square()))


def _in_range(x: Tensor) -> Tensor:
    info = torch.finfo(x.dtype)
    return x.clamp(info.tiny, info.max)
