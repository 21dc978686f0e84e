"""Labels as numbers: whole ones as they are, names in sorted order, and -1 for a row of unknown class."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError
from .fields import MISSING

__all__ = ["UNKNOWN", "encode_labels"]

UNKNOWN = -1  # the label of a row of unknown class
NO_LABEL = tuple(MISSING - {".", "missing", "nat"})  # which can be names of classes


def encode_labels(labels: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return labels as int64 [N], with the names of the classes if they are text.

    Text is numbered in sorted order, unless it holds whole numbers. NaN, empty or NA is `UNKNOWN`, and so is -1.

    Raises:
        DataError: labels are neither whole numbers nor text.
    """
    labels = labels.reshape(-1)
    if labels.dtype.kind in "US":
        text = np.char.strip(labels.astype(str))
        blank = np.isin(np.char.lower(text), NO_LABEL)
        try:
            labels = np.where(blank, "nan", text).astype(np.float64)
        except ValueError:
            names, numbers = np.unique(text[~blank], return_inverse=True)
            encoded = np.full(len(text), UNKNOWN, dtype=np.int64)
            encoded[~blank] = numbers.reshape(-1)
            return encoded, tuple(str(n) for n in names)
    if labels.dtype.kind == "f":
        labels = np.where(np.isnan(labels), UNKNOWN, labels)
        bad = ~np.isfinite(labels)
        bad[~bad] = (labels[~bad] != np.floor(labels[~bad])) | (np.abs(labels[~bad]) > 2.0**53)
        if bad.any():
            raise DataError(
                f"label {labels[bad][0]} in {where} is not a whole number",
                "Labels are whole numbers or class names.",
            )
    elif labels.dtype.kind not in "biu":
        raise DataError(f"the labels in {where} have the type {labels.dtype}", "Labels are whole numbers or names.")
    return labels.astype(np.int64), None
