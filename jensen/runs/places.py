"""The files of data that a run was trained on, found again also after run and data have moved together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import DataError, JensenError
from ..core.wording import plural
from ..data import EMBEDDED, Schema, is_in_memory, read
from ..data.columns import Column
from ..data.formats import is_image
from ..data.paths import check_path
from ..data.shards import shard_files

__all__ = ["beside", "labels_at", "located", "reading", "refuse_images", "table_options"]


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


@contextmanager
def reading(*sources: Any) -> Iterator[None]:
    """A scope in which data are read: what the system or a container refuses is an error of the data, by their name.

    Args:
        *sources: names, paths or containers; a text that cannot be a path is refused at once, and a tensor that NumPy
            cannot hold.

    Raises:
        DataError: in the place of an OSError, of a text that is no path, or of such a tensor.
    """
    for source in sources:
        if isinstance(source, str | Path):
            check_path(str(source))
        elif isinstance(source, Tensor):
            _check_tensor(source)
    try:
        yield
    except OSError as error:
        if isinstance(error, JensenError):
            raise
        containers = [type(s).__name__ for s in sources if s is not None and not isinstance(s, str | Path)]
        what = f"{error.filename or ', '.join(containers)} cannot be read ({error.strerror or error})"
        raise DataError(what, "Check the data and the path.") from error


def _check_tensor(x: Tensor) -> None:
    """Refuse a tensor without an array of numbers.

    Raises:
        DataError: naming its kind.
    """
    kinds = {
        "without values (on the device meta)": (x.is_meta, "Give one on a device that has values."),
        "sparse": (x.layout != torch.strided, "Give x.to_dense()."),
        "quantised": (x.is_quantized, "Give x.dequantize()."),
    }
    for kind, (applies, remedy) in kinds.items():
        if applies:
            raise DataError(f"the Tensor is {kind}", remedy)


def refuse_images(data: Any, schema: Schema) -> None:
    """Refuse a folder of images, or one image, where a model is of columns with names.

    Raises:
        DataError: it is one.
    """
    if not schema.names or is_in_memory(data) or str(data) in ("", *EMBEDDED):
        return
    path = Path(data)
    if (path.is_dir() and not shard_files(path)) or (path.is_file() and is_image(path)):
        what = f"{path} is of images, and the model is of {plural(len(schema.names), 'column')} of a table"
        raise DataError(what, f"Give a table with the columns {', '.join(schema.names[:12])}.")


def _candidates(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the places to look at: beside the run, where moving both together leaves it, then as recorded."""
    name = Path(record["location"]).name
    relative = [record["beside"]] if record.get("beside") else []
    for path in (*relative, name, f"../{name}"):
        yield os.path.normpath(folder.resolve() / path)
    yield record["location"]


def located(folder: Path, record: Mapping[str, Any], option: str = "data", **reading: Any) -> str:
    """Return where the data are now: the first place that holds what was recorded.

    Args:
        folder: the run's.
        record: `location`, `beside` and `sha256`, of data or of test rows.
        option: by which another place is given, "data" or "test".
        **reading: arguments of `jensen.data.read`, needed where several places hold a file.

    Raises:
        DataError: the file is at none of them.
    """
    location = record["location"]
    if location in EMBEDDED:
        return location
    places = [place for place in dict.fromkeys(_candidates(folder, record)) if _is_there(place)]
    if not places:
        raise DataError(
            f"there is no file {location}", f"Give its new place: --{option} FILE (in Python, {option}=FILE)."
        )
    for place in places if len(places) > 1 else ():
        try:
            if read(place, **reading).source.sha256 == record["sha256"]:
                return place
        except DataError:
            continue
    return places[0] if len(places) == 1 else location


def _is_there(place: str) -> bool:
    """Return whether there is such a file or folder, or files that a pattern matches."""
    return _file_of(place).exists() or bool(shard_files(Path(place)))


def _file_of(place: str) -> Path:
    """Return the path without the name of an array in it: FILE.npz:KEY is in FILE.npz."""
    path = Path(place)
    return path if path.exists() else Path(place.rpartition(":")[0] or place)


def table_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `jensen.data.read` that choose columns of a table, as a specification has them.

    The names and the kind of what was read decide: what is left out of a table by default, and what counts, may change.
    Images that were resized before there was a choice were stretched.
    """
    command, schema = spec["command"], spec["data"]["schema"]
    chosen = {"columns": command.get("columns"), "drop": command.get("drop"), "layer": command.get("layer")}
    chosen |= {"known": schema.get("names"), "kind": schema["kind"]}
    chosen |= {"stream": spec["choices"].get("stream")}
    if spec["data"]["resize"] is not None:
        chosen |= {"resize": spec["data"].get("fit") or "stretch"}
    columns = schema.get("columns")
    if columns is not None:  # exactly those of the run
        chosen |= {"typed": True, "schema": tuple(map(Column.from_dict, columns))}
    return {"header": command.get("header") or "auto", **chosen}


def labels_at(labels: str | None, old: str, new: str) -> str | None:
    """Return where a file of labels is now, if it has moved with the data; a column or key stays as it is.

    Example:
        >>> labels_at("/a/labels.csv", "/a/x.npy", "/b/x.npy"), labels_at("kind", "/a/x.npy", "/b/x.npy")
        ('/b/labels.csv', 'kind')
    """
    if labels is None or not os.path.isabs(labels) or Path(labels).exists() or old == new:
        return labels
    return os.path.normpath(Path(new).parent / os.path.relpath(labels, Path(old).parent))
