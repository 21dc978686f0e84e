"""Stratified sampling of rows by difficulty, and the standard error of the stratified mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.random import stream

__all__ = ["stratified", "stratified_stderr"]

STRATA = 4


def stratified(difficulty: Tensor, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw row numbers [M], equally many from each quarter of difficulty, and their weights [M] in the mean over all
    rows.

    The rows of a quarter are contiguous, and quarters are in the order of their difficulty.

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
    """Return the standard error of a stratified mean as an estimate of the mean over n rows.

    The variance within a stratum contains the Monte Carlo noise of its values. It counts with the fraction of the
    stratum that was not sampled (Cochran, "Sampling techniques", 1977), the noise with the fraction that was.
    """
    total = 0.0
    parts = min(STRATA, n)
    for inside, weight, noise in zip(*(t.tensor_split(parts) for t in (values, share, variance)), strict=True):
        sampled = 1.0 / (float(weight[0]) * n)  # the fraction of this stratum's rows
        spread = float(inside.var()) if len(inside) > 1 else 0.0
        total += float(weight[0]) ** 2 * ((1 - sampled) * len(inside) * spread + sampled * float(noise.sum()))
    return math.sqrt(total)
