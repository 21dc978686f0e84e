"""Columns that a user describes: their kind and what else is known; the rest is taken from the cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args

from ..core.errors import UsageError
from .cells import present
from .column_kinds import Guess, infer
from .columns import Column, ColumnKind
from .frames import Cells, TextCells, TypedCells
from .number_texts import PLAIN, decimals_of, number_format, width_of
from .scales import in_order
from .time_texts import time_format

__all__ = ["BY", "KEYS", "LEFT_OUT", "check_hint", "hinted"]

LEFT_OUT = ("identifier", "text", "none")  # kinds of columns that are no data
BY = "determined_by"  # the name of another column
KEYS = (*(f.name for f in fields(Column) if f.name not in ("name", "stored", "determines", "header")), BY)


def check_hint(name: str, hint: Any) -> dict[str, Any]:
    """Return what is said of a column, with lists as tuples.

    Raises:
        UsageError: an entry is unknown or of the wrong type.

    Example:
        >>> check_hint("size", {"kind": "ordinal", "levels": ["S", "M", "L"]})
        {'kind': 'ordinal', 'levels': ('S', 'M', 'L')}
    """
    if not isinstance(hint, Mapping):
        raise UsageError(f"column {name!r} of the schema is {hint!r}", f"Give a table with some of {', '.join(KEYS)}.")
    unknown = next((key for key in hint if key not in KEYS), None)
    if unknown is not None:
        raise UsageError(f"column {name!r} of the schema has {unknown!r}", f"Entries are {', '.join(KEYS)}.")
    kinds = (*get_args(ColumnKind), *LEFT_OUT)
    if hint.get("kind", kinds[0]) not in kinds:
        raise UsageError(
            f"column {name!r} of the schema has the kind {hint['kind']!r}", f"Kinds are {', '.join(kinds)}."
        )
    checked = dict[str, Any](hint)
    for key in ("levels", "missing"):
        if key in checked:
            values = checked[key]
            if isinstance(values, str) or not isinstance(values, list | tuple):
                raise UsageError(
                    f"column {name!r} of the schema has {key} = {values!r}", f"Give a list: {key} = [...]."
                )
            checked[key] = tuple(v if isinstance(v, str) else _text(v) for v in values)
    if not isinstance(checked.get(BY, ""), str):
        raise UsageError(f"column {name!r} of the schema has {BY} = {checked[BY]!r}", "Give the name of a column.")
    for key in ("low", "high"):
        if key in checked and (isinstance(checked[key], bool) or not isinstance(checked[key], int | float)):
            raise UsageError(f"column {name!r} of the schema has {key} = {checked[key]!r}", "Give a number.")
    return checked


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def hinted(name: str, cells: Cells, hint: Mapping[str, Any], place: Callable[[int], str], decimal: str | None) -> Guess:
    """Return the column that a user describes, completed by what the cells show.

    Args:
        name: of the column.
        cells: [N].
        hint: see `check_hint`.
        place: names the cell of a row, in errors.
        decimal: the decimal mark of other columns.

    Raises:
        UsageError: the description contradicts itself.
        DataError: without a kind, as for `infer`.

    Example:
        >>> hinted("code", TextCells.of(["1", "2", "1"]), {"kind": "categorical"}, str, None).column.levels
        ('1', '2')
    """
    said = check_hint(name, hint)
    missing = said.get("missing", ())
    said.pop(BY, None)
    kind = said.pop("kind", None)
    if kind in LEFT_OUT:
        return Guess(None, f"the schema says {kind}")
    if kind is None:
        guess = infer(name, cells, place, missing, decimal)
        if guess.column is None:
            return guess
        own = {f.name: getattr(guess.column, f.name) for f in fields(Column)} | said
        own["missing"] = tuple(dict.fromkeys((*guess.column.missing, *missing)))
        return Guess(Column(**own), guess.reason, guess.doubt)
    seen = {"stored": cells.stored, **_seen(kind, cells, missing, said, decimal)}
    return Guess(Column(name, kind, **(seen | said)), "the schema says so")


def _seen(
    kind: ColumnKind, cells: Cells, missing: tuple[str, ...], said: Mapping[str, Any], decimal: str | None
) -> dict[str, Any]:
    """Return levels, format and decimals that the cells of a column of this kind show."""
    if kind in ("ordinal", "categorical", "boolean"):
        return {} if "levels" in said else {"levels": _levels(cells, missing)}
    if isinstance(cells, TypedCells):
        return {"decimals": 0} if kind in ("integer", "count") else {}
    texts = [t for t, ok in zip(cells.stripped, present(cells, missing), strict=True) if ok]
    if kind == "datetime":
        times = None if "format" in said else time_format(texts)
        return {} if times is None else {"format": times[0]}
    if "format" in said:
        return {}
    try:
        written = number_format(texts, decimal)
    except UsageError:
        return {}  # which encoding refuses, by its place
    if written is None:
        return {}
    form = None if written == PLAIN else written.sample
    return {"format": form, "decimals": decimals_of(texts, written), "width": width_of(texts, written)}


def _levels(cells: Cells, missing: tuple[str, ...]) -> tuple[str, ...]:
    """Return the levels that occur: numbers in their order, names in a known one or sorted."""
    if isinstance(cells, TextCells) and cells.levels:
        return cells.levels
    texts = cells if isinstance(cells, TextCells) else cells.as_text()
    occur = (texts.counts > 0) & present(texts, missing)
    names = list(dict.fromkeys(t for t, ok in zip(texts.stripped, occur, strict=True) if ok))
    if number_format(names, ".") == PLAIN:
        return tuple(sorted(names, key=float))
    return in_order(names)
