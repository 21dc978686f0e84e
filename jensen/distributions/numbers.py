"""Special functions at the precision that a log-density needs."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["log_beta", "wide"]


def wide(x: Tensor) -> Tensor:
    """The same numbers in double precision, where the device has it.

    Differences of log-gamma functions cancel: lgamma(1e5) is near 1e6, of which single precision keeps 0.06.
    """
    return x if x.device.type == "mps" else x.double()


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """log B(a, b) = log Gamma(a) + log Gamma(b) - log Gamma(a + b), for a and b already wide."""
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
