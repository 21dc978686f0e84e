"""The file of each row, of data that were read from a folder of images."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data import Dataset, Source
from ..data.dataset import digest_of

__all__ = ["file_names", "in_recorded_order"]


def file_names(source: Source) -> np.ndarray | None:
    """Return the path of each row's image [N], relative to the folder; None of data without a file per row.

    None too if there are not as many images as rows any more.
    """
    folder = Path(source.files[0]) if source.files else None
    if folder is None or not folder.is_dir():
        return None
    paths = _paths(folder)
    paths = paths if source.order is None or len(paths) != source.n else [paths[i] for i in source.order]
    names = [os.fsencode(path) for path in paths]  # which need not be Unicode
    return np.array([n.decode(errors="backslashreplace") for n in names]) if len(paths) == source.n else None


def _paths(folder: Path) -> list[str]:
    """Return the paths of all images in the order in which they are read, relative to the folder."""
    from ..data.images import image_files  # Pillow is imported for images only

    return [path.relative_to(folder).as_posix() for path in image_files(folder)[0]]


def in_recorded_order(dataset: Dataset, sha256: str) -> Dataset:
    """Return the rows of a folder of images in the order that a run knows, which earlier versions sorted by letters.

    Args:
        dataset: as read.
        sha256: of the run's rows.
    """
    folder = Path(dataset.source.files[0]) if dataset.source.files else None
    if dataset.source.sha256 == sha256 or folder is None or not folder.is_dir():
        return dataset
    paths = _paths(folder)
    if len(paths) != len(dataset):
        return dataset
    order = np.array(sorted(range(len(paths)), key=lambda i: paths[i].split("/")))
    by_letters = dataset.rows(order)
    x, mask = np.ascontiguousarray(by_letters.x), by_letters.mask
    if digest_of(x, mask) != sha256:
        return dataset
    source = replace(dataset.source, sha256=sha256, order=tuple(order.tolist()))
    return replace(by_letters, x=x, source=source, notes=(*dataset.notes, "images in the order of an earlier version"))
