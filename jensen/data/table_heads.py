"""The names of the columns of a table, from the beginning of its file: known before anything else of it is read."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError, UsageError
from .arrow_cells import library
from .columns import Column
from .excel_frames import read_excel_frame
from .formats import TABLES, file_format
from .frames import unique_names
from .headers import SAMPLE
from .lines import decoded
from .selection import Header, indices_of, lacking
from .shards import shard_files
from .text_frames import names_of_text

__all__ = ["absent_columns", "check_names", "table_names"]

HEAD = 2**24  # bytes of text, in which the rows must lie by which a header is judged


def check_names(
    path: Path,
    columns: Sequence[Column],
    header: Header = "auto",
    spare: Sequence[str] = (),
    may_lack: bool = False,
) -> None:
    """Refuse a table that lacks columns, by its names alone; one without names, or damaged, is left to its reader.

    Args:
        path: of the table.
        columns: of a model; one that another determines stands for it.
        header: "yes" if the first row of a text holds names, "no" if it is data, "auto" to judge it.
        spare: names of columns that it may lack.
        may_lack: whether it may lack any, but not all, and none that is misspelt.

    Raises:
        DataError: naming what is absent.
    """
    names = table_names(path, header, tuple(column.name for column in columns))
    if names is None:
        return
    has = {*names, *spare}
    own = [c.name for c in columns if c.name in names or not has & {c.name, *(d.column.name for d in c.determines)}]
    if may_lack:
        absent_columns(names, columns, str(path))
    else:
        indices_of(list(names), own, str(path))


def absent_columns(names: Sequence[str], columns: Sequence[Column], where: str) -> tuple[str, ...]:
    """Return the names of the columns that a table lacks; one that another of its columns determines is none of them.

    Args:
        names: of the table's columns.
        columns: of a model.
        where: the name of the table.

    Raises:
        DataError: see `lacking`.

    Example:
        >>> absent_columns(["age"], [Column("age", "count"), Column("size", "real")], "new.csv")
        ('size',)
    """
    beside = {d.column.name for column in columns for d in column.determines}
    implied_names = {c.name for c in columns if any(d.column.name in names for d in c.determines)}
    own = [c.name for c in columns if c.name in names or c.name not in implied_names]
    return lacking([name for name in names if name not in beside], own, where)


def table_names(path: Path, header: Header = "auto", known: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Return the names of the columns of a table, as its reader would; None where it has none, or cannot be read.

    Args:
        path: of a file, or of a folder of Parquet files.
        header: see `check_names`.
        known: names of columns, by which a header is recognised.
    """
    try:
        shards = [file for file in shard_files(path) if file.suffix.lower() != ".npy"]
        path = shards[0] if shards else path
        kind = file_format(path, also=TABLES)
        if kind == "text":
            return _names_of_text(path, header, known)
        if kind == "xlsx":
            frame, _ = read_excel_frame(path, header, tuple(known), most=SAMPLE + 1)
            return None if frame.header is None else frame.names
        names = _stored_names(path, kind)
    except (DataError, UsageError, OSError, ValueError):
        return None
    return None if names is None else unique_names([n.encode(errors="backslashreplace").decode() for n in names])[0]


def _names_of_text(path: Path, header: Header, known: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names in the header of a text; None where its beginning holds fewer rows than judge a header."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            content = file.read(HEAD + 1)
    except (EOFError, zlib.error):
        return None
    is_whole = len(content) <= HEAD
    text = decoded(content if is_whole else content[: content.rfind(b"\n") + 1], str(path))[0]
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return names_of_text(text, path, header, known, 0 if is_whole else SAMPLE + 2)


def _stored_names(path: Path, kind: str) -> list[str] | None:
    """Return the names of columns that a Parquet, Feather or Arrow file records."""
    if kind == "parquet":
        return [str(name) for name in library("pyarrow.parquet", str(path)).read_schema(path).names]
    ipc = library("pyarrow.ipc", str(path))
    with path.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        return [str(name) for name in (ipc.open_file(file) if is_file else ipc.open_stream(file)).schema.names]
