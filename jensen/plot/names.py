"""Names of columns, classes and files on the page: their control characters shown, and their lengths in bounds."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ..core.characters import as_one_line

__all__ = ["distinct", "shortened", "width_of"]

ELLIPSIS = "…"
# of the font of the drawings in bold, in which characters are placed at whole pixels
EMS = (("mwMW@%&…", 1.12), ("iljI.,:;|!'` ", 0.46), ("frt()[]-/\\", 0.52))
CAPITAL, OTHER = 0.86, 0.74


def width_of(text: str, size: float = 13.0) -> float:
    """Return the width of a text in CSS pixels, rather too large than too small.

    Example:
        >>> width_of("illi") < width_of("mama") < width_of("漢字漢字")
        True
    """
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    known = next((width for characters, width in EMS if character in characters), None)
    return known or (CAPITAL if character.isupper() else OTHER)


def shortened(text: str, pixels: float, size: float = 13.0) -> str:
    """Return a name for a drawing: printable, and cut with an ellipsis where it would be wider than this.

    Example:
        >>> shortened("age", 60), shortened("a very long name of a column", 60)
        ('age', 'a ver…')
    """
    text = as_one_line(text)
    if width_of(text, size) <= pixels:
        return text
    kept, left = "", pixels - width_of(ELLIPSIS, size)
    for character in text:
        left -= size * _em(character)
        if left < 0:
            break
        kept += character
    return kept.rstrip() + ELLIPSIS


def distinct(names: Sequence[str], pixels: float, size: float = 13.0) -> list[str]:
    """Return names for a drawing, as `shortened`, with their numbers where two would read alike.

    Example:
        >>> distinct(["the same long beginning, a", "the same long beginning, b", "c"], 100)
        ['1: the sa…', '2: the sa…', 'c']
    """
    short = [shortened(name, pixels, size) for name in names]
    return [
        shortened(f"{i + 1}: {name}", pixels, size) if short.count(short[i]) > 1 else short[i]
        for i, name in enumerate(names)
    ]
