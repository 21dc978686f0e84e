"""Numbers in sentences."""

from __future__ import annotations

__all__ = ["plural"]


def plural(n: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> plural(1, "row"), plural(1797, "row"), plural(2, "entry"), plural(0, "datum")
        ('1 row', '1,797 rows', '2 entries', '0 data')
    """
    if n == 1:
        return f"{n:,} {noun}"
    if noun.endswith("datum"):
        return f"{n:,} {noun.removesuffix('um')}a"
    return f"{n:,} {noun.removesuffix('y')}ies" if noun.endswith("ry") else f"{n:,} {noun}s"
