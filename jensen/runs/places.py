"""The files of data that a run was trained on, found again also after run and data have moved together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..data import EMBEDDED, read

__all__ = ["beside", "labels_at", "located"]


def beside(location: str, folder: Path) -> str:
    """Return the path from a run folder to a file of data; "" where there is none (another drive, data in memory).

    Example:
        >>> beside("/work/data/x.npy", Path("/work/runs/x-vae"))
        '../../data/x.npy'
    """
    if not location or location in EMBEDDED:
        return ""
    try:
        return os.path.relpath(location, folder.resolve())
    except ValueError:
        return ""


def _candidates(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the places to look at: beside the run, where moving both together leaves it, then as recorded."""
    name = Path(record["location"]).name
    relative = [record["beside"]] if record.get("beside") else []
    for path in (*relative, name, f"../{name}"):
        yield os.path.normpath(folder.resolve() / path)
    yield record["location"]


def located(folder: Path, record: Mapping[str, Any], **reading: Any) -> str:
    """Return where the data are now: the first place that holds what was recorded.

    Args:
        folder: the run's.
        record: `location`, `beside` and `sha256`, of data or of test rows.
        **reading: arguments of `jensen.data.read`, needed where several places hold a file.

    Raises:
        DataError: the file is at none of them.
    """
    location = record["location"]
    if location in EMBEDDED:
        return location
    places = [place for place in dict.fromkeys(_candidates(folder, record)) if _file_of(place).exists()]
    if not places:
        raise DataError(f"there is no file {location}", "Give its new place: --data FILE (in Python, data=FILE).")
    for place in places if len(places) > 1 else ():
        try:
            if read(place, **reading).source.sha256 == record["sha256"]:
                return place
        except DataError:
            continue
    return places[0] if len(places) == 1 else location


def _file_of(place: str) -> Path:
    """Return the path without the name of an array in it: FILE.npz:KEY is in FILE.npz."""
    path = Path(place)
    return path if path.exists() else Path(place.rpartition(":")[0] or place)


def labels_at(labels: str | None, old: str, new: str) -> str | None:
    """Return where a file of labels is now, if it has moved with the data; a column or key stays as it is.

    Example:
        >>> labels_at("/a/labels.csv", "/a/x.npy", "/b/x.npy"), labels_at("kind", "/a/x.npy", "/b/x.npy")
        ('/b/labels.csv', 'kind')
    """
    if labels is None or not os.path.isabs(labels) or Path(labels).exists() or old == new:
        return labels
    return os.path.normpath(Path(new).parent / os.path.relpath(labels, Path(old).parent))
