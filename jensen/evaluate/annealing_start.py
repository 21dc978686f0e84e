"""The start of annealing: the guide, corrected on data simulated from the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

from ..core.batch import Rows
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .simulated import like_rows

__all__ = ["AnyCorrection", "Correction", "CovarianceCorrection", "fit_correction", "gaussian_features"]

SIMULATED, AT_ONCE = 1024, 128
PAIRS = 4  # simulated pairs per latent feature, the least from which a covariance matrix is estimated


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
        slope, offset = _regression(z, mean)
        missed = (z - slope * mean - offset).square().mean(0)
        extra = (missed - variance.mean(0)).clamp_min(0.0)
        return Correction(slope.to(dtype), offset.to(dtype), extra.to(dtype))

    def __call__(self, q: Normal) -> Normal:
        """Return f_0 for a batch."""
        scale = (q.scale.square() + self.extra).sqrt()
        return Normal(self.slope * q.loc + self.offset, scale, validate_args=False)

    def start(self, q: Distribution) -> Distribution:
        """Return f_0 as a distribution over vectors; q itself where its features are not independent Gaussians."""
        features = gaussian_features(q)
        return q if features is None else Independent(self(features), 1, validate_args=False)


@dataclass(frozen=True)
class CovarianceCorrection:
    r"""A correction of a Gaussian guide N(mu, Sigma), of any covariance, into the start of a chain.

    .. math:: f_0 = \mathcal N(a \mu + b,\; \Sigma + T), \qquad
              T = R^{1/2} \, [I - R^{-1/2} \bar\Sigma R^{-1/2}]_+ \, R^{1/2}

    a and b are those of `Correction`. R is the covariance of z about a mu + b over the simulated pairs, \bar\Sigma the
    mean of Sigma, R^{1/2} a Cholesky factor, and [.]_+ sets negative eigenvalues to zero. So \bar\Sigma + T is at
    least R in every direction, in any coordinates, and a direction in which the guide is wide enough is not changed.
    With a diagonal covariance the guide is too narrow in some features; with a full one it may be too narrow in
    directions that are no feature, such as one along which it has a correlation of the wrong sign.

    An exact guide has \bar\Sigma = R, of which 1,024 pairs show a fraction sqrt(Z / 1024) of noise.

    Attributes:
        slope, offset: a, b [Z].
        extra: T [Z, Z].
    """

    slope: Tensor
    offset: Tensor
    extra: Tensor

    @staticmethod
    def of(z: Tensor, mean: Tensor, covariance: Tensor) -> CovarianceCorrection:
        """Fit to latent points [N, Z] of simulated data, the guide's means [N, Z] and its mean covariance [Z, Z]."""
        z64, mean64, own = z.double(), mean.double(), covariance.double()
        slope, offset = _regression(z64, mean64)
        missed = z64 - slope * mean64 - offset
        extra = _lacking(missed.mT @ missed / len(missed), own, trusted=len(z) >= PAIRS * z.shape[-1])
        return CovarianceCorrection(slope.to(z.dtype), offset.to(z.dtype), extra.to(z.dtype))

    def start(self, q: Distribution) -> Distribution:
        """Return f_0 for a batch; q itself where it is no Gaussian."""
        covariance = _covariance(q)
        if covariance is None:
            return q
        factor = torch.linalg.cholesky(covariance + self.extra.double()).to(self.extra.dtype)
        return MultivariateNormal(self.slope * q.mean + self.offset, scale_tril=factor, validate_args=False)


AnyCorrection = Correction | CovarianceCorrection


def _regression(z: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes, held between 0 and 1, and offsets [Z] of the regression of z [N, Z] on mu, by feature."""
    centred = mean - mean.mean(0)
    slope = (centred * (z - z.mean(0))).mean(0) / centred.square().mean(0).clamp_min(1e-30)
    slope = slope.clamp(0.0, 1.0)  # the mean of an unused feature is nearly constant, and its regression is noise
    return slope, z.mean(0) - slope * mean.mean(0)


def _lacking(needed: Tensor, own: Tensor, *, trusted: bool) -> Tensor:
    """Return the least T [Z, Z] without negative eigenvalues for which `own` + T is at least `needed`, both [Z, Z].

    Where the pairs are too few for a matrix (not `trusted`), T is diagonal.
    """
    if not trusted:
        return torch.diag((needed.diagonal() - own.diagonal()).clamp_min(0.0))
    size = needed.diagonal().clamp_min(1e-30).sqrt()
    scaled = needed / size[:, None] / size  # to correlations, whose factor is accurate for features of any size
    factor = torch.linalg.cholesky(scaled + 1e-9 * torch.eye(len(size), dtype=size.dtype, device=size.device))
    half = torch.linalg.solve_triangular(factor, own / size[:, None] / size, upper=False)
    covered = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    share, directions = torch.linalg.eigh(0.5 * (covered + covered.mT))
    root = size[:, None] * (factor @ directions) * (1.0 - share).clamp_min(0.0).sqrt()
    return root @ root.mT


def _covariance(q: Distribution) -> Tensor | None:
    """Return the covariance [..., Z, Z], in double precision, of a Gaussian whose features are correlated; None of any
    other distribution."""
    if isinstance(q, MultivariateNormal):
        factor = q.scale_tril.double()
        return factor @ factor.mT
    if isinstance(q, LowRankMultivariateNormal):
        factor = q.cov_factor.double()
        return factor @ factor.mT + torch.diag_embed(q.cov_diag.double())
    return None


def gaussian_features(q: Distribution) -> Normal | None:
    """Return the features of a diagonal Gaussian; None of any other distribution."""
    return q.base_dist if isinstance(q, Independent) and isinstance(q.base_dist, Normal) else None


@torch.no_grad()
def fit_correction(model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0) -> AnyCorrection | None:
    """Return the correction of a Gaussian guide, from 1,024 simulated pairs; None for any other guide.

    Also None where the guide's parameters are not finite for half of these.

    Args:
        data: the rows to be annealed, of which only the contexts and the places of missing entries are used.
    """
    if guide.is_exact:
        return None
    noise, points, means, spreads = stream(seed, "start", data.device), [], [], []
    for first in range(0, SIMULATED, AT_ONCE):
        index = torch.arange(first, first + AT_ONCE, device=data.device) % len(data)
        context = None if data.context is None else data.context.index_select(0, index)
        z, batch = model.simulate(AT_ONCE, noise, context)
        batch = like_rows(batch, data, index, model, noise)
        q = guide(batch)
        spread = _covariance(q) if gaussian_features(q) is None else q.variance
        if spread is None:
            return None
        # simulated data may be so extreme that the encoder's output is not finite
        finite = torch.isfinite(torch.cat([z, q.mean, spread.flatten(1)], -1)).all(-1)
        points.append(z[finite])
        means.append(q.mean[finite])
        spreads.append(spread[finite] if spread.dim() == 2 else spread[finite].double().sum(0, keepdim=True))
    if sum(map(len, points)) < SIMULATED // 2:
        return None
    z, mean, spread = torch.cat(points), torch.cat(means), torch.cat(spreads)
    if spread.dim() == 2:
        return Correction.of(z, mean, spread)
    return CovarianceCorrection.of(z, mean, spread.sum(0) / len(z))
