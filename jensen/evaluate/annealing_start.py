"""The start of annealing: the guide, corrected for what it misses on data that the model made itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..core.batch import Batch, Rows
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["Correction", "correction"]

SIMULATED, AT_ONCE = 1024, 128


@dataclass(frozen=True)
class Correction:
    r"""A correction of a diagonal Gaussian guide N(mu, sigma^2) into the start of a chain, feature by feature.

    .. math:: f_0 = \mathcal N(a \mu + b,\; \sigma^2 + \tau^2)

    A guide that is far too sure of itself (that of an over-fitted model, or one trained with next to no weight on the
    rate) has the posterior thousands of its standard deviations away. Chains that start from it hardly arrive, and
    those that run backwards must end inside it: bounds of 10^5 nats. The correction is the linear regression of z on mu
    over pairs (z, x) that the model simulates, for which z is an exact sample of p(z | x): a guide that knows nothing
    becomes the average posterior, which has the prior's mean and variance; a guide that is right stays as it is. It
    depends on neither the rows nor the noise of the chains, so that their weights stay unbiased.
    On a guide that is nearly right it cuts the Monte Carlo error by some four tenths: on probabilistic PCA with 16
    features, whose exact evidence both starts meet, 0.025 nats instead of 0.044 with 50 temperatures (32 rows, 16
    chains).

    A mixture of guide and prior was tried and is worse: chains do not cross between a narrow peak and the rest, so that
    its weight is lost in the upper bound even where the guide is good, and most of the chains stay in the peak where it
    is not.

    Attributes:
        slope: a [Z], between 0 and 1.
        offset: b [Z].
        extra: tau^2 [Z].
    """

    slope: Tensor
    offset: Tensor
    extra: Tensor

    @staticmethod
    def of(z: Tensor, mean: Tensor, variance: Tensor) -> Correction:
        """From latent points [N, Z] that made data, and the guide's means and variances [N, Z] for these data."""
        dtype, z, mean, variance = z.dtype, z.double(), mean.double(), variance.double()
        centred = mean - mean.mean(0)
        slope = (centred * (z - z.mean(0))).mean(0) / centred.square().mean(0).clamp_min(1e-30)
        slope = slope.clamp(0.0, 1.0)  # the mean of an unused feature is all but constant, and its regression noise
        offset = z.mean(0) - slope * mean.mean(0)
        missed = (z - slope * mean - offset).square().mean(0)
        extra = (missed - variance.mean(0)).clamp_min(0.0)
        return Correction(slope.to(dtype), offset.to(dtype), extra.to(dtype))

    def __call__(self, q: Normal) -> Normal:
        """f_0, for a batch."""
        scale = (q.scale.square() + self.extra).sqrt()
        return Normal(self.slope * q.loc + self.offset, scale, validate_args=False)


def normal(q: Distribution) -> Normal | None:
    """Return the features of a diagonal Gaussian; None of any other distribution."""
    return q.base_dist if isinstance(q, Independent) and isinstance(q.base_dist, Normal) else None


@torch.no_grad()
def correction(model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0) -> Correction | None:
    """Return the correction of a diagonal Gaussian guide, from 1,024 simulated pairs; None for any other guide, used as
    it is.

    None, too, where the guide makes no numbers of half of these.

    Args:
        data: the rows to be annealed, of which the contexts alone are used, if there are any.
    """
    if guide.is_exact:
        return None
    noise, points, means, variances = stream(seed, "start", data.device), [], [], []
    for first in range(0, SIMULATED, AT_ONCE):
        context = None
        if data.context is not None:
            index = torch.arange(first, first + AT_ONCE, device=data.device) % len(data)
            context = data.context.index_select(0, index)
        z, batch = model.simulate(AT_ONCE, noise, context)
        q = normal(guide(Batch(batch.x, context=context)))
        if q is None:
            return None
        # a model without bounds may simulate what the encoder cannot read
        sound = torch.isfinite(torch.cat([z, q.loc, q.scale], -1)).all(-1)
        points.append(z[sound])
        means.append(q.loc[sound])
        variances.append(q.variance[sound])
    if sum(map(len, points)) < SIMULATED // 2:
        return None
    return Correction.of(torch.cat(points), torch.cat(means), torch.cat(variances))
