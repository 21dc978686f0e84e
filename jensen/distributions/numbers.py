"""Special functions at the precision that a log-density needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["LOG_2PI", "antithetic", "largest_by_noise", "log_beta", "wide"]

LOG_2PI = math.log(2.0 * math.pi)


def wide(x: Tensor) -> Tensor:
    """Return the numbers in double precision, where the device has it.

    Differences of log-gamma functions cancel: lgamma(1e5) is near 1e6, of which single precision keeps 0.06.
    """
    return x if x.device.type == "mps" else x.double()


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """Return log B(a, b) = log Gamma(a) + log Gamma(b) - log Gamma(a + b), for a and b in double precision."""
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def antithetic(points: int, features: int) -> Tensor:
    """Return fixed standard normal points [points, features] of low discrepancy, each with its mirror image.

    With the mirror images, the mean of an affine map of them is exact.
    """
    sobol = torch.quasirandom.SobolEngine(features, scramble=True, seed=0)
    uniform = sobol.draw(points // 2, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
    noise = math.sqrt(2.0) * torch.erfinv(2.0 * uniform - 1.0)
    return torch.cat([noise, -noise])


def largest_by_noise(logits: Tensor, sample_shape: Sequence[int] = ()) -> Tensor:
    """Return the numbers [*sample_shape, ...] of states drawn by their logits [..., n], any constant added.

    The largest of the logits plus Gumbel noise has the distribution of their softmax.
    """
    uniform = torch.rand((*sample_shape, *logits.shape), dtype=logits.dtype, device=logits.device)
    tiny = torch.finfo(uniform.dtype).tiny
    return (logits - (-uniform.clamp_min(tiny).log()).clamp_min(tiny).log()).argmax(-1)
