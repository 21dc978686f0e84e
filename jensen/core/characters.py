"""Characters that a terminal would obey, or that its encoding lacks, in a visible form."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["as_one_line", "encodable", "escaped", "escaped_json", "visible"]

# C0 and C1 control characters, marks and overrides of the direction of text, separators of lines, lone surrogates, and
# what is not seen, by which two names look alike; joiners, which scripts and emoji need, are left
_CONTROLS = (
    r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
    r"\xad\u034f\u115f\u1160\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\uffa0\ufff9-\ufffb\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[{_CONTROLS}]")
_UNSAFE_WITHIN_LINES = re.compile(f"(?![\\t\\n])[{_CONTROLS}]")

_ASCII = {  # forms of the characters that we print ourselves
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "“": '"',
    "”": '"',
    "·": "*",
    "•": "*",
    "…": "...",
    "→": "->",
    "━": "#",
    "─": "-",
    "\N{NO-BREAK SPACE}": " ",
}


def escaped(character: str) -> str:
    r"""Return a character as a backslash escape of Python and JSON.

    Example:
        >>> escaped("\x1b"), escaped("\u202e")
        ('\\x1b', '\\u202e')
    """
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    code = ord(character)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def escaped_json(character: str) -> str:
    r"""Return a character as an escape of JSON, which has four digits: of characters beyond them, two.

    Example:
        >>> escaped_json("\x1b"), escaped_json("\U000e0001")
        ('\\u001b', '\\udb40\\udc01')
    """
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def visible(text: str) -> str:
    r"""Return lines of text with control characters escaped, but newlines and tabs.

    Example:
        >>> visible("a\tb\n\x1b[31mred")
        'a\tb\n\\x1b[31mred'
    """
    return _UNSAFE_WITHIN_LINES.sub(lambda match: escaped(match[0]), text)


def as_one_line(text: str, escape: Callable[[str], str] = escaped) -> str:
    r"""Return text with control characters escaped, so that it is one line whatever names it contains.

    Example:
        >>> as_one_line("run\nerror: forged")
        'run\\nerror: forged'
    """
    return _UNSAFE.sub(lambda match: escape(match[0]), text)


def encodable(text: str, encoding: str | None) -> str:
    r"""Return text that can be encoded: with ASCII forms of our own characters, and all others escaped.

    Args:
        text: to write.
        encoding: of the stream; None takes every character.

    Example:
        >>> encodable("-88.1 ± 0.4, é ≤", "latin-1"), encodable("é", "ascii")
        ('-88.1 ± 0.4, é <=', '\\xe9')
    """
    if encoding is None:
        return text
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return "".join(_in_encoding(character, encoding) for character in text)


def _in_encoding(character: str, encoding: str) -> str:
    """Return a character, or its form where the encoding lacks it."""
    try:
        character.encode(encoding)
        return character
    except UnicodeEncodeError:
        return _ASCII.get(character) or escaped(character)
