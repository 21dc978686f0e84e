"""The start of annealing: the guide, corrected on data simulated from the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..core.batch import Batch, Rows
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["Correction", "fit_correction", "gaussian_features"]

SIMULATED, AT_ONCE = 1024, 128


@dataclass(frozen=True)
class Correction:
    r"""A correction of a diagonal Gaussian guide N(mu, sigma^2) into the start of a chain, feature by feature.

    .. math:: f_0 = \mathcal N(a \mu + b,\; \sigma^2 + \tau^2)

    The posterior may be thousands of standard deviations away from the mean of an over-confident guide (of an
    over-fitted model, or one trained with a small weight of the rate). Chains that start from such a guide hardly reach
    the posterior, and backward chains must end inside the guide: the bounds are off by up to 10^5 nats. The correction
    is the linear regression of z on mu over pairs (z, x) that the model simulates, for which z is an exact sample of
    p(z | x). A guide that does not read x becomes the average posterior, which has the prior's mean and variance; an
    exact guide is not changed. The correction depends on neither the rows nor the noise of the chains, so that their
    weights are unbiased. For a nearly exact guide it lowers the Monte Carlo error by about 40 %: on probabilistic PCA
    with 16 features, whose exact evidence both starts meet, 0.025 nats instead of 0.044 with 50 temperatures (32 rows,
    16 chains).

    A mixture of guide and prior is worse: chains do not cross between a narrow peak and the remainder, so that its
    weight is lost in the upper bound even where the guide is good, and most chains stay in the peak where it is not.

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
        """Fit to latent points [N, Z] of simulated data, and the guide's means and variances [N, Z] for these data."""
        dtype, z, mean, variance = z.dtype, z.double(), mean.double(), variance.double()
        centred = mean - mean.mean(0)
        slope = (centred * (z - z.mean(0))).mean(0) / centred.square().mean(0).clamp_min(1e-30)
        slope = slope.clamp(0.0, 1.0)  # the mean of an unused feature is nearly constant, and its regression is noise
        offset = z.mean(0) - slope * mean.mean(0)
        missed = (z - slope * mean - offset).square().mean(0)
        extra = (missed - variance.mean(0)).clamp_min(0.0)
        return Correction(slope.to(dtype), offset.to(dtype), extra.to(dtype))

    def __call__(self, q: Normal) -> Normal:
        """Return f_0 for a batch."""
        scale = (q.scale.square() + self.extra).sqrt()
        return Normal(self.slope * q.loc + self.offset, scale, validate_args=False)


def gaussian_features(q: Distribution) -> Normal | None:
    """Return the features of a diagonal Gaussian; None of any other distribution."""
    return q.base_dist if isinstance(q, Independent) and isinstance(q.base_dist, Normal) else None


@torch.no_grad()
def fit_correction(model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0) -> Correction | None:
    """Return the correction of a diagonal Gaussian guide, from 1,024 simulated pairs; None for any other guide.

    Also None where the guide's parameters are not finite for half of these.

    Args:
        data: the rows to be annealed, of which only the contexts are used, if there are any.
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
        q = gaussian_features(guide(Batch(batch.x, context=context)))
        if q is None:
            return None
        # simulated data may be so extreme that the encoder's output is not finite
        finite = torch.isfinite(torch.cat([z, q.loc, q.scale], -1)).all(-1)
        points.append(z[finite])
        means.append(q.loc[finite])
        variances.append(q.variance[finite])
    if sum(map(len, points)) < SIMULATED // 2:
        return None
    return Correction.of(torch.cat(points), torch.cat(means), torch.cat(variances))
