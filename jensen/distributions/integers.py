"""The logistic distribution rounded to whole numbers, without ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import softplus

from .numbers import wide
from .rounded_terms import rounded_logistic_terms

__all__ = ["RoundedLogistic"]

NARROW = 0.3  # scale, in whole numbers, below which moments are sums over neighbours; above it, Fourier series
NEIGHBOURS, WAVES = 12, 6  # of which the first omitted terms are below 1e-16 there
TAIL = 16  # terms of a sum of tails, before the formula of Euler and Maclaurin takes over


class _Integers(constraints.Constraint):
    """All whole numbers."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return value == value.floor()


INTEGERS = _Integers()


class RoundedLogistic(Distribution):
    r"""A logistic variable rounded to the next whole number: exact masses on all of them.

    .. math:: P(x = k) = \sigma((k + \tfrac12 - m)/r) - \sigma((k - \tfrac12 - m)/r), \quad m = c + u \mu,\; r = u s

    The difference of the two sigmoids is taken as :math:`\log\sigma(a) + \log\sigma(-b) + \log(1 - e^{b-a})`, which is
    exact in both tails. With a lowest value, that one has all of the mass at and below it.

    Args:
        loc, scale: [...] mu and s, in the unit u, from the center c.
        center, unit: of the variable, which broadcast.
        lowest: likewise, minus infinity for none; or None for none at all.

    Source: Salimans et al., "PixelCNN++", 2017.

    Example:
        >>> d = RoundedLogistic(torch.zeros(1), torch.ones(1), torch.tensor(40.0), torch.tensor(12.0))
        >>> round(float(d.log_prob(torch.arange(-400.0, 500.0)[:, None]).exp().sum()), 5), d.mean
        (1.0, tensor([40.]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = INTEGERS  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        center: Tensor,
        unit: Tensor,
        lowest: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.center, self.unit, self.lowest = center, unit, lowest
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> RoundedLogistic:
        loc, scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        return RoundedLogistic(loc, scale, self.center, self.unit, self.lowest, False)

    def log_prob(self, value: Tensor) -> Tensor:
        is_lowest = None if self.lowest is None else value <= self.lowest
        standard = (value - self.center) / self.unit
        return rounded_logistic_terms(standard, self.loc, self.scale, 0.5 / self.unit, is_lowest)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
            noise = wide(torch.logit(u, eps=torch.finfo(u.dtype).tiny))
            y = wide(self.center) + wide(self.unit) * (wide(self.loc) + wide(self.scale) * noise)
            y = y.round() if self.lowest is None else torch.maximum(y.round(), wide(self.lowest))
            return y.to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        nearest, offset, spread = self._place()
        mean = nearest + self._deviation(offset, spread)
        if self.lowest is not None:
            # E max(x, l) is E x and the sum of P(x <= l - j), or l and the sum of P(x >= l + j): the shorter sum
            lowest = wide(self.lowest)
            away = nearest + offset - lowest
            beyond = _tails((away.abs() + 0.5).clamp_max(1e18), spread)
            mean = torch.where(away > 0, mean, lowest) + torch.where(lowest.isfinite(), beyond, 0.0)
        return mean.to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        if self.lowest is not None:
            raise NotImplementedError("the variance of a rounded logistic with a lowest value has no closed form")
        _, offset, spread = self._place()
        second = torch.where(spread < NARROW, _neighbours(offset, spread, 2), _square_by_waves(offset, spread))
        return (second - self._deviation(offset, spread).square()).clamp_min(0).to(self.loc.dtype)

    def _place(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the whole number next to m, the distance of m from it, and r, in double precision."""
        m = wide(self.center) + wide(self.unit) * wide(self.loc)
        return m.round(), m - m.round(), wide(self.unit) * wide(self.scale)

    @staticmethod
    def _deviation(offset: Tensor, spread: Tensor) -> Tensor:
        """Return E[x] minus the whole number next to m."""
        return torch.where(spread < NARROW, _neighbours(offset, spread, 1), _mean_by_waves(offset, spread))


def _neighbours(offset: Tensor, spread: Tensor, power: int) -> Tensor:
    """Return E[x] (power 1) or E[x^2] (power 2) of masses about `offset`, from P(x >= j) and P(x <= -j)."""
    total = torch.zeros_like(offset)
    for j in range(1, NEIGHBOURS + 1):
        above, below = torch.sigmoid((offset - j + 0.5) / spread), torch.sigmoid((-offset - j + 0.5) / spread)
        total = total + (above - below if power == 1 else (2 * j - 1) * (above + below))
    return total


def _wave(n: int, spread: Tensor) -> tuple[Tensor, Tensor, float]:
    r"""Return the logistic's characteristic function :math:`q / \sinh q`, q = pi r w, and its slope, at w = 2 pi n."""
    frequency = 2 * math.pi * n
    rate = math.pi * spread.clamp_min(NARROW)
    q = (rate * frequency).clamp_max(300.0)  # beyond which both vanish, and sinh would overflow
    value = q / q.sinh()
    return value, value * (1 / q - 1 / q.tanh()) * rate, frequency


def _mean_by_waves(offset: Tensor, spread: Tensor) -> Tensor:
    """Return E[x] by the Fourier series of the distance to the next whole number."""
    total = offset
    for n in range(1, WAVES + 1):
        value, _, frequency = _wave(n, spread)
        total = total + (-1) ** n / (math.pi * n) * value * torch.sin(frequency * offset)
    return total


def _square_by_waves(offset: Tensor, spread: Tensor) -> Tensor:
    r"""Return E[x^2] by Poisson's summation: :math:`m^2 + \pi^2 r^2/3 + 1/12` and waves of frequency 2 pi n."""
    total = offset.square() + (math.pi * spread).square() / 3 + 1 / 12
    for n in range(1, WAVES + 1):
        value, slope, frequency = _wave(n, spread)
        along = slope * torch.cos(frequency * offset) - value * offset * torch.sin(frequency * offset)
        first = 2 * along / frequency
        second = -2 * value * torch.cos(frequency * offset) / frequency**2
        total = total - 2 * (-1) ** n * (first + second)
    return total


def _tails(first: Tensor, spread: Tensor) -> Tensor:
    r"""Return :math:`\sum_{j \ge 0} \sigma(-(b + j)/r)` for b > 0: some terms, then the formula of Euler-Maclaurin."""
    total = torch.zeros_like(first)
    for j in range(TAIL):
        total = total + torch.sigmoid(-(first + j) / spread)
    u = (first + TAIL) / spread
    p = torch.sigmoid(u) * torch.sigmoid(-u)
    ends = p / spread / 12 - p * (1 - 6 * p) / spread**3 / 720 + p * (1 - 30 * p + 120 * p**2) / spread**5 / 30240
    return total + spread * softplus(-u) + 0.5 * torch.sigmoid(-u) + ends
