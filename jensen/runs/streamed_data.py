"""Data that stay in their files: the rows of held-out parts that are measured, and moments from one pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..core.rows import evenly_spaced
from ..data import Dataset, Preparation
from ..data.column_statistics import column_statistics
from ..data.hashed_split import RowNumbers
from ..data.streams import StreamedRows

__all__ = ["measured_rows", "streamed_moments"]

MEASURED, MEASURED_BYTES = 2**16, 2**26  # rows of a held-out part that are measured after each epoch, at most


def measured_rows(dataset: Dataset, numbers: np.ndarray | RowNumbers) -> tuple[Dataset, np.ndarray]:
    """Return the rows of a held-out part in memory, and their numbers: at most 65,536, or 64 MB, evenly spaced.

    Args:
        dataset: whose rows stay in their files.
        numbers: of the rows of the part.
    """
    row_bytes = max(dataset.x.nbytes // len(dataset), 1)
    most = max(min(MEASURED, MEASURED_BYTES // row_bytes), 1)
    kept = numbers[evenly_spaced(len(numbers), most).numpy()]
    return replace(dataset.rows(kept), notes=()), kept


def streamed_moments(rows: StreamedRows, preparation: Preparation, top: int) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [D] of what the model sees, from one pass over the rows.

    Args:
        rows: prepared as they are read.
        preparation: of them; noise counts by its mean and variance.
        top: the largest value of integers whose bits are drawn anew; 1 of other data.
    """
    if preparation.binarize in ("static", "threshold"):
        statistics = column_statistics(rows.rows, rows.prepare)
    else:
        statistics = column_statistics(rows.rows)
    mean, variance = statistics.mean, statistics.variance
    if preparation.dequantize:
        mean, variance = mean + 1 / 2, variance + 1 / 12
    if preparation.center is not None:
        mean = mean - preparation.center
    scale = top if preparation.scale is None else preparation.scale
    return torch.from_numpy(mean / scale), torch.from_numpy(np.sqrt(variance) / scale)
