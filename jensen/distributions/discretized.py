"""The logistic distribution in bins: exact masses on the integers 0..L-1."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

__all__ = ["DiscretizedLogistic"]


class DiscretizedLogistic(Distribution):
    r"""A logistic variable rounded to L equal bins of [-1, 1], the first and last of which are open-ended.

    .. math:: P(x = j) = \sigma((c_j + h - \mu)/s) - \sigma((c_j - h - \mu)/s), \quad c_j = 2j/(L-1) - 1,\; h = 1/(L-1)

    with :math:`c_0 - h` replaced by minus infinity and :math:`c_{L-1} + h` by infinity, so that the masses sum to one.
    The difference of the two sigmoids is taken as :math:`\log\sigma(a) + \log\sigma(-b) + \log(1 - e^{b-a})`, which
    is exact in both tails.

    Args:
        loc, scale: [...] location and scale on the axis on which the outer bin centres are -1 and 1.
        levels: L >= 2.

    Source: Kingma et al., "Improved variational inference with inverse autoregressive flow", 2016; Salimans et al.,
    "PixelCNN++", 2017.

    Example:
        >>> d = DiscretizedLogistic(torch.tensor([0.3]), torch.tensor([0.1]), 256)
        >>> round(float(d.log_prob(torch.arange(256.0)[:, None]).exp().sum()), 5)
        1.0
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(self, loc: Tensor, scale: Tensor, levels: int = 256, validate_args: bool | None = None) -> None:
        self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        self.levels = levels
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self.levels - 1)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> DiscretizedLogistic:
        return DiscretizedLogistic(self.loc.expand(batch_shape), self.scale.expand(batch_shape), self.levels, False)

    def log_prob(self, value: Tensor) -> Tensor:
        half = 1.0 / (self.levels - 1)
        centre = value * (2 * half) - 1.0
        upper = (centre + half - self.loc) / self.scale
        lower = (centre - half - self.loc) / self.scale
        # log(1 - exp(-width)) with width > 0, stable at both ends (Maechler, 2012)
        width = 2 * half / self.scale
        fine = torch.log(-torch.expm1(-width))
        coarse = torch.log1p(-torch.exp(-width.clamp_min(math.log(2))))  # clamped, or its unused gradient is 0 / 0
        gap = torch.where(width < math.log(2), fine, coarse)
        inner = logsigmoid(upper) + logsigmoid(-lower) + gap
        first, last = value <= 0, value >= self.levels - 1
        return torch.where(first, logsigmoid(upper), torch.where(last, logsigmoid(-lower), inner))

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
            y = self.loc + self.scale * torch.logit(u, eps=torch.finfo(u.dtype).tiny)
            return ((y + 1.0) * (0.5 * (self.levels - 1))).round().clamp(0, self.levels - 1)

    def _tail_sums(self, power: int) -> Tensor:
        """Return E[x] (power 1) or E[x^2] (power 2), from P(x > j): a loop over levels, so that memory stays [...]."""
        total = torch.zeros_like(self.loc)
        half = 1.0 / (self.levels - 1)
        for j in range(self.levels - 1):
            tail = torch.sigmoid((self.loc - (2 * j * half - 1.0 + half)) / self.scale)
            total = total + (tail if power == 1 else (2 * j + 1) * tail)
        return total

    @property
    def mean(self) -> Tensor:
        return self._tail_sums(1)

    @property
    def variance(self) -> Tensor:
        return (self._tail_sums(2) - self._tail_sums(1).square()).clamp_min(0)
