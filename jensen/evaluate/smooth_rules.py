"""Equidistant nodes and Gauss-Legendre over a whole box, for the posteriors that are smooth at the scale of both."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from .cells import Integrand, in_nats
from .posterior_modes import Survey

__all__ = ["smooth"]

# nodes per feature: n equidistant, n + 1 equidistant between other places, and Gauss-Legendre
LEVELS = {1: ((40, 48), (100, 120)), 2: ((15, 22), (21, 30), (30, 42))}
ROUGH = 0.03  # nats of disagreement beyond which more nodes of these rules do not help
COARSE = 1.2  # nodes per width of the narrowest peak, at least


def smooth(integrand: Integrand, place: Survey, tolerance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Integrate over the box of each row by three rules; return log-integrals, errors in nats and points, [B] each.

    .. math:: I \approx \Big(\prod_i h_i\Big) \sum_j f(u_j), \qquad \hat E = 2 \max_{r, s} |I_r - I_s|

    Two equidistant rules, of n and n + 1 nodes per feature, converge geometrically for smooth functions that fade at
    the sides; Gauss-Legendre is blind to other functions. The error is twice the largest difference between any two. It
    is infinite where a peak is narrower than the nodes are apart: nothing is computed there.

    Source: Trefethen & Weideman, "The exponentially convergent trapezoidal rule", 2014.

    Args:
        integrand: of B rows.
        place: boxes and peaks.
        tolerance: nats [B]; rows that differ by more take the next level.
    """
    b, dim = place.lo.shape
    value = place.lo.new_full((b,), -torch.inf)
    error, used = torch.full_like(value, torch.inf), torch.zeros_like(value)
    open_rows = torch.arange(b, device=value.device)
    narrowest = (place.widths / (place.hi - place.lo)[:, None]).masked_fill(place.peaks.isnan(), torch.inf)
    narrowest = narrowest.amin(-1).amin(-1)
    for n, gauss in LEVELS[dim]:
        some = open_rows[narrowest[open_rows] * n > COARSE]
        if not len(some):
            continue
        logs = [_log_integral(integrand, place, some, *rule) for rule in _rules(n, gauss, dim)]
        used[some] += sum(len(rule[0]) for rule in _rules(n, gauss, dim))
        value[some], error[some] = logs[1], 2 * _largest_difference(torch.stack(logs))
        open_rows = open_rows[
            (error[open_rows] > tolerance[open_rows]) & ~(error[open_rows].isfinite() & (error[open_rows] > ROUGH))
        ]
    return value, error, used


def _largest_difference(logs: Tensor) -> Tensor:
    """Return the largest difference [B] of log-integrals [R, B] in nats; 0 where all are empty."""
    high, low = logs.amax(0), logs.amin(0)
    return torch.where(high == -torch.inf, 0.0, in_nats(torch.log(-torch.expm1(low - high))))


def _log_integral(integrand: Integrand, place: Survey, rows: Tensor, nodes: Tensor, weights: Tensor) -> Tensor:
    """Return the log-integral [R] over the boxes of these rows, by nodes [K, Z] in the cube and weights [K]."""
    lo, hi = place.lo[rows], place.hi[rows]
    half = (hi - lo) / 2
    logs = integrand((hi + lo) / 2 + half * nodes.to(lo)[:, None], rows)
    return (logs + weights.to(lo).log()[:, None]).logsumexp(0) + half.log().sum(-1)


@cache
def _rules(n: int, gauss: int, dim: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return nodes [K, Z] in the cube and weights [K] of the three rules."""
    lines = [((np.arange(m) + 0.5) * (2.0 / m) - 1.0, np.full(m, 2.0 / m)) for m in (n, n + 1)]
    return tuple(
        _power(torch.from_numpy(x), torch.from_numpy(w), dim)
        for x, w in [*lines, np.polynomial.legendre.leggauss(gauss)]
    )


def _power(x: Tensor, w: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the product of a rule with itself, once per feature."""
    return (x[:, None], w) if dim == 1 else (torch.cartesian_prod(x, x), torch.outer(w, w).flatten())
