"""The digest of rows, which finds them again in another file or folder."""

from __future__ import annotations

import hashlib

import numpy as np

from ..data.file_rows import Array

__all__ = ["rows_digest"]

AT_ONCE = 1024  # rows, whose numbers in double precision are in memory together


def rows_digest(x: Array, mask: np.ndarray | None = None) -> str:
    """Return the SHA-256 of the values of rows [N, D], whatever their type, and of which entries are observed.

    Args:
        x: in the data's own units.
        mask: [N, D], True where observed; values of others do not count.

    Example:
        >>> bits = np.array([[0, 1], [1, 1]])
        >>> rows_digest(bits.astype(np.uint8)) == rows_digest(bits.astype(np.float32))
        True
        >>> rows_digest(bits) == rows_digest(bits[::-1])
        False
    """
    digest = hashlib.sha256(f"{x.shape}".encode())
    for first in range(0, len(x), AT_ONCE):
        rows = x[first : first + AT_ONCE].astype(np.float64)
        if mask is not None:
            rows = np.where(mask[first : first + AT_ONCE], rows, np.nan)
        digest.update(np.ascontiguousarray(rows + 0.0).tobytes())  # -0.0 is 0.0
    return digest.hexdigest()
