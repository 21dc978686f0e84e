"""Distributions on the interval from 0 to 1: the continuous Bernoulli, the Beta and the logit-normal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .numbers import LOG_2PI, log_beta, wide

__all__ = ["Beta", "ContinuousBernoulli", "LogitNormal"]

NEAR = 0.25  # logits below this use a series, whose first omitted term is below 1e-13 there
POINTS = 40  # on each side, of a trapezoidal rule


class ContinuousBernoulli(Distribution):
    r"""A value in [0, 1] whose density is exponential in it.

    .. math:: \log p(x) = l x - \log\frac{e^l - 1}{l}

    With d the distance to the end of higher density this is :math:`\log|l| - |l| d - \log(1 - e^{-|l|})`, which is
    accurate at large l; near l = 0 the normaliser is its series, so that there is no gap at l = 0 (p = 1/2).

    Args:
        logits: [...] l.

    Source: Loaiza-Ganem & Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders", 2019.

    Example:
        >>> d = ContinuousBernoulli(torch.tensor([0.0, 1e-9, 1e9]))
        >>> d.log_prob(torch.tensor([0.3, 0.3, 1.0])).exp().round()
        tensor([1.0000e+00, 1.0000e+00, 1.0000e+09])
        >>> d.mean
        tensor([0.5000, 0.5000, 1.0000])
    """

    arg_constraints = {"logits": constraints.real}  # pyright: ignore[reportAssignmentType]
    support = constraints.unit_interval  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> ContinuousBernoulli:
        return ContinuousBernoulli(self.logits.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        size = self.logits.abs()
        far = size.clamp_min(NEAR)
        near = self.logits.clamp(-NEAR, NEAR)  # with its sign, or the gradient at 0 would be that of |l|
        away = torch.where(self.logits > 0, 1.0 - value, value)
        square = near.square()
        series = square * (1 / 24 - square * (1 / 2880 - square * (1 / 181440 - square * (1 / 9676800))))
        at_near = near * (value - 0.5) - series  # of log(sinh(l/2) / (l/2))
        at_far = far.log() - far * away - torch.log(-torch.expm1(-far))
        return torch.where(size < NEAR, at_near, at_far)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
            size = self.logits.abs()
            # the distance to the end of higher density has the density of -|l|
            away = torch.log1p(u * torch.expm1(-size)) / -size.clamp_min(torch.finfo(u.dtype).tiny)
            away = torch.where(size < torch.finfo(u.dtype).eps, u, away).clamp(0, 1)
            return torch.where(self.logits > 0, 1.0 - away, away)

    @property
    def mean(self) -> Tensor:
        small = self.logits.abs() < NEAR
        near, far = self.logits.clamp(-NEAR, NEAR), torch.where(small, NEAR, self.logits)
        square = near.square()
        series = near * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square * (1 / 1209600))))
        return torch.where(small, 0.5 + series, 0.5 + 0.5 / torch.tanh(far / 2) - 1 / far)

    @property
    def variance(self) -> Tensor:
        size = self.logits.abs()
        near, far = size.clamp_max(NEAR), size.clamp_min(NEAR)
        square = near.square()
        series = 1 / 12 - square * (1 / 240 - square * (1 / 6048 - square * (1 / 172800)))
        at_far = far.square().reciprocal() - torch.exp(-far) / torch.expm1(-far).square()
        return torch.where(size < NEAR, series, at_far).clamp_min(0)


class Beta(Distribution):
    r"""The Beta distribution on (0, 1), in double precision inside.

    .. math:: \log p(x) = (a - 1)\log x + (b - 1)\log(1 - x) - \log B(a, b)

    Args:
        a, b: [...] concentrations.

    Example:
        >>> Beta(torch.ones(1), torch.ones(1)).log_prob(torch.tensor([0.3]))
        tensor([0.])
    """

    arg_constraints = {"a": constraints.positive, "b": constraints.positive}  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(self, a: Tensor, b: Tensor, validate_args: bool | None = None) -> None:
        self.a, self.b = torch.broadcast_tensors(a, b)
        super().__init__(self.a.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return OPEN_UNIT

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> Beta:
        return Beta(self.a.expand(batch_shape), self.b.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        a, b, x = wide(self.a), wide(self.b), wide(value)
        terms = torch.xlogy(a - 1, x) + torch.special.xlog1py(b - 1, -x) - log_beta(a, b)
        return terms.to(self.a.dtype)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        """Draw from two Gamma variables, in logarithms, since those of small concentrations underflow."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            x = torch.sigmoid(_log_gamma_sample(self.a, shape) - _log_gamma_sample(self.b, shape)).to(self.a.dtype)
            info = torch.finfo(self.a.dtype)
            return x.clamp(info.tiny, 1 - info.eps)

    @property
    def mean(self) -> Tensor:
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean) / (self.a + self.b + 1)


class LogitNormal(Distribution):
    r"""A variable in (0, 1) whose logit is normal.

    .. math:: \log p(x) = \log N(\mathrm{logit}\,x; \mu, \sigma^2) - \log x - \log(1 - x)

    Args:
        loc, scale: [...] of the logit.

    Source: Atchison & Shen, "Logistic-normal distributions: some properties and uses", 1980.

    Example:
        >>> LogitNormal(torch.zeros(1), torch.ones(1)).mean
        tensor([0.5000])
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return OPEN_UNIT

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> LogitNormal:
        return LogitNormal(self.loc.expand(batch_shape), self.scale.expand(batch_shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_x, log_rest = value.log(), torch.log1p(-value)
        residual = (log_x - log_rest - self.loc) / self.scale
        return -0.5 * (residual.square() + LOG_2PI) - self.scale.log() - log_x - log_rest

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            info = torch.finfo(noise.dtype)
            return torch.sigmoid(self.loc + self.scale * noise).clamp(info.tiny, 1 - info.eps)

    def _expected(self) -> tuple[Tensor, Tensor]:
        """Return E s and E s' for the sigmoid s and its slope, by the trapezoidal rule, in double precision.

        For scales below 1 it runs over the normal variable; above, over a logistic variable L, since
        E s = P(L < y). Both integrands are analytic, and the error is about 1e-10.
        """
        loc, scale = wide(self.loc), wide(self.scale)
        near, far = scale.clamp_max(1.0), scale.clamp_min(1.0)
        value, slope = torch.zeros_like(loc), torch.zeros_like(loc)
        for point in range(-POINTS, POINTS + 1):
            z, t = torch.tensor(0.25 * point, dtype=loc.dtype), torch.tensor(0.7 * point, dtype=loc.dtype)
            s = torch.sigmoid(loc + near * z)
            weight = 0.25 * torch.exp(-0.5 * (z.square() + LOG_2PI))
            mass = 0.7 * torch.sigmoid(t) * torch.sigmoid(-t)
            u = (loc - t) / far
            below, height = torch.special.ndtr(u), torch.exp(-0.5 * (u.square() + LOG_2PI)) / far
            value = value + torch.where(scale < 1, weight * s, mass * below)
            slope = slope + torch.where(scale < 1, weight * s * (1 - s), mass * height)
        return value, slope

    @property
    def mean(self) -> Tensor:
        return self._expected()[0].clamp(0, 1).to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        value, slope = self._expected()
        return (value - slope - value.square()).clamp_min(0).to(self.loc.dtype)  # s^2 = s - s'


class _OpenUnit(constraints.Constraint):
    """The interval between 0 and 1, both excluded."""

    def check(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < 1)


OPEN_UNIT = _OpenUnit()


def _log_gamma_sample(concentration: Tensor, shape: torch.Size) -> Tensor:
    """Draw log G with G ~ Gamma(a) as log G' + log(u) / a with G' ~ Gamma(a + 1) (Marsaglia & Tsang, 2000)."""
    a = wide(concentration).expand(shape)
    u = torch.rand(shape, dtype=a.dtype, device=a.device).clamp_min(torch.finfo(a.dtype).tiny)
    return torch._standard_gamma(a + 1).log() + u.log() / a  # pyright: ignore[reportPrivateImportUsage]
