"""The file of each row, of data that were read from a folder of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data import Dataset
from ..data.dataset import digest_of

__all__ = ["file_names", "in_recorded_order"]


def file_names(dataset: Dataset) -> np.ndarray | None:
    """Return the path of each row's image [N], relative to the folder; None of data without a file per row."""
    return dataset.identity.get("file") if _is_folder(dataset) else None


def _is_folder(dataset: Dataset) -> bool:
    """Return whether the rows are the images of a folder."""
    files = dataset.source.files
    return bool(files) and dataset.schema.is_image and Path(files[0]).is_dir()


def in_recorded_order(dataset: Dataset, sha256: str) -> Dataset:
    """Return the rows of a folder of images in the order that a run knows, which earlier versions sorted by letters.

    Args:
        dataset: as read.
        sha256: of the run's rows.
    """
    paths = file_names(dataset)
    if dataset.source.sha256 == sha256 or paths is None:
        return dataset
    order = np.array(sorted(range(len(paths)), key=lambda i: str(paths[i]).split("/")))
    by_letters = dataset.rows(order)
    x, mask = np.ascontiguousarray(by_letters.x), by_letters.mask
    if digest_of(x, mask) != sha256:
        return dataset
    source = replace(dataset.source, sha256=sha256)
    return replace(by_letters, x=x, source=source, notes=(*dataset.notes, "images in the order of an earlier version"))
