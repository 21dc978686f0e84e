"""The choice of a few rows of many."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["evenly_spaced"]


def evenly_spaced(
    n: int,
    most: int,
    device: torch.device | str = "cpu",
    *,
    nearest: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return the numbers of at most `most` of n rows, evenly spaced, so that a file sorted by class shows every class.

    Args:
        n: how many rows there are.
        most: how many to choose.
        device: of the result.
        nearest: whether a place between two rows is rounded to the nearest; else to the earlier one, as recorded
            evaluations and the starts of recipes have it.
        dtype: in which places are computed; some starts were in single precision, whose rounding decides a row here and
            there.

    Example:
        >>> evenly_spaced(10, 4).tolist(), evenly_spaced(3, 8).tolist(), evenly_spaced(0, 8).tolist()
        ([0, 3, 6, 9], [0, 1, 2], [])
    """
    count = max(min(n, most), 0)
    places = torch.linspace(0, max(n - 1, 0), count, dtype=dtype)
    return (places.round() if nearest else places).long().to(device)
