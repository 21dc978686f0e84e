"""Tables of large results, written some rows after another: no more than these are in memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import IO

import numpy as np

from ..data.columns import Column
from ..data.output_tables import OutputTable, PlainTable
from ..data.table_building import as_plain
from ..data.table_writing import TEXT_SUFFIXES, encoded_text, table_text
from ..data.written_pieces import ParquetPieces, table_pieces
from ..runs.evaluation import Part
from ..runs.pieces import stays_in_files
from ..storage.files import written_in_pieces
from .arrays import ArrayPieces
from .output import notifier, table_writer
from .tables import Formulas
from .writing import Target

__all__ = ["are_in_pieces", "write_arrays", "write_tables"]


def are_in_pieces(target: Target, part: Part) -> bool:
    """Return whether results of these rows are written some rows after another: those of a table that stays in its
    files."""
    return stays_in_files(part) and not target.is_picture


def write_tables(target: Target, pieces: Iterable[Sequence[OutputTable]], columns: Sequence[Column]) -> None:
    """Write tables as `Target.write_table` writes the table of all rows.

    Args:
        target: a file of a table, or stdout.
        pieces: of some rows after another; each has one table for each version of them. All rows of a version come
            before those of the next one, which wait in temporary files.
        columns: that are data.
    """
    if target.path is None:
        with ExitStack() as scope:
            _write_texts(target, None, pieces, scope)
        return
    with written_in_pieces(target.path) as file, ExitStack() as scope:
        if _suffix(target) in TEXT_SUFFIXES:
            _write_texts(target, file, pieces, scope)
        else:
            _write_typed(target, file, pieces, columns, scope)


def write_arrays(target: Target, pieces: Iterable[Mapping[str, np.ndarray]], versions: Collection[str] = ()) -> None:
    """Write arrays as an .npz, or the first of them as an .npy.

    Args:
        target: the file.
        pieces: by name, rows [n, ...] of some after another; [m, n, ...] of those with several versions.
        versions: the names of these.
    """
    if target.path is None:
        return
    with written_in_pieces(target.path) as file, ExitStack() as scope:
        arrays = ArrayPieces(target.path.parent, scope)
        for piece in pieces:
            for name, values in piece.items():
                arrays.add(name, values, name in versions)
        arrays.write(file, target.is_archive)


def _suffix(target: Target) -> str:
    return ".csv" if target.path is None else target.path.suffix.lower()


def _beside(target: Target, scope: ExitStack) -> IO[bytes]:
    """Return a temporary file without a name, on the disk of the target."""
    return scope.enter_context(tempfile.TemporaryFile(dir=None if target.path is None else target.path.parent))


def _write_typed(
    target: Target,
    file: IO[bytes],
    pieces: Iterable[Sequence[OutputTable]],
    columns: Sequence[Column],
    scope: ExitStack,
) -> None:
    """Write pieces as a file whose cells have types."""
    first = table_pieces(_suffix(target), file, columns, lambda: _beside(target, scope))
    files, versions = list[IO[bytes]](), list[ParquetPieces]()
    for tables in pieces:
        while len(versions) < len(tables) - 1:
            files.append(_beside(target, scope))
            versions.append(ParquetPieces(files[-1], columns))
        for writer, table in zip((first, *versions), tables, strict=True):
            writer.write(table)
    for own, writer in zip(files, versions, strict=True):
        writer.close()
        own.seek(0)
        first.append(own)
    first.close()


def _write_texts(
    target: Target, file: IO[bytes] | None, pieces: Iterable[Sequence[OutputTable]], scope: ExitStack
) -> None:
    """Write pieces as a CSV or TSV file, or on stdout where there is none."""
    suffix, formulas, waiting = _suffix(target), Formulas(target.safe), list[IO[bytes]]()
    notify, is_first = notifier(target.quiet), True
    for tables in pieces:
        while len(waiting) < len(tables) - 1:
            waiting.append(_beside(target, scope))
        for stream, table in zip((file, *waiting), tables, strict=True):
            plain = as_plain(table, texts=True)
            text = table_text(plain if is_first else _headless(plain), suffix, formulas.cell)
            is_first = False
            if stream is None:
                table_writer().write(text)
            else:
                stream.write(encoded_text(plain, text, notify))
    for stream in waiting:
        stream.seek(0)
        if file is not None:
            shutil.copyfileobj(stream, file)
        else:
            for line in stream:
                table_writer().write(line.decode("utf-8", "surrogateescape"))
    target.note(formulas)


def _headless(table: PlainTable) -> PlainTable:
    """Return the table without its header."""
    return PlainTable(table.header, table.columns, table.texts, False, table.dialect, table.formats)
