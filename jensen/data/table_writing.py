"""Tables of results as files: CSV and TSV; Parquet, Feather and Excel."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.errors import UsageError
from .columns import Column
from .dataframes import library
from .dialects import Dialect
from .output_tables import OutputTable, PlainTable
from .table_building import as_arrow, as_plain
from .written_pieces import WorkbookPieces

__all__ = [
    "TABLE_SUFFIXES",
    "TEXT_SUFFIXES",
    "encoded_text",
    "require_rows",
    "require_writer",
    "table_bytes",
    "table_suffix",
    "table_text",
]

TEXT_SUFFIXES = (".csv", ".tsv")
_LIBRARIES = {".parquet": "pyarrow", ".feather": "pyarrow", ".xlsx": "openpyxl"}
TABLE_SUFFIXES = (*TEXT_SUFFIXES, *_LIBRARIES)
SHEET_ROWS = 2**20  # of Excel


def table_suffix(source: str | Path | None) -> str:
    """Return the suffix of the file that a table from this source is written to: the same, as far as it can be.

    Example:
        >>> table_suffix("a/b.parquet"), table_suffix("b.TSV"), table_suffix("b.csv.gz"), table_suffix(None)
        ('.parquet', '.tsv', '.csv', '.csv')
    """
    suffix = "" if source is None else Path(source).suffix.lower()
    suffix = {".arrow": ".feather", ".tab": ".tsv"}.get(suffix, suffix)
    return suffix if suffix in TABLE_SUFFIXES else ".csv"


def require_writer(suffix: str) -> None:
    """Refuse a format whose library is not installed, before anything is computed.

    Raises:
        UsageError: naming the library.
    """
    if suffix in _LIBRARIES:
        library(_LIBRARIES[suffix])


def require_rows(suffix: str, n: int) -> None:
    """Refuse more rows than a file can have, before anything is computed.

    Args:
        suffix: of the file.
        n: rows, without the header.

    Raises:
        UsageError: a sheet of Excel has fewer.
    """
    if suffix == ".xlsx" and n >= SHEET_ROWS:
        what = f"a sheet of Excel has {SHEET_ROWS - 1:,} rows below its header, and the result has {n:,}"
        raise UsageError(what, "Give --out a .parquet or a .csv, or fewer rows.")


def table_text(table: OutputTable, suffix: str = ".csv", cell: Callable[[str], str] = str) -> str:
    """Return a table as the text of a CSV or TSV file.

    Args:
        table: of any kind.
        suffix: ".csv" or ".tsv".
        cell: the text that stands in a cell, from the text itself.

    Example:
        >>> import numpy as np
        >>> cells = [np.array(["a b", 'say "x", y'], dtype=object)]
        >>> table_text(PlainTable(["name"], cells, texts=True))
        'name\\na b\\n"say ""x"", y"\\n'
    """
    plain = as_plain(table, texts=True)
    text, lines = io.StringIO(), []
    # a carriage return within a cell is quoted only where rows end with one
    writer = csv.writer(text, delimiter=plain.dialect.separator(suffix), lineterminator="\r\n")
    for row in (*([plain.header] if plain.has_header else []), *zip(*plain.columns, strict=True)):
        writer.writerow([cell(field) for field in row])
        lines.append(text.getvalue().removesuffix("\r\n") + "\n")
        text.seek(0)
        text.truncate()
    return "".join(lines)


def encoded_text(table: OutputTable, text: str, notify: Callable[[str], None]) -> bytes:
    """Return the text of a table as the bytes of a file, in the encoding and with the line ends of its source.

    Args:
        table: of any kind.
        text: of it, see `table_text`.
        notify: called with a note where that encoding lacks a character.
    """
    dialect = table.dialect if isinstance(table, PlainTable) else Dialect()
    try:
        return dialect.encoded(text)
    except UnicodeEncodeError:
        lacks = f"the result holds characters that the source's encoding ({dialect.encoding}) lacks"
        notify(f"{lacks}, and is written as UTF-8")
        return replace(dialect, encoding="utf-8").encoded(text)


def table_bytes(table: OutputTable, suffix: str, columns: Sequence[Column]) -> bytes:
    """Return a table as the bytes of a file whose cells have types.

    Args:
        table: of any kind.
        suffix: ".parquet", ".feather" or ".xlsx".
        columns: that are data, which say what the texts of a CSV file are.
    """
    stream = io.BytesIO()
    if suffix == ".xlsx":
        book = WorkbookPieces(stream, columns)
        book.write(table)
        book.close()
    elif suffix == ".parquet":
        library("pyarrow.parquet").write_table(as_arrow(table, columns).data, stream)
    else:
        library("pyarrow.feather").write_feather(as_arrow(table, columns).data, stream)
    return stream.getvalue()
