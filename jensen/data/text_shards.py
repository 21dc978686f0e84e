"""Files of text with the same columns, read as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from .dataset import Raw
from .frames import Cells, Frame, TextCells
from .selection import Header, Selection
from .table_heads import table_names
from .tables import read_table
from .text_frames import read_text_frame

__all__ = ["read_frame_shards", "read_raw_shards"]


def read_frame_shards(
    files: Sequence[Path], source: Path, header: Header = "auto", known: Sequence[str] = ()
) -> tuple[Frame, list[str]]:
    """Return the table in files of text, one after another, with notes.

    Args:
        files: at least one, in order.
        source: the folder or the pattern.
        header, known: see `read_text_frame`.

    Raises:
        DataError: a file is no table, or has other columns than the first.
    """
    frames, notes = list[Frame](), list[str]()
    for path in files:
        first = frames[0] if frames else None
        how = header if first is None or first.header is not None else "no"
        frame, said = read_text_frame(path, how, known if first is None or first.header is None else first.names)
        if first is not None:
            _check_alike(path, _named(frame), files[0], _named(first))
        frames.append(frame)
        notes += [note for note in said if note not in notes]
    columns = tuple(_joined([frame.columns[i] for frame in frames]) for i in range(len(frames[0].names)))
    lines = np.concatenate([np.arange(len(f)) if f.lines is None else f.lines for f in frames])
    numbers = np.repeat(np.arange(len(files), dtype=np.int32), list(map(len, frames)))
    whole = replace(frames[0], columns=columns, where=str(source), lines=lines)
    return replace(whole, files=tuple(map(str, files)), file_numbers=numbers), _counted(files, source, notes)


def read_raw_shards(
    files: Sequence[Path], source: Path, labels: str | None, missing: bool = False, table: Selection | None = None
) -> Raw:
    """Return the numbers in files of text, one after another.

    Args:
        files: at least one, in order.
        source: the folder or the pattern.
        labels, missing, table: see `read_table`.

    Raises:
        DataError: a file is no table of numbers, or has other columns than the first.
    """
    table = table or Selection()
    named = table_names(files[0], table.header, table.known or ())
    raws = list[Raw]()
    for path in files:
        if raws:
            _check_alike(path, table_names(path, table.header, named or ()), files[0], named)
        own = table if not raws or raws[0].names is None else replace(table, known=raws[0].names, columns=None)
        raws.append(read_table(path, labels, missing, own))
        if raws[-1].x.shape[1:] != raws[0].x.shape[1:]:
            widths = f"{raws[-1].x.shape[1]} columns of data, and {files[0]} {raws[0].x.shape[1]}"
            raise DataError(f"{path} has {widths}", "Give files with the same columns.")
    identity = {
        name: np.concatenate([raw.identity[name] for raw in raws])
        for name in raws[0].identity
        if all(name in raw.identity for raw in raws)
    }
    notes = list(dict.fromkeys(note for raw in raws for note in raw.notes))
    held = [raw.labels for raw in raws if raw.labels is not None]
    whole = replace(raws[0], x=np.concatenate([raw.x[:] for raw in raws]), identity=identity)
    whole.labels = np.concatenate(held) if len(held) == len(raws) else None
    whole.notes, whole.files = _counted(files, source, notes), [str(source.resolve())]
    return whole


def _counted(files: Sequence[Path], source: Path, notes: list[str]) -> list[str]:
    """Return notes, with one on how many files were read."""
    if len(files) == 1:
        return notes
    return [f"{len(files):,} files of {source} read as one table, in natural order", *notes]


def _named(frame: Frame) -> tuple[str, ...] | None:
    return None if frame.header is None else frame.names


def _check_alike(path: Path, names: tuple[str, ...] | None, first: Path, wanted: tuple[str, ...] | None) -> None:
    """Refuse a file whose columns are not those of the first one.

    Raises:
        DataError: naming the file and what differs.
    """
    if names == wanted:
        return
    if names is None or wanted is None:
        what = f"{path} has {'no' if names is None else 'a'} header, and {first} {'one' if names is None else 'none'}"
        raise DataError(what, "Give all files a header, or none; or say what they have: --header yes or no.")
    lacks, more = [n for n in wanted if n not in names], [n for n in names if n not in wanted]
    parts = [f"lacks {', '.join(map(repr, lacks))}"] if lacks else []
    parts += [f"has {', '.join(map(repr, more))} more"] if more else []
    if not parts:
        parts = ["has the same ones in another order"]
    raise DataError(f"{path} has other columns than {first}: it {' and '.join(parts)}", "Give files of one table.")


def _joined(parts: Sequence[Cells]) -> TextCells:
    """Return the cells of a column of text, those of one file after another."""
    numbers, codes = dict[str, int](), list[np.ndarray]()
    for part in parts:
        cells = part if isinstance(part, TextCells) else part.as_text()
        own = np.array([*(numbers.setdefault(t, len(numbers)) for t in cells.texts.tolist()), -1], dtype=np.int32)
        codes.append(own[cells.codes])
    texts = np.empty(len(numbers), dtype=object)
    texts[:] = list(numbers)
    return TextCells(texts, np.concatenate(codes))
