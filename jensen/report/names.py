"""Names of columns, classes and files on the page: their control characters shown, and their lengths in bounds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["UNSAFE", "distinct", "printable", "shortened", "width_of"]

# C0 and C1 control characters, invisible marks, overrides of the direction of text, separators of lines, surrogates
UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060\\u2066-\\u2069\\ufeff\\ud800-\\udfff]"
)
ELLIPSIS = "…"
# of the font of the drawings in bold, in which characters are placed at whole pixels
EMS = (("mwMW@%&…", 1.12), ("iljI.,:;|!'` ", 0.46), ("frt()[]-/\\", 0.52))
CAPITAL, OTHER = 0.86, 0.74


def printable(text: str) -> str:
    r"""Return a text with every character that a reader would not see, or that would reorder others, as its escape.

    Example:
        >>> printable("a\x1b[31m\u202eb")
        'a\\x1b[31m\\u202eb'
    """
    return UNSAFE.sub(lambda match: _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


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
    text = printable(text)
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
