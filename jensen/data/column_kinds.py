"""The kind of each column of a table, from its name and its cells: guessed, with the reason."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import DataError, UsageError
from ..core.wording import plural
from .cells import present
from .columns import Column
from .counts import is_measure
from .fields import category, explain, is_number
from .frames import Cells, TextCells, TypedCells
from .identity import are_names, is_identifying_name
from .number_kinds import number_column
from .number_texts import PLAIN, NumberFormat, decimals_of, number_format, width_of
from .scales import in_order, is_scale
from .time_texts import CLOCKS, are_times, nearest_format, time_format

__all__ = ["IDENTIFIER", "Guess", "infer"]

Place = Callable[[int], str]
MOST_LEVELS = 1000  # of a column of names
REPEATED = 2.0  # rows for each name, on average, at least; text that repeats less is free text
OFTEN = 10.0  # rows for each name, on average, from which names of persons are levels as others are
FEW_LEVELS = 10  # names, which may repeat less
LONG = 60  # characters of a text, on average, from which it is free text where it hardly repeats
MOSTLY = 0.9  # of the observed cells are numbers, or times: then the others are errors or marks of missing entries
IDENTIFIER = "an identifier: whole numbers, all different, that name or number the rows"
MARKS = 3  # texts at most that can be marks of missing entries, each of which occurs twice or more
MOST_DECIMALS = 6  # digits after the point that typed numbers are known to have
EXACT = 15  # digits that a number of eight bytes holds
SAMPLE = 1000  # different texts, by which a column of names is told
_NUMBERS = ("number", "decimal comma", "thousands", "unclear", "money", "percentage", "unit")  # see `category`
_TIMES = ("date", "time")
_DAY_NAME = re.compile(r"date|day|dob", re.IGNORECASE)
_CODE = re.compile(r"0\d+")  # a number written with leading zeros is a code, such as that of a place


@dataclass(frozen=True)
class Guess:
    """The guess of a column.

    Attributes:
        column: with its kind; None of a column that is left out.
        reason: for the kind, or for leaving it out.
        doubt: what could be otherwise, and its remedy; None if nothing.
    """

    column: Column | None
    reason: str
    doubt: str | None = None


def _no_place(row: int) -> str:
    return f"row {row:,} (from 0)"


def infer(
    name: str,
    cells: Cells,
    place: Place = _no_place,
    missing: tuple[str, ...] = (),
    decimal: str | None = None,
    is_first: bool = False,
) -> Guess:
    """Guess the kind of a column.

    Args:
        name: of the column.
        cells: [N].
        place: names the cell of a row, in errors.
        missing: texts that stand for missing entries, beside the usual ones.
        decimal: the decimal mark of other columns of the table, where it is known.
        is_first: True for the first column of a table without a header, which may hold identifiers.

    Raises:
        DataError: almost all cells are numbers or times, and one is not; or a comma may be a decimal mark or separate
            thousands.

    Example:
        >>> infer("sex", TextCells.of(["M", "F", "?", "F"])).column
        Column(name='sex', kind='boolean', levels=('F', 'M'), ...)
        >>> infer("price", TextCells.of(["1,5", "12,75", "", "9,0"])).column.format
        '1,5'
    """
    if isinstance(cells, TypedCells):
        return _infer_typed(name, cells, missing)
    known = present(cells, missing)
    texts = [t for t, ok in zip(cells.stripped, known, strict=True) if ok]
    counts = cells.counts[known]
    if not counts.sum():
        return Guess(None, "no cell is observed")
    if cells.levels:
        return _declared(name, cells)
    if _are_codes(texts):
        return _names(name, texts, counts, cells.stored)
    if _DAY_NAME.search(name) and all(len(t) == len("20201231") for t in texts) and are_times(texts, "%Y%m%d"):
        return _time(name, "%Y%m%d", False, cells.stored)
    try:
        written = number_format(texts, decimal)
    except UsageError:
        code = int(np.flatnonzero(known)[next(i for i, t in enumerate(texts) if "," in t)])
        raise _unclear(cells, code, place) from None
    if written is not None:
        return _number(name, texts, counts, written, cells.stored, is_first)
    times = time_format(texts)
    if times is not None:
        return _time(name, *times, cells.stored)
    return _mixed(name, cells, known, place, missing, decimal) or _names(name, texts, counts, cells.stored)


def _unclear(cells: TextCells, code: int, place: Place) -> DataError:
    what = f"{place(cells.first(code))} is {cells.stripped[code]!r}"
    return DataError(
        f"{what}, a number with separators of thousands or with a decimal comma",
        'Tell which in a schema: --schema FILE.toml with format = "1,234.5" or format = "1,5" for this column.',
    )


def _are_codes(texts: Sequence[str]) -> bool:
    """Return whether digits are codes: too long for a number, or some begin with 0, and are no hours or months."""
    if any(len(t) > EXACT and t.isdecimal() for t in texts):
        return True
    return any(map(_CODE.fullmatch, texts)) and not all(len(t) <= 2 for t in texts)


def _number(
    name: str, texts: Sequence[str], counts: np.ndarray, written: NumberFormat, stored: str, is_first: bool
) -> Guess:
    """Guess the kind of a column of numbers in text."""
    values = written.parse_all(texts)
    form = None if written == PLAIN else written.sample
    decimals = decimals_of(texts, written)
    is_percent = written.suffix.strip() == "%"
    return _guess_of(
        name, values, counts, stored, decimals, form, is_first, is_percent, texts, width_of(texts, written)
    )


def _guess_of(
    name: str,
    values: np.ndarray,
    counts: np.ndarray | None,
    stored: str,
    decimals: int | None,
    form: str | None,
    is_first: bool = False,
    is_percent: bool = False,
    texts: Sequence[str] = (),
    width: int | None = None,
) -> Guess:
    """Guess the kind of a column of numbers [U], in the order of the rows, of which each occurs so often, or once."""
    if counts is None:
        different, often = np.unique(values, return_counts=True)
    else:  # 1 and 1.0 are written in two ways
        different, numbers = np.unique(values, return_inverse=True)
        often = np.bincount(numbers.reshape(-1), counts)
    if (often == 1).all() and _are_identifiers(name, values, is_first):
        return Guess(None, IDENTIFIER)
    finite = np.isfinite(different)  # reading refuses others, by their place
    different, often = different[finite].astype(np.float64), often[finite]
    if not len(different):
        return Guess(None, "no number is finite")
    choice = number_column(name, different, often, is_measure(name), is_percent)
    written = dict(zip(values.tolist(), texts, strict=True)) if texts else {}  # 1.0 stays 1.0
    levels = tuple(written.get(float(level), level.zfill(width or 0)) for level in choice.levels)
    column = Column(name, choice.kind, levels, choice.low, choice.high, stored=stored)
    column = column if levels else replace(column, decimals=decimals, format=form, width=width)
    named = is_identifying_name(name) and not name[-1:].isdecimal() and choice.kind in ("integer", "count", "real")
    suspect = f"it may identify rows; to leave it out: --drop {shlex.quote(name)}" if named else None
    return Guess(column, choice.reason, choice.doubt or suspect)


def _are_identifiers(name: str, values: np.ndarray, is_first: bool) -> bool:
    """Return whether numbers that are all different, in the order of the rows, identify them."""
    n = len(values)
    if n < 2 or not np.isfinite(values).all() or (values != np.floor(values)).any() or (values < 0).any():
        return False
    counted = n >= 10 and values[0] in (0, 1) and bool((np.diff(values) == 1).all())
    large = is_first and n >= 50 and values.max() >= 1000 and values.max() - values.min() >= n
    return bool(counted or is_identifying_name(name) or large)


def _declared(name: str, cells: TextCells) -> Guess:
    """Return the column of a type with levels, such as pandas' categories."""
    if cells.is_ordered and len(cells.levels) > 2:
        return Guess(Column(name, "ordinal", cells.levels, stored=cells.stored), "the type of the column has an order")
    kind = "boolean" if len(cells.levels) == 2 else "categorical"
    return Guess(
        Column(name, kind, cells.levels, stored=cells.stored),
        f"the type of the column has {plural(len(cells.levels), 'level')}",
    )


def _time(name: str, form: str, doubt: bool, stored: str) -> Guess:
    """Return the column of dates or times."""
    if form in CLOCKS:
        column = Column(name, "circular", low=0, high=24, stored=stored, format=form)
        return Guess(column, f"times of day, written as {form}: hours, 24 of which are a circle")
    may_be = f"days and months may be the other way round: it is read as {form}; tell by format in a schema"
    column = Column(name, "datetime", stored=stored, format=form)
    return Guess(column, f"dates or times, written as {form}", may_be if doubt else None)


def _mixed(
    name: str, cells: TextCells, known: np.ndarray, place: Place, missing: tuple[str, ...], decimal: str | None
) -> Guess | None:
    """Guess a column most of whose cells are numbers or times; None if they are not.

    Raises:
        DataError: other cells are no marks of missing entries.
    """
    codes = np.flatnonzero(known)
    texts, counts = [cells.stripped[i] for i in codes], cells.counts[codes]
    kinds = np.array([category(t) for t in texts[:SAMPLE]])
    if np.isin(kinds, [*_NUMBERS, *_TIMES]).mean() < 0.5:  # names, of which there may be many
        return None
    kinds = np.array([*kinds, *(category(t) for t in texts[SAMPLE:])])
    for fits, least in (
        (_are_numbers(texts, kinds, counts, decimal), FEW_LEVELS),
        (_are_times(texts, kinds, counts), 2),
    ):
        others = codes[~fits]
        if counts[fits].sum() < MOSTLY * counts.sum() or fits.sum() <= least or not len(others):
            continue
        marks = tuple(cells.stripped[i] for i in others)
        plain = all(kinds[~fits] == "text") and not any(c.isdigit() for m in marks for c in m)
        if plain and len(set(marks)) <= MARKS and (cells.counts[others] > 1).all():
            guess = infer(name, cells, place, (*missing, *marks), decimal)
            return _with_marks(guess, marks)
        code = min((int(i) for i in others), key=cells.first)
        text = cells.stripped[code]
        remedy = f"Correct it, or leave it empty; or name it in a schema: --schema FILE.toml, missing = [{text!r}]."
        what = explain(text, name)[0] if not is_number(text) else "a number"
        raise DataError(
            f"{place(cells.first(code))} is {text!r}, {what}, and most cells of the column are others", remedy
        )
    return None


def _are_numbers(texts: Sequence[str], kinds: np.ndarray, counts: np.ndarray, decimal: str | None) -> np.ndarray:
    """Return a mask of the texts that are numbers in the commonest way of writing them."""
    main = max(_NUMBERS, key=lambda kind: counts[kinds == kind].sum())
    try:
        written = number_format([t for t, kind in zip(texts, kinds, strict=True) if kind == main], decimal)
    except UsageError:
        written = None
    return np.zeros(len(texts), dtype=bool) if written is None else ~np.isnan(written.parse_all(texts))


def _are_times(texts: Sequence[str], kinds: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return a mask of the texts that are times in the commonest way of writing them."""
    if counts[np.isin(kinds, _TIMES)].sum() < MOSTLY * counts.sum():
        return np.zeros(len(texts), dtype=bool)
    return nearest_format(texts)[1]


def _with_marks(guess: Guess, marks: tuple[str, ...]) -> Guess:
    """Return a guess with texts that stand for missing entries of the column."""
    if guess.column is None:
        return guess
    listed = ", ".join(repr(m) for m in marks)
    column = replace(guess.column, missing=marks)
    return Guess(column, guess.reason, f"{listed} among numbers or times stand for missing entries")


def _names(name: str, texts: Sequence[str], counts: np.ndarray, stored: str) -> Guess:
    """Guess a column of names: levels, identifiers or free text."""
    names = dict.fromkeys(texts)
    n, k = int(counts.sum()), len(names)
    if k == n and n > 2:
        return Guess(None, "text that differs in every row: it identifies rows, or is free text")
    average = sum(map(len, names)) / k
    is_free = n < REPEATED * k and (k > FEW_LEVELS or average > LONG)
    if k > MOST_LEVELS or is_free:
        return Guess(None, f"free text: {plural(k, 'different text')} in {plural(n, 'row')}")
    if k > FEW_LEVELS and n < OFTEN * k and are_names(name, list(names)):
        each = f"{plural(k, 'name')} in {plural(n, 'row')}, fewer than {OFTEN:.0f} rows each"
        return Guess(None, f"{each}: they identify persons or things")
    levels = in_order(list(names))
    if k == 1:
        return Guess(Column(name, "categorical", levels, stored=stored), "constant: a single value")
    if k == 2:
        return Guess(Column(name, "boolean", levels, stored=stored), "two different names")
    if is_scale(levels):
        return Guess(Column(name, "ordinal", levels, stored=stored), f"{plural(k, 'name')} of a known order")
    return Guess(Column(name, "categorical", levels, stored=stored), plural(k, "different name"))


def _infer_typed(name: str, cells: TypedCells, missing: tuple[str, ...]) -> Guess:
    """Guess a column of a typed source."""
    held = cells.values[cells.observed]
    if missing and held.dtype.kind in "iuf":
        held = held[~np.isin(held, [float(m) for m in missing if is_number(m)])]
    if not len(held):
        return Guess(None, "no cell is observed")
    if held.dtype.kind == "M":
        is_day = bool((held == held.astype("datetime64[D]")).all())
        column = Column(name, "datetime", stored=cells.stored, format="%Y-%m-%d" if is_day else None)
        return Guess(column, f"{'days' if is_day else 'times'} of type {cells.stored}")
    if held.dtype.kind == "b":
        return Guess(Column(name, "boolean", ("False", "True"), stored=cells.stored), "truth values")
    return _guess_of(name, held, None, cells.stored, _decimals(held), None)


def _decimals(held: np.ndarray) -> int | None:
    """Return the digits after the point that numbers have, up to 6; None where some have more."""
    if held.dtype.kind in "iu":
        return 0
    head = held[:SAMPLE]
    places = (k for k in range(MOST_DECIMALS + 1) if (np.round(head, k) == head).all())
    return next((k for k in places if (np.round(held, k) == held).all()), None)
