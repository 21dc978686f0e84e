"""The columns of a table of mixed kinds, in lines for `jensen data`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.wording import plural

__all__ = ["column_lines"]

MOST_COLUMNS = 200  # that are printed
MOST_LEVELS = 6  # names that are listed
MOST_LISTED = 12  # columns that are left out
WIDEST = 32  # characters of a name, beside which the others are aligned


def column_lines(description: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each column, with its kind and the reason for it, and one for those that are no data."""
    columns = description["columns"]
    width = min(max(len(column["name"]) for column in columns), WIDEST)
    kinds = max(len(column["kind"]) for column in columns)
    for column in columns[:MOST_COLUMNS]:
        parts = [column["reason"] or "as the schema says", *_values(column)]
        if column["missing"]:
            parts.append(f"{column['missing'] / description['n']:.1%} missing")
        yield f"  {column['name']:<{width}}  {column['kind']:<{kinds}}  {'; '.join(parts)}"
    if len(columns) > MOST_COLUMNS:
        yield f"  ... {len(columns):,} in all; --json prints all of them"
    left_out = description["left_out"]
    if left_out:
        listed = [f"{name} ({why})" for name, why in left_out.items()][:MOST_LISTED]
        more = f"; ... {len(left_out)} in all" if len(left_out) > MOST_LISTED else ""
        yield f"left out: {'; '.join(listed)}{more}"
    for group in description["determined"]:
        yield f"columns that determine each other: {', '.join(group)}"


def _values(column: dict[str, Any]) -> Iterator[str]:
    """Yield the levels of a column of names, with their numbers of rows; the ends of a column of times."""
    if "levels" in column:
        levels = sorted(column["levels"].items(), key=lambda item: -item[1] if column["kind"] != "ordinal" else 0)
        shown = ", ".join(f"{name} ({n:,})" for name, n in levels[:MOST_LEVELS])
        yield shown + (f", ... {plural(len(levels), 'level')} in all" if len(levels) > MOST_LEVELS else "")
    elif column["kind"] == "datetime" and "range" in column:
        yield f"from {column['range'][0]} to {column['range'][1]}"
