"""Files of tables, read with the texts and types of their cells: CSV, Parquet, Feather, Arrow and Excel."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import DataError, UsageError
from .arrow_cells import CELL, HELD, read_arrow_file
from .excel_frames import read_excel_frame
from .formats import TABLES, file_format
from .frames import Frame, unique_names
from .parquet_tables import LARGE, ParquetColumns, ParquetTable
from .selection import Selection
from .shards import are_texts, shard_files
from .sizes import check_size
from .text_frames import read_text_frame
from .text_shards import read_frame_shards
from .typed_frames import arrow_frame

__all__ = ["is_table_file", "read_frame"]


def is_table_file(path: Path) -> bool:
    """Return whether a file is of a format that is read with the types of its columns, or shards of text or Parquet.

    Raises:
        DataError: it is missing, or not what its name says.
    """
    return bool(_shards(path)) or (path.is_file() and file_format(path, also=TABLES) in TABLES)


def _shards(path: Path) -> list[Path]:
    """Return the shards of text or Parquet in a folder, or of a pattern, in natural order."""
    return [file for file in shard_files(path) if file.suffix.lower() != ".npy"]


def read_frame(path: Path, options: Selection) -> tuple[Frame, list[str]]:
    """Return the table in a file, or in shards of text or Parquet, with notes.

    A large one of Parquet stays in its files, see `Selection.stream`.

    Args:
        path: of the file, or of the folder; or a pattern, see `shard_files`.
        options: its header, and the names of columns that are known.

    Raises:
        DataError: the file is damaged, or no table.
        UsageError: it is of another format, or a header is asked for where names are part of the format.
    """
    shards = _shards(path)
    is_text = are_texts(shards)
    kind = "text" if is_text else "parquet" if shards else file_format(path, also=TABLES)
    if kind not in TABLES and path.suffix.lower() in (".xlsx", ".xlsm"):
        raise DataError(f"{path} is damaged: it is no archive", "Save it again, or save the sheet as CSV UTF-8.")
    if kind not in TABLES:
        raise UsageError(
            f"{path} is no table with columns of their own kinds", "Give CSV, Parquet, Feather, Arrow or Excel."
        )
    known = options.known or tuple(c.name for c in options.schema or ()) or tuple(options.hints or ())
    if is_text:
        return read_frame_shards(shards, path, options.header, known)
    if kind == "text":
        return read_text_frame(path, options.header, known)
    if kind == "xlsx":
        return read_excel_frame(path, options.header, known)
    if options.header != "auto" and not options.later:
        raise UsageError("--header is for files of text", f"Leave it out: {path} has names of columns.")
    if kind != "parquet":
        return arrow_frame(read_arrow_file(path), "feather", str(path)), []
    stored = ParquetTable(shards or [path], str(path))
    notes = [f"{len(shards):,} shards of {path} read as one table, in natural order"] if len(shards) > 1 else []
    cells = stored.shape[0] * stored.shape[1]
    if cells and stored.is_flat and (cells >= LARGE if options.stream is None else options.stream):
        return _stored_frame(stored, str(path)), notes
    check_size(CELL * cells, str(path), times=HELD)
    return arrow_frame(stored.table(), "parquet", str(path)), notes


def _stored_frame(stored: ParquetTable, where: str) -> Frame:
    """Return the frame of a table that stays in its files."""
    header = tuple(name.encode(errors="backslashreplace").decode() for name in stored.names)
    return Frame(unique_names(header)[0], ParquetColumns(stored), "parquet", where, header)
