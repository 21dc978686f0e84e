"""Terms of the aggregate posterior q(z) = E[q(z | x)]: they couple the data of a batch, which share one value.

All are penalties, to be subtracted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.random import drawing_from, stream
from ..core.shares import batch_mean, current_share
from ..core.validation import require_above, require_finite
from ..models.draw import Draw
from .base import Objective, TermKind

__all__ = ["DIP", "MMD", "TotalCorrelation"]


@part
@dataclass(frozen=True)
class MMD(Objective):
    r"""Squared maximum mean discrepancy between q(z) and p(z), with a sum of inverse multiquadric kernels.

    .. math:: k(z, z') = \sum_s \frac{2 Z s}{2 Z s + |z - z'|^2}

    Unbiased (it may be negative), from the batch and as many points of the prior. These come from a stream that is
    seeded by the bits of z, so that the value is a function of the draw. It is no divergence in nats. For a batch of
    one datum it is 0.

    Sources: Gretton et al., "A kernel two-sample test", 2012; Tolstikhin et al., "Wasserstein auto-encoders", 2018.

    Args:
        scales: s, one kernel for each.

    Raises:
        UsageError: there is no scale, or one that is not positive.
    """

    scales: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    kind: ClassVar[TermKind] = TermKind.COUPLED
    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_above(0, scales=self.scales or None)

    def __call__(self, draw: Draw) -> Tensor:
        z, b = draw.z, len(draw.batch)
        if b < 2:
            return torch.zeros_like(draw.log_lik[0])
        own = self._kernel(z, z)
        prior = _points_of(draw.prior, z)
        theirs, cross = self._kernel(prior, prior), self._kernel(z, prior)
        other = 1.0 - torch.eye(b, dtype=z.dtype, device=z.device)
        within = ((own + theirs) * other).sum((-2, -1)) / (b * (b - 1))
        return (within - 2 * cross.mean((-2, -1))).mean().expand(b)

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the kernel [K, B, B] between points [K, B, Z]."""
        far = a.square().sum(-1)[..., :, None] + b.square().sum(-1)[..., None, :] - 2 * a @ b.transpose(-1, -2)
        far, width = far.clamp_min(0.0), 2.0 * max(a.shape[-1], 1)
        return torch.stack([width * s / (width * s + far) for s in self.scales]).sum(0)

    def __str__(self) -> str:
        return "MMD" if self == MMD() else f"MMD(scales={','.join(f'{s:g}' for s in self.scales)})"


@torch.no_grad()
def _points_of(prior: Distribution, z: Tensor) -> Tensor:
    """Draw points [K, B, Z] of the prior, from a stream that is seeded by the bits of z."""
    bits = z.detach().contiguous().view(torch.int64 if z.dtype == torch.float64 else torch.int32)
    generator = stream(int(bits.sum()), "points of the prior", z.device)
    with drawing_from(generator):
        shape = z.shape[:2] if prior.batch_shape == () else z.shape[:1]
        return prior.sample(torch.Size(shape)).to(z.dtype)


@part
@dataclass(frozen=True)
class TotalCorrelation(Objective):
    r"""E_q(z)[log q(z) - sum_d log q(z_d)]: the dependence between the features of the aggregate posterior.

    `Elbo() - (beta - 1) * TotalCorrelation()` is the beta-TCVAE. q(z) is estimated from the batch,

    .. math:: q(z_i) \approx \frac1N q(z_i|x_i) + \frac{1 - 1/N}{B - 1} \sum_{j \ne i} q(z_i|x_j)

    which has the expectation q(z_i): the minibatch-stratified weights, averaged over the choice of the datum that is
    weighted differently. The logarithms of these are biased for B < N, so the value is an estimate, and no bound; with
    B = N it has the Monte Carlo error of z alone.

    Source: Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement", 2018.
    """

    kind: ClassVar[TermKind] = TermKind.COUPLED

    @property
    def shares(self) -> tuple[float | None, float]:
        return None, 0.0  # a part of the rate, which has a weight of its own

    def __call__(self, draw: Draw) -> Tensor:
        n, b = draw.batch.n_data, len(draw.batch)
        if n is None:
            raise UsageError("the total correlation needs the number of data N", "Give Batch(n_data=N).")
        if not isinstance(draw.guide, Independent):
            raise CompositionError(
                f"the features of a {type(draw.guide).__name__} have no densities of their own",
                "Use a factorised guide, such as Amortized(Given(net, Gaussian(Z))).",
            )
        log_share = log_shares(b, n, draw.z)[..., None]
        sums = []
        for z in draw.z:  # one set of points at a time: [B, B, Z]
            each = draw.guide.base_dist.log_prob(z[:, None])
            joint = torch.logsumexp(each.sum(-1, keepdim=True) + log_share, 1).sum(-1)
            sums.append(joint - torch.logsumexp(each + log_share, 1).sum(-1))
        return draw.mean(torch.stack(sums))

    def __str__(self) -> str:
        return "TotalCorrelation"


def log_shares(b: int, n: int, like: Tensor) -> Tensor:
    """Return the log-weights [B, B] of q(z_i | x_j); the weights of each row sum to one."""
    if b == 1:
        return torch.zeros((1, 1), dtype=like.dtype, device=like.device)
    others = torch.full((b, b), math.log((1 - 1 / n) / (b - 1)), dtype=like.dtype, device=like.device)
    return others.fill_diagonal_(-math.log(n))


@part
@dataclass(frozen=True)
class DIP(Objective):
    r"""off sum_{i != j} C_ij^2 + diagonal sum_i (C_ii - 1)^2 with C a covariance [Z, Z] over the batch.

    Of the guide's means (DIP-VAE-I), or of its points (II): the covariance of the means plus the mean covariance.

    Source: Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts", 2018.

    Args:
        of: "means" or "points".
        off: weight of covariances.
        diagonal: weight of the variances' distance from 1.

    Raises:
        UsageError: `of` is neither of these, or a weight is negative.
    """

    of: str = "means"
    off: float = 10.0
    diagonal: float = 100.0
    kind: ClassVar[TermKind] = TermKind.COUPLED
    needs_density: ClassVar[bool] = False
    reads_means: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.of not in ("means", "points"):
            raise UsageError(f'of must be "means" or "points", got {self.of!r}', 'Choose "means" or "points".')
        require_finite(0, off=self.off, diagonal=self.diagonal)

    def __call__(self, draw: Draw) -> Tensor:
        mean = draw.guide.mean
        far = mean - batch_mean(mean)
        c = far.T @ far / len(mean) if current_share() is None else batch_mean(far[:, :, None] * far[:, None, :])
        if self.of == "points":
            c = c + torch.diag_embed(batch_mean(_variance(draw.guide)))
        variances = c.diagonal()
        penalty = self.off * (c.square().sum() - variances.square().sum())
        return (penalty + self.diagonal * (variances - 1).square().sum()).expand(len(mean))

    def __str__(self) -> str:
        return f"DIP(of={self.of}, off={self.off:g}, diagonal={self.diagonal:g})"


def _variance(guide: Distribution) -> Tensor:
    """Return the variance of each feature [B, Z].

    Raises:
        CompositionError: it has no closed form.
    """
    try:
        return guide.variance
    except NotImplementedError:
        raise CompositionError(
            f"the variance of a {type(guide).__name__} has no closed form", 'Use DIP(of="means").'
        ) from None
