"""A classifier two-sample test: a classifier is fitted on one half of two samples and tested on the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TwoSample", "nearer", "two_sample"]

WAVES = 100  # random Fourier features, beside linear and quadratic ones
PAIRS = 300  # largest number of products of features
SHARES = (0.25, 0.5, 0.75, 1.0)
STEPS = 20


@dataclass(frozen=True)
class TwoSample:
    """The result of a classifier two-sample test.

    Attributes:
        p: p-value of the order of the held-out scores, if both samples are from one distribution.
        auc: probability that the classifier ranks a held-out point of the first above one of the second; 0.5 is chance.
        kl: nats, a lower estimate of KL(first || second).
        n: held-out points of each sample.
    """

    p: float
    auc: float
    kl: float
    n: int


def nearer(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Return P(a < b) + P(a = b)/2, and the p-value of so small an `a` by the rank-sum test (Mann & Whitney, 1947).

    The p-value is by the normal approximation, corrected for ties and continuity, as SciPy's of more than eight points
    each; a tail beyond double precision is 0.
    """
    n, m = len(a), len(b)
    _, place, count = torch.cat([a.double(), b.double()]).unique(return_inverse=True, return_counts=True)
    count = count.double()
    rank = (count.cumsum(0) - (count - 1) / 2)[place]  # the mean rank of equal values
    below = float(rank[:n].sum()) - n * (n + 1) / 2  # pairs in which a is larger
    ties = float((count**3 - count).sum()) / ((n + m) * (n + m - 1))
    spread = math.sqrt(n * m / 12 * (n + m + 1 - ties))
    z = (n * m / 2 - below - 0.5) / spread if spread > 0 else -math.inf
    return 1.0 - below / (n * m), 0.5 * math.erfc(z / math.sqrt(2))


@torch.no_grad()
def two_sample(a: Tensor, b: Tensor, generator: torch.Generator | None = None) -> TwoSample:
    r"""Test a [N, Z] against b [M, Z] by a logistic regression on linear, quadratic and random Fourier features.

    The classifier is fitted to a random half of each sample. On the other half its scores are compared by ranks: if
    both samples are from one distribution, held-out scores are exchangeable, so that the p-value is uniform for any
    classifier. On held-out points, its logit f also bounds the divergence (Donsker & Varadhan, 1983):

    .. math:: \mathrm{KL}(a \| b) \ge E_a[f] - \log E_b[e^f]

    which is capped at the logarithm of their number, the most that they can certify (McAllester & Stratos, 2020).

    Source: Lopez-Paz & Oquab, "Revisiting classifier two-sample tests", 2017.

    Example:
        >>> a, b = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)).split(200)
        >>> two_sample(a, b).p > 0.01, two_sample(a, b + 1).p < 0.01
        (True, True)
    """
    a, b = (s.double()[torch.randperm(len(s), generator=generator, device=s.device)] for s in (a, b))
    half_a, half_b = len(a) // 2, len(b) // 2
    fit = torch.cat([a[:half_a], b[:half_b]])
    held = torch.cat([a[half_a:], b[half_b:]])
    phi, held_phi = _features(fit, held, generator)
    label = torch.zeros(len(fit), dtype=torch.float64, device=a.device)
    label[:half_a] = 1.0
    scores = held_phi @ _logistic(phi, label) - math.log(half_a / half_b)
    of_a, of_b = scores[: len(a) - half_a], scores[len(a) - half_a :]
    auc, p = nearer(of_b, of_a)
    n = min(len(of_a), len(of_b))
    # any multiple of the logit gives a bound, and for an over-confident classifier a smaller one is better
    bounds = [float((s * of_a).mean() - torch.logsumexp(s * of_b, 0) + math.log(len(of_b))) for s in SHARES]
    return TwoSample(p, auc, min(max(*bounds, 0.0), math.log(n)), n)


def _features(fit: Tensor, held: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return features of both, standardised by those of the fitted points; the first is constant."""
    centre, scale = fit.mean(0), fit.std(0).clamp_min(1e-12)
    latent = fit.shape[1]
    rows, columns = torch.triu_indices(latent, latent, 1, device=fit.device)
    rows, columns = (rows, columns) if len(rows) <= PAIRS else (rows[:0], columns[:0])
    # frequencies of a kernel as wide as the typical distance of two points
    width = math.sqrt(2.0 * latent)
    waves = torch.randn(latent, WAVES, dtype=fit.dtype, device=fit.device, generator=generator) * (2.0 / width)
    phase = torch.rand(WAVES, dtype=fit.dtype, device=fit.device, generator=generator) * (2 * math.pi)

    def expand(x: Tensor) -> Tensor:
        u = ((x - centre) / scale).clamp(-20.0, 20.0)
        return torch.cat([u, u.square(), u[:, rows] * u[:, columns], torch.cos(u @ waves + phase)], -1)

    phi, held_phi = expand(fit), expand(held)
    centre_phi, scale_phi = phi.mean(0), phi.std(0).clamp_min(1e-12)
    one = [torch.ones(len(s), 1, dtype=torch.float64, device=fit.device) for s in (phi, held_phi)]
    return tuple(  # pyright: ignore[reportReturnType]
        torch.cat([c, (s - centre_phi) / scale_phi], -1) for c, s in zip(one, (phi, held_phi), strict=True)
    )


def _logistic(phi: Tensor, label: Tensor) -> Tensor:
    """Return the weights [F] of a logistic regression with a normal prior on all but the first, by Newton's method."""
    size = phi.shape[1]
    # the prior's precision grows with the number of features, so that halves are not separated by chance
    ridge = torch.full((size,), max(size / 10.0, 1.0), dtype=phi.dtype, device=phi.device)
    ridge[0] = 1e-6
    weights = torch.zeros(size, dtype=phi.dtype, device=phi.device)
    for _ in range(STEPS):
        chance = torch.sigmoid(phi @ weights)
        gradient = phi.mT @ (label - chance) - ridge * weights
        curvature = (phi * (chance * (1 - chance))[:, None]).mT @ phi + torch.diag(ridge)
        step = torch.linalg.solve(curvature, gradient)
        weights = weights + step * min(1.0, 10.0 / float(step.norm().clamp_min(1e-12)))
        if float(step.abs().max()) < 1e-6:
            break
    return weights
