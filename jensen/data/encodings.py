"""Encodings of text: recognised by its bytes, and such that every byte that is read is written back.

A byte that is no UTF-8, in a text that is UTF-8 elsewhere, is read as one of 128 private characters, from U+EF80, which
is written as that byte again. Windows-1252 lacks five bytes: each is read as the control character of its number.
"""

from __future__ import annotations

import codecs
import re

from ..core.errors import DataError
from ..core.wording import plural

__all__ = ["ENCODINGS", "ESCAPED", "decoded_bytes", "encoded_text", "encoding_of"]

ESCAPED = "-escaped"  # after the name of an encoding, some of whose bytes are private characters
ENCODINGS = (
    *("utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"),
    *(f"utf-8{ESCAPED}", f"utf-8-sig{ESCAPED}"),
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# of Python's surrogateescape, by which it reads bytes that it cannot decode, to characters that any text can hold
_PRIVATE = {0xDC80 + i: chr(0xEF80 + i) for i in range(128)}
_CONTROLS = {0xDC00 + byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
_FROM_PRIVATE = {ord(private): chr(escape) for escape, private in _PRIVATE.items()}
_FROM_CONTROLS = {ord(control): chr(escape) for escape, control in _CONTROLS.items()}
_ANY_ESCAPE, _ANY_PRIVATE = re.compile("[\udc80-\udcff]"), re.compile("[\uef80-\uefff]")


def encoding_of(content: bytes) -> str:
    """Return the encoding that the beginning of a text shows: its mark, or the zeros of a wide one without a mark."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    head = content[:512]
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        zeros, others = head[first::2], head[1 - first :: 2]
        if len(head) >= 4 and zeros.count(0) >= 0.9 * len(zeros) and not others.count(0):
            return name
    return "utf-8"


def decoded_bytes(content: bytes, where: str) -> tuple[str, list[str], str]:
    """Return a text, notes on bytes that are not as they should be, and its encoding, one of `ENCODINGS`.

    Raises:
        DataError: it is damaged UTF-16 or UTF-32.

    Example:
        >>> decoded_bytes("Zürich, Genève, K".encode() + bytes([0xF6]), "x")[1]
        ['x is UTF-8 text but for 1 byte (0xF6 in line 1): read as UTF-8, and it is written back']
    """
    encoding = encoding_of(content)
    try:
        return content.decode(encoding), [], encoding
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            raise DataError(f"{where} is no {encoding.upper()} text ({error.reason})", "Save it as UTF-8.") from error
    text = content.decode(encoding, "surrogateescape")
    bad = len(_ANY_ESCAPE.findall(text))
    others = len(text) - len(text.encode("ascii", "ignore")) - bad
    place = _place(content)
    if (others > bad or encoding == "utf-8-sig") and not _ANY_PRIVATE.search(text):
        first, verb = (place, "it is") if bad == 1 else (f"first {place}", "they are")
        note = f"{where} is UTF-8 text but for {plural(bad, 'byte')} ({first}): read as UTF-8, and {verb} written back"
        return text.translate(_PRIVATE), [note], encoding + ESCAPED
    text = content.decode("cp1252", "surrogateescape").translate(_CONTROLS)
    return text, [f"{where} is not UTF-8 text ({place}): read as Latin-1 (Windows-1252)"], "cp1252"


def _place(content: bytes) -> str:
    """Return the first byte that is no UTF-8, with its line; nothing where all are."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = 1 + (before.count(b"\n") or before.count(b"\r"))
        return f"0x{content[error.start]:02X} in line {line:,}"
    return ""


def encoded_text(text: str, encoding: str) -> bytes:
    """Return text as bytes; what `decoded_bytes` has read becomes the bytes that it was.

    A name of a file that is not UTF-8 has the bytes that it has on disk.

    Raises:
        UnicodeEncodeError: the encoding lacks a character.

    Example:
        >>> content = bytes(range(0x80, 0x100))
        >>> text, _, encoding = decoded_bytes(content, "x")
        >>> encoding, encoded_text(text, encoding) == content
        ('cp1252', True)
    """
    name = encoding.removesuffix(ESCAPED)
    if encoding != name:
        text = text.translate(_FROM_PRIVATE)
    elif name == "cp1252":
        return text.translate(_FROM_CONTROLS).encode(name, "surrogateescape")
    if not name.startswith("utf-8"):
        return text.encode(name)
    try:
        return text.encode(name, "surrogateescape")
    except UnicodeEncodeError:
        return text.encode(name, "backslashreplace")
