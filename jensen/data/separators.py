"""Separators of fields that are not looked for: what to do where a table may have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

__all__ = ["separator_remedy"]

TRIED = "tab, semicolon, comma, vertical bar and white space"
_NEVER = frozenset("\t;,|.'\"_-()[]{} ")  # are looked for, or stand within words and numbers


def separator_remedy(lines: Iterable[str]) -> str:
    """Return what to do where the lines of a table were not divided into fields.

    Example:
        >>> separator_remedy(["a~b~c", "1~2~3"]).partition(": ")[2]
        'sep=~'
    """
    mark = _likely(list(lines)) or "X"
    return f"If its fields have another separator than {TRIED}, name it in a line before all others: sep={mark}"


def _likely(lines: list[str]) -> str | None:
    """Return the character that occurs in every line, and in all equally often; None if there is none."""
    counts = [Counter(c for c in line if not c.isalnum() and c not in _NEVER) for line in lines]
    first = counts[0] if counts else Counter[str]()
    even = {mark: n for mark, n in first.items() if all(count[mark] == n for count in counts)}
    return max(even, key=lambda mark: even[mark], default=None)
