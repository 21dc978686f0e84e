"""Files of tables, read with the texts and types of their cells: CSV, Parquet, Feather, Arrow and Excel."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import DataError, UsageError
from .arrow_cells import read_arrow_file, read_parquet_file
from .excel_frames import read_excel_frame
from .formats import TABLES, file_format
from .frames import Frame
from .selection import Selection
from .text_frames import read_text_frame
from .typed_frames import arrow_frame

__all__ = ["is_table_file", "read_frame"]


def is_table_file(path: Path) -> bool:
    """Return whether a file is of a format that is read with the types of its columns.

    Raises:
        DataError: it is missing, or not what its name says.
    """
    return path.is_file() and file_format(path, also=TABLES) in TABLES


def read_frame(path: Path, options: Selection) -> tuple[Frame, list[str]]:
    """Return the table in a file, with notes.

    Args:
        path: of the file.
        options: its header, and the names of columns that are known.

    Raises:
        DataError: the file is damaged, or no table.
        UsageError: it is of another format, or a header is asked for where names are part of the format.
    """
    kind = file_format(path, also=TABLES)
    if kind not in TABLES and path.suffix.lower() in (".xlsx", ".xlsm"):
        raise DataError(f"{path} is damaged: it is no archive", "Save it again, or save the sheet as CSV UTF-8.")
    if kind not in TABLES:
        raise UsageError(
            f"{path} is no table with columns of their own kinds", "Give CSV, Parquet, Feather, Arrow or Excel."
        )
    known = options.known or tuple(c.name for c in options.schema or ()) or tuple(options.hints or ())
    if kind == "text":
        return read_text_frame(path, options.header, known)
    if kind == "xlsx":
        return read_excel_frame(path, options.header, known)
    if options.header != "auto" and not options.later:
        raise UsageError("--header is for files of text", f"Leave it out: {path} has names of columns.")
    table = read_parquet_file(path) if kind == "parquet" else read_arrow_file(path)
    return arrow_frame(table, "parquet" if kind == "parquet" else "feather", str(path)), []
