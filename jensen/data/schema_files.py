"""Schemas of tables in TOML: what a user says of the columns, and a start that is written from a data set."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import DataError, UsageError
from .columns import Column
from .hints import BY, KEYS, check_hint

__all__ = ["Hints", "parsed_json", "read_schema_file", "schema_hints", "schema_text"]

Hints = dict[str, dict[str, Any]]  # by the names of columns
HEAD = """\
# The columns of {name}, as they were guessed. Change what is wrong, and give this file to --schema.
# kind: real, positive, bounded (low, high), integer, count, ordinal (levels in order), categorical, boolean, datetime
#   (format), circular (low, high); identifier or text leave a column out. What is left out is guessed again.
# missing = ["-9"]: texts that stand for missing cells. format: of times as strptime takes it; of numbers a sample.
"""


def read_schema_file(path: str | Path) -> Hints:
    """Return what a TOML file says of columns.

    Raises:
        DataError: there is no such file, or it is no TOML.
        UsageError: it has other entries than columns.
    """
    try:
        with open(path, "rb") as file:
            plain = tomllib.load(file)
    except FileNotFoundError as error:
        raise DataError(
            f"there is no file {path} of a schema", "Write a start: jensen data FILE --schema-out S.toml."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is no TOML ({error})", "Correct it; names with spaces are written in quotes."
        ) from error
    return schema_hints(plain, str(path))


def parsed_json(text: str) -> dict[str, Any]:
    """Return a schema that is given as JSON, in the place of a file.

    Raises:
        UsageError: it is no JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        what = f"the schema {text[:40]!r} is no JSON ({error})"
        raise UsageError(what, 'Write it so: {"age": "integer"}.') from error


def schema_hints(plain: Mapping[str, Any], where: str = "the schema") -> Hints:
    """Return what a mapping says of columns, checked: from names, or from "columns" to these.

    Raises:
        UsageError: an entry is unknown or of the wrong type.

    Example:
        >>> schema_hints({"age": {"kind": "integer"}})
        {'age': {'kind': 'integer'}}
    """
    columns = plain.get("columns") if set(plain) == {"columns"} else plain
    if not isinstance(columns, Mapping):
        raise UsageError(f"{where} has columns = {columns!r}", "Give a table for each column: [columns.NAME].")
    return {
        str(name): check_hint(str(name), {"kind": hint} if isinstance(hint, str) else hint)
        for name, hint in columns.items()
    }


def schema_text(name: str, columns: Sequence[Column], left_out: Mapping[str, str], reasons: Mapping[str, str]) -> str:
    r"""Return a schema as TOML.

    Args:
        name: of the source.
        columns: of data.
        left_out: reasons by the names of other columns.
        reasons: for the kinds, by name.

    Example:
        >>> text = schema_text("x.csv", [Column("age", "integer", decimals=0)], {}, {"age": "whole"})
        >>> print(text.partition("\n\n")[2])
        [columns.age]  # whole
        kind = "integer"
        decimals = 0
        <BLANKLINE>
    """
    lines = [HEAD.replace("{name}", " ".join(name.split()))]
    for column, by in ((c, by) for own in columns for c, by in _with_determined(own)):
        why = reasons.get(column.name)
        lines.append(f"[columns.{_key(column.name)}]" + (f"  # {_comment(why)}" if why else ""))
        plain = column.to_dict() | ({} if by is None else {BY: by})
        lines += [f"{key} = {_value(value)}" for key, value in plain.items() if key in KEYS]
        lines.append("")
    for other, why in left_out.items():
        lines += [f"[columns.{_key(other)}]  # {_comment(why)}", 'kind = "text"', ""]
    return "\n".join(lines)


def _with_determined(column: Column) -> list[tuple[Column, str | None]]:
    """Return a column and those that it determines, each with the name of the one that determines it."""
    return [(column, None), *((d.column, column.name) for d in column.determines)]


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _key(name: str) -> str:
    """Return a name as a key of TOML: bare where it may be."""
    is_bare = bool(name) and name.isascii() and all(c.isalnum() or c in "-_" for c in name)
    return name if is_bare else _string(name)


def _string(text: str) -> str:
    """Return a text in TOML's quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def _value(value: Any) -> str:
    """Return a text, number or list as TOML."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
