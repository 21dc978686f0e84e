"""From a table as it was given to a data set of mixed columns: which are data, what they hold, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.wording import plural
from .column_kinds import IDENTIFIER, Guess, infer
from .column_notes import LISTED, both_data, contradictions, leaks, left_out, remarks, spellings, unknown_levels
from .columns import Column, Determined
from .dataset import Dataset, Source, digest_of, writable_names
from .determined import check_determined, completed, determining, full_names
from .documents import document_error
from .file_rows import Array
from .frames import Cells, Frame, TextCells
from .headers import is_unnamed, leading_indices
from .hints import hinted
from .identity import kept_as
from .label_numbers import encode_labels
from .number_texts import NumberFormat
from .parquet_tables import ParquetColumns, TableRows
from .schema import Schema
from .selection import Selection, indices_of
from .separators import separator_remedy
from .twins import telling, twins

__all__ = ["mixed_dataset", "recoded"]

INDEX = "has no name, and numbers or names the rows"


@dataclass
class _Parts:
    """The columns of a frame, divided.

    Attributes:
        label: the place of the labels, None without.
        places: of the columns of data.
        columns: what they hold.
        reasons: by name, for the kinds of columns, and for leaving them out.
        beside: places of columns that are no data.
        notes: for the user.
    """

    label: int | None
    places: list[int] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    beside: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def mixed_dataset(
    frame: Frame,
    name: str,
    options: Selection,
    label: str | None = None,
    labels: np.ndarray | None = None,
    notes: Sequence[str] = (),
    files: Sequence[str] = (),
) -> Dataset:
    """Return the data set of a table, whose columns may differ in kind and have missing cells.

    Args:
        frame: the table.
        name: of the source.
        options: which columns are data; those of a schema are taken by name, and others are guessed.
        label: the name of the column of labels.
        labels: [N] from elsewhere.
        notes: on how the table was read.
        files: that were read.

    Raises:
        DataError: there is no such column, a cell is no value of its column, or no column of data is left.
        UsageError: a schema contradicts itself.

    Example:
        >>> from jensen.data.typed_frames import frame_of
        >>> frame = frame_of({"age": [30, 41, 55], "sex": ["F", None, "M"]}, "table")
        >>> data = mixed_dataset(frame, "table", Selection())
        >>> [c.kind for c in data.schema.columns], data.x[:, 1].tolist(), data.mask[:, 1].tolist()
        (['integer', 'boolean'], [0.0, 0.0, 1.0], [True, False, True])
    """
    frame = _with_spare(frame, options)
    parts = _divided(frame, options, label)
    x, mask, said = _encoded(frame, parts.columns, parts.places)
    if options.schema is None and _leave_out_determined(parts, x, mask, options.hints or {}):
        x, mask, said = _encoded(frame, parts.columns, parts.places)
    if options.schema is None and not mask.any():
        raise DataError(f"{frame.where} has no observed cell", "Give data with observed cells.")
    if labels is None and parts.label is not None:
        labels = np.array(["" if t is None else t for t in _texts(frame.columns[parts.label]).tolist()])
    numbers, classes = (None, None) if labels is None else encode_labels(labels, frame.where)
    if numbers is not None and len(numbers) != len(frame):
        what = f"{frame.where} has {len(frame):,} rows and {len(numbers):,} labels"
        raise DataError(what, "Name the labels of these rows with --labels.")
    if not options.later:
        said += remarks(parts.columns) + contradictions(frame, parts.columns, parts.places, x, mask)
        said += leaks(parts.columns, [] if numbers is None else telling(x, mask, numbers))
    observed = None if mask.all() else mask
    if observed is not None:
        share = f"{plural(int((~mask).sum()), 'missing cell')} of {mask.size:,} ({(~mask).mean():.1%})"
        written = spellings(frame, parts.columns, parts.places)
        said.append(f"{share}{written}: log p(x) is of the observed ones (--missing-model self: and which these are)")
    if frame.dialect is not None:
        frame = replace(frame, dialect=replace(frame.dialect, decimal=_decimal_mark(parts.columns) or "."))
    names = tuple(c.name for c in parts.columns)
    schema = Schema("mixed", (len(names),), None, names, writable_names(classes), tuple(parts.columns))
    source = Source(name, tuple(files), digest_of(x, observed), len(x))
    everything = (*notes, *parts.notes, *said)
    identity = _identity(frame, parts.beside)
    return Dataset(x, numbers, schema, source, everything, observed, None, identity, frame=frame, reasons=parts.reasons)


def _leave_out_determined(parts: _Parts, x: Array, mask: np.ndarray, hints: Mapping[str, Mapping[str, Any]]) -> bool:
    """Leave out the columns that others determine, and return whether there are any.

    Those that a schema names are data, unless it says what determines them.

    Raises:
        UsageError: a schema says so of a column of which it is not true.
    """
    apart = {name for name, hint in hints.items() if not hint.get("determined_by")}
    pairs, columns = twins(x, mask), parts.columns
    left = determining(columns, pairs, apart)
    check_determined(left, hints)
    places = {column.name: place for column, place in zip(columns, parts.places, strict=True)}
    parts.columns, parts.places = list(left), [places[column.name] for column in left]
    for column in left:
        if column.determines:
            names = [d.column.name for d in column.determines]
            listed, verb = ", ".join(names[:LISTED]), "is" if len(names) == 1 else "are"
            what = f"{listed} {verb} determined by {column.name} in every row"
            parts.notes.append(f"{what}: the model is of {column.name} alone, and results have both")
    parts.notes += both_data(pairs, columns, left)
    return len(left) < len(columns)


def _with_spare(frame: Frame, options: Selection) -> Frame:
    """Return a table with empty columns in the place of those that it may lack, or that another one tells.

    One without a header is taken by the places of its columns, of which none may lack.
    """
    if frame.header is None:
        return frame
    columns = options.schema or ()
    known = (c.name for c in columns if any(d.column.name in frame.names for d in c.determines))
    absent = tuple(n for n in dict.fromkeys((*options.spare, *known)) if columns and n not in frame.names)
    empty = tuple(TextCells.of([None] * len(frame)) for _ in absent)
    return replace(frame, names=(*frame.names, *absent), columns=(*frame.columns, *empty)) if absent else frame


def recoded(dataset: Dataset, columns: Sequence[Column]) -> Dataset:
    """Return a data set whose table is read again by other columns, such as those of a run.

    Raises:
        DataError: a column is absent, or a cell is no value of its column.
    """
    frame = dataset.frame
    if frame is None:
        raise DataError(f"{dataset.source.name} is no table of mixed columns", "Give a table with the same columns.")
    again = Selection(schema=tuple(columns), typed=True, later=True)
    read = mixed_dataset(frame, dataset.source.name, again, files=dataset.source.files)
    schema = replace(read.schema, classes=dataset.schema.classes)
    kept: Any = {"labels": dataset.labels, "conditions": dataset.conditions}
    return replace(read, schema=schema, notes=(*dataset.notes, *read.notes), **kept)


def _divided(frame: Frame, options: Selection, label: str | None) -> _Parts:
    """Divide the columns of a frame into data, labels and others.

    Raises:
        DataError: a column that is asked for is absent, or none is left.
    """
    parts = _Parts(_label_place(frame, label))
    if options.schema is not None:
        _take_known(frame, options.schema, options, parts)
        return parts
    without = {i for i in (parts.label,) if i is not None}
    indices = (
        set(range(_index_columns(frame)))
        - without
        - {i for i, n in enumerate(frame.names) if n in (options.columns or ())}
    )
    has_names = frame.header is not None or frame.source_kind != "csv"
    chosen = [i for i in options.chosen(frame.names, without | indices, frame.where, has_names) if i not in without]
    if not chosen:
        raise DataError(f"{frame.where} has no column but its labels", "Give at least one column of data.")
    guesses = _guesses(frame, chosen, options)
    forced = set(options.columns or ())
    for place, guess in zip(chosen, guesses, strict=True):
        name = frame.names[place]
        if guess.column is None and name in forced and guess.reason != "no cell is observed":
            guess = _kept(frame, place, guess)
        parts.reasons[name] = guess.reason
        if guess.column is None:
            parts.beside.append(place)
            continue
        parts.places.append(place)
        parts.columns.append(replace(guess.column, header=_header(frame, place)))
        if guess.doubt is not None:
            parts.notes.append(f"column {name}: {guess.doubt}")
    dropped = {i for i, n in enumerate(frame.names) if n in options.drop}
    left = [frame.names[i] for i in parts.beside]
    parts.beside = sorted({*parts.beside, *indices, *dropped})
    for place in sorted(indices):
        parts.reasons[frame.names[place]] = INDEX
    parts.notes += left_out(left, parts.reasons)
    if not parts.places:
        whys = "; ".join(f"{n}: {parts.reasons[n]}" for n in left[:LISTED])
        remedy = "Name the columns to read: --columns a,b."
        if frame.source_kind == "csv" and len(frame.names) == 1:
            remedy = separator_remedy([*(frame.header or ()), *_texts(frame.columns[0])[:100].tolist()])
        error = DataError(f"{frame.where} has no column of data left ({whys})", remedy)
        raise document_error(Path(frame.where), error) if frame.source_kind == "csv" else error
    return parts


def _header(frame: Frame, place: int) -> str | int | None:
    """Return what the source has in the place of a column's name, if that is another: a number, or one that recurs."""
    if frame.source_kind == "pandas" and isinstance(label := frame.origin.columns[place], int | np.integer):
        return int(label)
    written = None if frame.header is None else frame.header[place]
    return None if written == frame.names[place] else written


def _label_place(frame: Frame, label: str | None) -> int | None:
    """Return the place of the column of labels; None if there is none of that name."""
    return frame.names.index(label) if label is not None and label in frame.names else None


def _index_columns(frame: Frame) -> int:
    """Return how many of the first columns have no name and number or name the rows."""
    if not frame.header or not is_unnamed(frame.header[0]):
        return 0
    texts = (["" if t is None else t.strip() for t in _texts(c).tolist()] for c in frame.columns)
    return leading_indices(frame.header, texts)


def _texts(cells: Cells) -> np.ndarray:
    """Return the cells of a column as texts, None for a null."""
    return cells.array() if isinstance(cells, TextCells) else cells.as_text().array()


def _guesses(frame: Frame, places: Sequence[int], options: Selection) -> list[Guess]:
    """Return the guesses of columns, those of a schema as it says.

    Where a comma may be a decimal mark or separate thousands, other columns tell.

    Raises:
        DataError: a column cannot be read.
    """
    hints = options.hints or {}
    absent = [n for n in hints if n not in frame.names]
    if absent:
        indices_of(list(frame.names), absent, frame.where, "Rename it in the schema. ")
    guesses: dict[int, Guess] = {}
    unclear: dict[int, DataError] = {}
    for place in places:
        try:
            guesses[place] = _guess(frame, place, hints.get(frame.names[place]))
        except DataError as error:
            unclear[place] = error
    mark = _decimal_mark([g.column for g in guesses.values() if g.column is not None])
    again = [] if mark is None else [*unclear, *(p for p in guesses if mark == "," and _is_plain(guesses[p].column))]
    for place in again:
        guesses[place] = _guess(frame, place, hints.get(frame.names[place]), mark)
        unclear.pop(place, None)
    if unclear:
        raise next(iter(unclear.values()))
    return [guesses[place] for place in places]


def _guess(frame: Frame, place: int, hint: Mapping[str, Any] | None, mark: str | None = None) -> Guess:
    """Return the guess of one column, or what a schema says of it."""
    name, cells = frame.names[place], frame.columns[place]

    def where(row: int) -> str:
        return frame.place(row, place)

    if hint is not None:
        return hinted(name, cells, hint, where, mark)
    return infer(name, cells, where, decimal=mark, is_first=place == 0 and frame.header is None)


def _decimal_mark(columns: Sequence[Column]) -> str | None:
    """Return the decimal mark that columns of numbers show."""
    formats = [c.format for c in columns if c.format is not None and c.kind != "datetime"]
    samples = [NumberFormat.from_sample(form) for form in formats if "%" not in form[:-1]]  # no times of day
    if any(s.decimal == "," for s in samples):
        return ","
    shown = any(s.decimal == "." and s.group == "," for s in samples)
    return "." if shown or any(c.format is None and (c.decimals or 0) > 0 for c in columns) else None


def _is_plain(column: Column | None) -> bool:
    """Return whether a column is of plain numbers with a decimal point."""
    return column is not None and column.format is None and bool(column.decimals) and column.stored == "text"


def _kept(frame: Frame, place: int, guess: Guess) -> Guess:
    """Return the column of one that would be left out, and was asked for: names as levels, numbers as they are."""
    cells = frame.columns[place]
    texts = [t for t in _texts(cells).tolist() if t is not None]
    numeric = guess.reason == IDENTIFIER
    kind = "real" if numeric else "categorical"
    own = hinted(frame.names[place], cells, {"kind": kind}, lambda row: frame.place(row, place), None)
    return replace(own, reason=f"asked for ({plural(len(set(texts)), 'different value')})")


def _take_known(frame: Frame, columns: Sequence[Column], options: Selection, parts: _Parts) -> None:
    """Take the columns of a schema by their names.

    Raises:
        DataError: some are absent.
    """
    names, everything = [c.name for c in columns], full_names(columns)
    if frame.header is None and not set(names) <= set(frame.names) and len(frame.names) == len(everything):
        parts.notes.append(f"{frame.where} has no header: its columns are taken for {', '.join(everything[:LISTED])}")
        places = [everything.index(name) for name in names]
    else:
        places = indices_of(list(frame.names), names, frame.where)
    parts.places, parts.columns = places, list(columns)
    determined = set(everything) - set(names)
    indices, extra = _index_columns(frame), list[str]()
    for place in range(len(frame.names)):
        if place in places or place == parts.label or frame.names[place] in determined:
            continue
        reason = INDEX if place < indices else _reason_to_leave_out(frame, place)
        if reason is None and frame.names[place] not in options.drop:
            extra.append(frame.names[place])
            continue
        parts.beside.append(place)
        parts.reasons[frame.names[place]] = reason or "dropped"
    if extra and options.later:
        listed = ", ".join(extra[:LISTED]) + (f", ... {len(extra)} in all" if len(extra) > LISTED else "")
        verb = "is no column" if len(extra) == 1 else "are no columns"
        parts.notes.append(f"{listed} of {frame.where} {verb} of the model, and ignored")


def _reason_to_leave_out(frame: Frame, place: int) -> str | None:
    """Return the reason to leave out a column that the model does not have; None if it is one of data."""
    try:
        guess = _guess(frame, place, None)
    except DataError:
        return None
    return guess.reason if guess.column is None else None


def _encoded(frame: Frame, columns: Sequence[Column], places: Sequence[int]) -> tuple[Array, np.ndarray, list[str]]:
    """Return the numbers [N, D] of the columns, where they are observed, and notes on names that are no level.

    Raises:
        DataError: a cell is no value of its column.
    """
    cells = frame.columns
    others = [_others(frame, column) for column in columns]
    stored = None
    if isinstance(cells, ParquetColumns):
        stored = TableRows(cells.stored, columns, places, cells.chosen, others)
    x = np.zeros((len(frame), 0 if stored is not None else len(columns)))
    mask, notes = np.zeros((len(frame), len(columns)), dtype=bool), list[str]()
    for j, (column, place) in enumerate(zip(columns, places, strict=True)):
        beside = [(d, frame.columns[at]) for d, at in others[j]]
        values, mask[:, j], unseen, said = completed(
            column, frame.columns[place], beside, lambda row, at=place: frame.place(row, at)
        )
        notes += said
        if stored is None:
            x[:, j] = values
        notes += unknown_levels(column, unseen)
    return x if stored is None else stored, mask, notes


def _others(frame: Frame, column: Column) -> list[tuple[Determined, int]]:
    """Return the columns that this one determines, as far as the table has them, with their places."""
    return [(d, frame.names.index(d.column.name)) for d in column.determines if d.column.name in frame.names]


def _identity(frame: Frame, beside: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the columns beside the data by name, and the index of a DataFrame that does not only number its rows."""
    identity: dict[str, np.ndarray] = {}
    if frame.source_kind == "pandas" and type(frame.origin.index).__name__ != "RangeIndex":
        index = frame.origin.index
        own = kept_as(None if index.name is None else str(index.name), 0, identity)
        identity[own] = np.array([str(v) for v in index])
    for place in beside:
        cells, header = frame.columns[place], frame.header
        name = kept_as(header[place] if header else None, place, identity)
        texts = np.array(["" if t is None else t.strip() for t in _texts(cells).tolist()], dtype=object)
        identity[name] = cells.array() if cells.array().dtype.kind in "iu" else texts
    return identity
