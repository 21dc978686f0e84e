"""The cells of a column as numbers, and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.errors import DataError
from .columns import Column
from .fields import is_missing, is_number
from .frames import Cells, TextCells, TypedCells
from .number_texts import PLAIN, NumberFormat
from .time_texts import ISO, hours, hours_text, seconds, time_text

__all__ = ["Place", "decode", "encode", "is_clock", "present", "row_place"]

Place = Callable[[int], str]  # from the number of a row to the place of its cell in words
_TRUTHS = {"true": 1, "yes": 1, "t": 1, "y": 1, "1": 1, "false": 0, "no": 0, "f": 0, "n": 0, "0": 0}
_SCHEMA = "Correct it; or, if it is a missing entry, name it in a schema: --schema FILE.toml with missing = [{!r}]."


def row_place(row: int) -> str:
    """Return the place of the cell of a row, in words."""
    return f"row {row:,} (from 0)"


def present(cells: TextCells, missing: tuple[str, ...] = ()) -> np.ndarray:
    """Return a mask [U] of the texts that do not stand for missing entries.

    Args:
        cells: of a column.
        missing: texts that do so in this column, beside the usual ones.

    Example:
        >>> present(TextCells.of(["3", "NA", "-9"]), ("-9",)).tolist()
        [True, False, False]
    """
    return np.array([not is_missing(t) and t not in missing for t in cells.stripped], dtype=bool)


def encode(column: Column, cells: Cells, place: Place = row_place) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return the numbers of the cells of a column, as `Column` describes them.

    Args:
        column: what is known of it.
        cells: [N].
        place: names the cell of a row, in errors.

    Returns:
        values [N], float64, 0 where a cell is missing; where cells are observed [N]; and the names that are no level of
            the column, which are read as missing entries, with their numbers of rows.

    Raises:
        DataError: a cell is no value of this column; the first one is named.

    Example:
        >>> sex = Column("sex", "boolean", levels=("F", "M"))
        >>> values, observed, unseen = encode(sex, TextCells.of(["M", "?", "X"]))
        >>> values.tolist(), observed.tolist(), unseen
        ([1.0, 0.0, 0.0], [True, False, False], {'X': 1})
    """
    if isinstance(cells, TypedCells):
        if not column.is_levelled:
            return (*_numbers(column, cells, place), {})
        cells = cells.as_text()
    known = present(cells, column.missing)
    if column.is_levelled:
        number = _Levels(column.levels)
        numbers = [number.of(t) if ok else None for t, ok in zip(cells.texts, known, strict=True)]
        new = [i for i, (n, ok) in enumerate(zip(numbers, known, strict=True)) if ok and n is None and cells.counts[i]]
        unseen = {cells.stripped[i]: int(cells.counts[i]) for i in new}
        each, known = np.array([n or 0 for n in numbers], dtype=np.float64), np.array([n is not None for n in numbers])
    else:
        unseen, each = {}, np.zeros(len(cells.texts))
        each[known] = _parsed(column, cells, np.flatnonzero(known), place)
        each = _checked(column, np.where(known, each, np.nan), cells.texts, lambda code: place(cells.first(code)))
    observed = np.append(known, False)[cells.codes]
    return np.append(each, 0.0)[cells.codes] * observed, observed.astype(bool), unseen


class _Levels:
    """The levels of a column, by any text that stands for one of them."""

    def __init__(self, levels: tuple[str, ...]) -> None:
        stripped = {level.strip(): i for i, level in enumerate(levels)}
        self.exact = stripped | {level: i for i, level in enumerate(levels)}
        values = [_value(level) for level in levels]
        self.values = {} if None in values else {v: i for i, v in enumerate(values)}
        truths = [_TRUTHS.get(level.strip().lower()) for level in levels]
        self.truths = {t: i for i, t in enumerate(truths)} if sorted(map(str, truths)) == ["0", "1"] else {}

    def of(self, text: str) -> int | None:
        """Return the number of the level of a text: as it is written, or the same number or truth value."""
        plain = text.strip()
        number = self.exact.get(text, self.exact.get(plain))
        if number is None and self.values:
            number = self.values.get(_value(plain))
        return self.truths.get(_TRUTHS.get(plain.lower())) if number is None and self.truths else number


def _value(text: str) -> float | None:
    try:
        return PLAIN.parse(text)
    except ValueError:
        return None


def _parsed(column: Column, cells: TextCells, codes: np.ndarray, place: Place) -> np.ndarray:
    """Return the numbers of the texts of these codes.

    Raises:
        DataError: one is no number or time of this column.
    """
    texts = [cells.stripped[code] for code in codes]
    if column.kind == "datetime" or is_clock(column):
        form = column.format or ISO
        values = hours(texts, form) if column.kind == "circular" else seconds(texts, form)
    else:
        written = NumberFormat.from_sample(column.format) if column.format else PLAIN
        values = written.parse_all(texts)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        code = min((int(codes[i]) for i in bad), key=cells.first)
        text = str(cells.texts[code])
        raise DataError(
            f"{place(cells.first(code))} is {text!r}, and the column is {_what(column)}", _SCHEMA.format(text.strip())
        )
    return values


def is_clock(column: Column) -> bool:
    """Return whether the column holds times of day, as hours."""
    return column.kind == "circular" and "%" in (column.format or "")[:-1]  # a sample of percentages ends so


def _what(column: Column) -> str:
    """Return the values that a column holds, in words."""
    form = "" if column.format is None else f", written as {column.format}"
    if column.kind == "datetime":
        return f"one of times{form}"
    whole = "whole numbers" if column.kind in ("integer", "count") else "numbers"
    return f"one of {whole}{form}"


def _checked(column: Column, values: np.ndarray, shown: np.ndarray, place: Place) -> np.ndarray:
    """Return numbers, those of a circle between its ends, and 0 for NaN.

    Raises:
        DataError: the kind of the column excludes one.
    """
    with np.errstate(invalid="ignore"):
        bad = {
            "positive": values <= 0,
            "bounded": (values <= (column.low or 0)) | (values >= (column.high or 0)),
            "integer": (values != np.floor(values)) | (values < (-np.inf if column.low is None else column.low)),
            "count": (values != np.floor(values)) | (values < 0),
        }.get(column.kind, np.zeros(len(values), dtype=bool)) & ~np.isnan(values)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        limits = {
            "positive": "positive: all numbers are above 0",
            "bounded": f"bounded: all numbers are above {column.low:g} and below {column.high:g}"
            if column.low is not None and column.high is not None
            else "",
            "integer": f"integer: all numbers are whole{'' if column.low is None else f', from {column.low:,.0f}'}",
            "count": "count: all numbers are whole, from 0",
        }[column.kind]
        raise DataError(
            f"{place(i)} is {str(shown[i]).strip()}, and the column is {limits}",
            "Correct it, or leave it empty; to train with it, give the column another kind: --schema FILE.toml.",
        )
    if column.kind == "circular" and column.low is not None and column.high is not None:
        values = column.low + np.mod(values - column.low, column.high - column.low)
    return np.where(np.isnan(values), 0.0, values)


def _numbers(column: Column, cells: TypedCells, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of typed cells, and where they are observed.

    Raises:
        DataError: they are of another type, infinite, or excluded by the kind of the column.
    """
    is_time = cells.values.dtype.kind == "M"
    if is_time != (column.kind == "datetime") and cells.observed.any():
        i = int(np.flatnonzero(cells.observed)[0])
        raise DataError(
            f"{place(i)} is {cells.values[i]}, of type {cells.stored}, and the column is {_what(column)}",
            "Give a column of the type that the model was trained on.",
        )
    values = _seconds(cells.values) if is_time else cells.values.astype(np.float64)
    observed, marks = cells.observed, [float(m) for m in column.missing if is_number(m)]
    if marks and not is_time:
        observed = observed & ~np.isin(values, marks)
    values = np.where(observed, values, np.nan)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        i = int(infinite[0])
        raise DataError(f"{place(i)} is infinite", "Correct it; a missing entry is NaN or null.")
    return _checked(column, values, cells.values, place), observed


def _seconds(times: np.ndarray) -> np.ndarray:
    """Return the seconds since 1970 of datetime64."""
    return times.astype("datetime64[us]").astype(np.int64) / 1e6


def decode(column: Column, values: np.ndarray) -> np.ndarray:
    """Return numbers [N] as texts [N] (objects), as they are written in a file of text.

    Example:
        >>> decode(Column("price", "positive", decimals=2, format="1,5"), np.array([3.14159, 2.0])).tolist()
        ['3,14', '2,00']
    """
    if column.is_levelled:
        levels = np.array(column.levels, dtype=object)
        return levels[np.clip(np.rint(values), 0, len(levels) - 1).astype(np.int64)]
    if column.kind == "datetime":
        texts = [time_text(v, column.format or ISO) for v in values.tolist()]
    elif is_clock(column):
        texts = [hours_text(v, column.format or "") for v in values.tolist()]
    else:
        written = NumberFormat.from_sample(column.format) if column.format else PLAIN
        rounded = np.rint(values) if column.kind in ("integer", "count") else values
        texts = [written.write(v, column.decimals, column.width) for v in rounded.tolist()]
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    return result
