"""Pareto k-hat, the diagnostic of heavy-tailed importance weights. (Own code; tests compare it with arviz-stats.)"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["FEWEST", "pareto_k", "reliable_below"]

FEWEST = 50  # points with fewer than ten in the tail: the prior pulls k-hat to 0.5, which is above its limit
WIDEST = 700.0  # nats between the largest and the smallest weight of the tail, beyond which the smallest underflows


def reliable_below(k: int) -> float:
    """Return the k-hat below which K weights can be trusted: min(1 - 1/log10 K, 0.7) (Vehtari et al., 2024).

    Example:
        >>> reliable_below(5000)
        0.7
    """
    return min(1.0 - 1.0 / math.log10(k), 0.7) if k > 10 else 0.0


def _tail_length(k: int) -> int:
    """Return the number of largest weights to which the Pareto distribution is fitted."""
    return math.floor(min(0.2 * k, 3.0 * math.sqrt(k)))


def pareto_k(log_w: Tensor) -> Tensor:
    r"""Return the shape k of a generalised Pareto distribution fitted to the largest weights, per datum.

    Above 0.5 the weights have no variance, above 1 no mean; above `reliable_below(K)` neither the estimate nor its
    standard error can be trusted. The fit is the empirical Bayes estimate of Zhang & Stephens (2009), with the weak
    prior of Vehtari et al. that pulls k to 0.5 where the tail is short.

    Args:
        log_w: [K, N].

    Returns:
        [N]; infinity where the tail has fewer than 5 points, or where its largest weight exceeds its smallest by a
        factor above e^700 (no shape can be fitted then).

    Source: Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance sampling", 2024.
    """
    k, n = log_w.shape
    m = _tail_length(k)
    if m < 5:
        return torch.full((n,), math.inf, dtype=torch.float64)
    w = log_w.double() - log_w.double().amax(0)
    top = w.topk(m + 1, 0).values  # descending, [m + 1, N]
    cutoff = top[-1].exp().clamp_min(torch.finfo(torch.float64).tiny)
    exceedances = (top[:-1].exp() - cutoff).flip(0)  # ascending, [m, N]
    fitted = top[-1] >= -WIDEST  # false for NaN: every weight is zero
    return torch.where(fitted, _fit(torch.where(fitted, exceedances, torch.zeros_like(exceedances))), math.inf)


def _fit(x: Tensor) -> Tensor:
    """Return k-hat of exceedances [m, N], ascending; minus infinity for a tail of equal weights."""
    m = len(x)
    candidates = 30 + int(math.sqrt(m))
    j = torch.arange(1, candidates + 1, dtype=x.dtype, device=x.device)[:, None]
    largest, quartile = x[-1], x[int(m / 4 + 0.5) - 1]
    flat = largest <= 0
    b = 1 - torch.sqrt(candidates / (j - 0.5))
    b = b / 3 / torch.where(quartile > 0, quartile, largest.clamp_min(1e-300)) + 1 / largest.clamp_min(1e-300)
    shape = torch.stack([torch.log1p(-row * x).mean(0) for row in b])  # [candidates, N]
    log_lik = m * (torch.log(-b / shape) - shape - 1)
    weight = torch.softmax(log_lik.nan_to_num(-math.inf), 0)
    best = (b * weight).sum(0)
    k = torch.log1p(-best * x).mean(0)
    k = (m * k + 10 * 0.5) / (m + 10)
    return torch.where(flat, -math.inf, k)
