"""Mixtures of discretised logistics over the channels of a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import log_softmax

from ..core.errors import NotEnumerable
from .discretized import DiscretizedLogistic

__all__ = ["DiscretizedLogisticMixture"]

MOST_VALUES = 1 << 16  # of the channels of a pixel together, over which moments are summed


class DiscretizedLogisticMixture(Distribution):
    r"""Pixels of C channels with levels 0..L-1, each pixel a mixture; later channels depend on earlier ones.

    .. math:: P(x) = \prod_{pixels} \sum_j \pi_j \prod_c
        \mathrm{DiscretizedLogistic}\Big(x_c;\; \mu_{jc} + \sum_{i<c} a_{jci}\, y_i,\; s_{jc}\Big)

    with :math:`y_i = 2 x_i / (L-1) - 1`: exact masses, the outer bins open. The component is common to the channels of
    a pixel, and the order of features is pixel by pixel.

    Args:
        logits: [..., pixels, n] of the weights.
        loc, scale: [..., pixels, C, n].
        lean: [..., pixels, C (C - 1) / 2, n] the a above, in the order (1, 0), (2, 0), (2, 1), ...
        levels: L.

    Source: Salimans, Karpathy, Chen & Kingma, "PixelCNN++: improving the PixelCNN with discretized logistic mixture
    likelihood and other modifications", 2017.

    Example:
        >>> loc = torch.zeros(1, 1, 2)
        >>> d = DiscretizedLogisticMixture(torch.zeros(1, 2), loc, loc + 1, torch.zeros(1, 0, 2), 4)
        >>> round(float(d.log_prob(torch.arange(4.0)[:, None]).exp().sum()), 5)
        1.0
    """

    arg_constraints = {}  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        scale: Tensor,
        lean: Tensor,
        levels: int = 256,
        validate_args: bool | None = None,
    ) -> None:
        self.logits, self.loc, self.scale, self.lean, self.levels = logits, loc, scale, lean, levels
        self.pixels, self.channels = loc.shape[-3], loc.shape[-2]
        super().__init__(loc.shape[:-3], torch.Size([self.pixels * self.channels]), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.integer_interval(0, self.levels - 1), 1)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> DiscretizedLogisticMixture:
        logits = self.logits.expand(*batch_shape, *self.logits.shape[-2:])
        loc, scale, lean = (t.expand(*batch_shape, *t.shape[-3:]) for t in (self.loc, self.scale, self.lean))
        return DiscretizedLogisticMixture(logits, loc, scale, lean, self.levels, validate_args=False)

    def _channel(self, c: int, earlier: list[Tensor]) -> DiscretizedLogistic:
        """Return p(x_c | the values [..., pixels, n] of earlier channels, j)."""
        loc, first = self.loc[..., c, :], c * (c - 1) // 2
        for i, x in enumerate(earlier):
            loc = loc + self.lean[..., first + i, :] * (x * (2 / (self.levels - 1)) - 1)
        scale = self.scale[..., c, :]
        scale = scale if scale.shape == loc.shape else scale.expand_as(loc)  # graphs of exports hold no idle expansion
        return DiscretizedLogistic(loc, scale, self.levels, validate_args=False)

    def pixel_log_prob(self, value: Tensor) -> Tensor:
        """Return log P of each pixel [..., pixels]."""
        x = value.unflatten(-1, (self.pixels, self.channels))[..., None]  # [..., pixels, C, 1]
        total = log_softmax(self.logits, -1)
        for c in range(self.channels):
            total = total + self._channel(c, [x[..., i, :] for i in range(c)]).log_prob(x[..., c, :])
        return torch.logsumexp(total, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.pixel_log_prob(value).sum(-1)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:
        with torch.no_grad():
            shape = torch.Size(sample_shape)
            j = torch.distributions.Categorical(logits=self.logits, validate_args=False).sample(shape)[..., None]
            wide = (*shape, *self.logits.shape)
            x: list[Tensor] = []
            for c in range(self.channels):
                # every component's channel is drawn at the values of the chosen one
                given = self._channel(c, [v.expand(wide) for v in x])
                drawn = given.sample() if x else given.sample(shape)
                x.append(drawn.gather(-1, j))
            return torch.stack([v.squeeze(-1) for v in x], -1).flatten(-2)

    @property
    def mean(self) -> Tensor:
        """The mean [..., D]: exact for one channel.

        With more, an earlier channel's value is replaced by its mean given the component, which is exact as long as no
        bin is clipped at the ends, and close elsewhere; the exact one is a sum over L^(C-1) values.
        """
        means: list[Tensor] = []
        for c in range(self.channels):
            means.append(self._channel(c, means).mean)
        return (torch.stack(means, -2) * torch.softmax(self.logits, -1)[..., None, :]).sum(-1).flatten(-2)

    @property
    def variance(self) -> Tensor:
        """The variance [..., D], exact: a sum over the values of earlier channels, about their exact mean.

        Raises:
            NotEnumerable: the channels of a pixel have more than 65,536 values together.
        """
        if self.levels**self.channels > MOST_VALUES:
            raise NotEnumerable(
                f"{self.channels} channels of {self.levels} levels depend on each other, and their variance is a sum"
                f" over {self.levels**self.channels:,} values",
                "Take that of samples: distribution.sample((1000,)).var(0).",
            )
        weights = torch.softmax(self.logits, -1)
        first, second = ([torch.zeros_like(self.loc[..., c, :]) for c in range(self.channels)] for _ in range(2))
        self._add_moments([], torch.ones_like(weights), first, second)
        mean, square = ((torch.stack(m, -2) * weights[..., None, :]).sum(-1).flatten(-2) for m in (first, second))
        return (square - mean.square()).clamp_min(0)

    def _add_moments(self, earlier: list[Tensor], mass: Tensor, first: list[Tensor], second: list[Tensor]) -> None:
        """Add E[x] and E[x^2], given each component, of the channels after these earlier values of this mass."""
        c = len(earlier)
        given = self._channel(c, earlier)
        if c == self.channels - 1:
            mean, variance = given.mean, given.variance
            first[c] += mass * mean
            second[c] += mass * (variance + mean.square())
            return
        for value in range(self.levels):
            x = torch.full_like(given.loc, value)
            here = mass * given.log_prob(x).exp()
            first[c] += here * value
            second[c] += here * value**2
            self._add_moments([*earlier, x], here, first, second)
