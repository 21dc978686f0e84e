"""Rows drawn within strata of difficulty, and the standard error of the mean that they stand for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.random import stream

__all__ = ["stratified", "stratified_stderr"]

STRATA = 4


def stratified(difficulty: Tensor, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Row numbers [M], as many from each quarter of difficulty, and the share [M] of each in the mean over all rows.

    The rows of a quarter stand together, in the order of difficulty of the quarters.

    Args:
        difficulty: [N], such as minus the effective sample size.
    """
    noise = stream(seed, "strata")
    order = difficulty.argsort()
    index, share = [], []
    for part in order.tensor_split(min(STRATA, len(order))):
        take = min(max(rows // STRATA, 2), len(part))
        chosen = part[torch.randperm(len(part), generator=noise)[:take]]
        index.append(chosen)
        share.append(torch.full((take,), len(part) / len(order) / take, dtype=torch.float64))
    return torch.cat(index), torch.cat(share)


def stratified_stderr(values: Tensor, share: Tensor, variance: Tensor, n: int) -> float:
    """Standard error of a stratified mean that stands for n rows.

    The spread within a stratum holds the Monte Carlo noise of its values already; what a stratum that was looked at
    in part needs of it is the part that was not (Cochran, "Sampling techniques", 1977), and of the noise the rest.
    """
    total = 0.0
    parts = min(STRATA, n)
    for inside, weight, noise in zip(*(t.tensor_split(parts) for t in (values, share, variance)), strict=True):
        seen = 1.0 / (float(weight[0]) * n)  # the part of this stratum's rows that were annealed
        spread = float(inside.var()) if len(inside) > 1 else 0.0
        total += float(weight[0]) ** 2 * ((1 - seen) * len(inside) * spread + seen * float(noise.sum()))
    return math.sqrt(total)
