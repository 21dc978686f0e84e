"""The dialect of a table in a file of text: separator, decimal mark, encoding and line ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..core.errors import CorruptRunError
from .encodings import ENCODINGS, encoded_text

__all__ = ["Dialect"]

DELIMITERS = (",", ";", "|", "\t")
_KNOWN = {
    "delimiter": ("", *DELIMITERS),
    "decimal": (".", ","),
    "encoding": ENCODINGS,
    "line_end": ("\n", "\r\n"),
}


@dataclass(frozen=True)
class Dialect:
    """The way in which a table in text is written.

    Attributes:
        delimiter: between the fields of a .csv, as a .tsv has tabs; empty for a comma, or a semicolon where commas are
            decimal marks.
        decimal: the mark before the decimals of numbers.
        encoding: of the file, one of `ENCODINGS`; "utf-8-sig" begins with a byte order mark.
        line_end: of each row.

    Example:
        >>> Dialect(";", ",").number("0.5"), Dialect(";").separator(".tsv"), Dialect(";").separator(".csv")
        ('0,5', '\\t', ';')
    """

    delimiter: str = ""
    decimal: str = "."
    encoding: str = "utf-8"
    line_end: str = "\n"

    @staticmethod
    def of_file(path: Path, delimiter: str, encoding: str, line_end: str) -> Dialect:
        """Return the dialect of a file; white space, and the tabs of a .tsv, are no separators of a .csv."""
        tabs = path.suffix.lower() in (".tsv", ".tab")
        return Dialect("" if tabs or delimiter not in DELIMITERS else delimiter, ".", encoding, line_end)

    def separator(self, suffix: str) -> str:
        """Return the mark between the fields of a file with this suffix."""
        return "\t" if suffix == ".tsv" else self.delimiter or (";" if self.decimal == "," else ",")

    def number(self, text: str) -> str:
        """Return a number, written with a point, as it is written here."""
        return text if self.decimal == "." else text.replace(".", self.decimal)

    def encoded(self, text: str) -> bytes:
        """Return text as the bytes of a file; see `encoded_text`.

        Raises:
            UnicodeEncodeError: the encoding lacks a character.
        """
        lines = text if self.line_end == "\n" else text.replace("\n", self.line_end)
        return encoded_text(lines, self.encoding)

    def to_dict(self) -> dict[str, str]:
        """Return JSON-serialisable values, without those that have their default."""
        default = asdict(Dialect())
        return {name: value for name, value in asdict(self).items() if value != default[name]}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Dialect:
        """Return the dialect from the result of `to_dict`.

        Raises:
            CorruptRunError: an entry is unknown, or has an unknown value.
        """
        known = {f.name for f in fields(Dialect)}
        bad = next((k for k, v in plain.items() if k not in known or v not in _KNOWN[k]), None)
        if bad is not None:
            raise CorruptRunError(f"the dialect of the data cannot be read ({bad!r})", "The specification is damaged.")
        return Dialect(**plain)
