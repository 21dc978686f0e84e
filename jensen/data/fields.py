"""Fields of a text table: numbers, missing entries, and what else a field can be, each with its remedy."""

from __future__ import annotations

import re

__all__ = ["MISSING", "category", "explain", "is_missing", "is_number", "is_whole"]

# pandas.read_csv's words, those of spreadsheets and of statistical programs; in lower case
_PANDAS = """#n/a|#n/a n/a|#na|-1.#ind|-1.#qnan|-nan|1.#ind|1.#qnan|<na>|n/a|na|null|nan|none"""
_OTHERS = """nat|missing|#div/0!|#value!|#ref!|#num!|#name?|#null!|?|-|."""
MISSING = frozenset({"", *_PANDAS.split("|"), *_OTHERS.split("|")})

_NUMBER = r"[+-]?(?:\d[\d.,'\u00a0\u202f ]*\d|\d)\.?(?:[eE][+-]?\d+)?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = r"(?:\d{1,2}|\d{4})[-/.](?:\d{1,2}|[a-z]{3,9})[-/.](?:\d{4}|\d{1,2})|\d{4}[-/](?:0?[1-9]|1[0-2])|\d{4}-?w\d\d"
_DAY += rf"|\d{{1,2}}\.? {_MONTH},? \d{{2,4}}|{_MONTH} \d{{1,2}},? ?\d{{4}}|{_MONTH}[- ]\d{{2,4}}"
_CLOCK = r"\d{1,3}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[ap]\.?m\.?)?"
_ZONE = r"(?: ?(?:z|utc|gmt|[+-]\d{2}:?\d{2}))?"

# The first that matches names the field. Those that can also be a name of a column come before plain text.
_CATEGORIES: tuple[tuple[str, str], ...] = (
    ("thousands", r"[+-]?[1-9]\d{0,2}(?:,\d{3})+\.\d*|[+-]?[1-9]\d{0,2}(?:,\d{3}){2,}"),
    ("thousands", r"[+-]?[1-9]\d{0,2}(?:[ '\u00a0\u202f\u2019]\d{3})+(?:[.,]\d*)?|[+-]?[1-9]\d{0,2}(?:\.\d{3}){2,}"),
    ("unclear", r"[+-]?[1-9]\d{0,2},\d{3}"),
    ("decimal comma", r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)?,\d+(?:[eE][+-]?\d+)?|[+-]?\d+,"),
    ("percentage", rf"{_NUMBER}\s*[%\u2030]"),
    (
        "money",
        rf"[+-]?\s*(?:[$\u00a3\u20ac\u00a5\u20b9]|usd|eur|gbp|chf)\s*{_NUMBER}|{_NUMBER}\s*[$\u00a3\u20ac\u00a5\u20b9]",
    ),
    ("date", rf"(?:{_DAY})(?:[t ,]+{_CLOCK}{_ZONE})?"),
    ("time", rf"-?{_CLOCK}{_ZONE}|-?\d+ days?(?: [+-]?{_CLOCK})?"),
    ("truth value", r"true|false|yes|no"),
    ("minus", r"[\u2212\u2013]\s*\d[\d.,]*(?:[eE][+\u2212-]?\d+)?"),
    ("accounting", rf"\({_NUMBER}\)"),
    ("fortran", r"[+-]?\d*\.?\d+\.?d[+-]?\d+"),
    ("complex", r"\(?[+-]?[\d.]*(?:e[+-]?\d+)?[+-]?[\d.]+(?:e[+-]?\d+)?[ij]\)?"),
    ("limit", rf"[<>\u2264\u2265~\u2248]=?\s*{_NUMBER}"),
    ("fraction", r"[+-]?\d+\s*/\s*\d+"),
    ("pair", r"\d+:[+-]?\d*\.?\d+(?:e[+-]?\d+)?"),
    ("hexadecimal", r"0x[0-9a-f]+"),
    ("unit", rf"{_NUMBER}\s*(?!e\d)[a-z\u00b5\u03bc\u03a9\u00b0][\w\u00b0\u00b2\u00b3/*^.-]{{0,11}}"),
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _CATEGORIES)

_EXPLAINED = {
    "thousands": ("a number with separators of thousands", "Write it without them, as 1234.5."),
    "unclear": (
        "a number with separators of thousands or with a decimal comma",
        "Write numbers with a decimal point and without separators of thousands.",
    ),
    "decimal comma": (
        "a number with a decimal comma",
        "Write decimal points; or decimal commas throughout, with semicolons or tabs between the fields.",
    ),
    "percentage": ("a percentage, with its sign", "Remove the sign: column.str.rstrip('%').astype(float)."),
    "money": ("an amount of money, with its currency", "Remove the currency: leave the number alone."),
    "date": ("a date", "Count time from a fixed day, (t - t.min()).dt.days in pandas; or drop the column: --drop {}."),
    "time": ("a time", "Convert it to a number, of seconds or days; or drop the column: --drop {}."),
    "truth value": ("a truth value", "Write 1 and 0: column.astype(int)."),
    "minus": ("a number with a typographic minus sign", "Write the sign as a hyphen: -1.5."),
    "accounting": ("a number in parentheses", "Write a negative number with its sign: -1.5."),
    "fortran": ("a number with Fortran's exponent", "Write 1.0e+05 in the place of 1.0d+05."),
    "complex": ("a complex number", "Give real and imaginary part as two columns."),
    "limit": ("a limit, no number", "Replace it by a number, or leave it empty as a missing entry."),
    "fraction": ("a fraction", "Write it as a decimal number."),
    "pair": ("a number with an index, as LIBSVM writes it", "Save what sklearn's load_svmlight_file reads as .npy."),
    "hexadecimal": ("a hexadecimal number", "Write it as a decimal number."),
    "unit": ("a number with a unit", "Remove the unit: column.str.extract(r'([-+.0-9e]+)').astype(float)."),
    "text": (
        "not a number",
        "Encode this column, or drop it: --drop {}; a column of classes is named with --labels {}.",
    ),
}  # fmt: skip


def is_number(text: str) -> bool:
    """Return whether the text is a number, as Python and NumPy write it."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def is_whole(text: str) -> bool:
    """Return whether the text is a whole number from 0 in plain digits."""
    return text.isascii() and text.isdecimal()


def is_missing(text: str) -> bool:
    """Return whether the text stands for an entry that is missing."""
    return text.lower() in MISSING


def category(text: str) -> str:
    """Return the kind of a field: "number", "missing", "decimal comma", "date", ..., or "text".

    Example:
        >>> [category(t) for t in ("1e-3", "<NA>", "1,5", "12 %", "3 kg", "2020-01-31", "1,234.5", "blue")]
        ['number', 'missing', 'decimal comma', 'percentage', 'unit', 'date', 'thousands', 'text']
    """
    if text.lower() in MISSING:
        return "missing"
    if is_number(text):
        return "number"
    return next((name for name, pattern in _PATTERNS if pattern.fullmatch(text)), "text")


def explain(text: str, column: str) -> tuple[str, str]:
    """Return what a field is that is not a number, and a remedy.

    Args:
        text: of the field.
        column: the name of its column, or its number from 1, as options take it.

    Example:
        >>> explain("2020-01-31", "day")[0]
        'a date'
    """
    what, remedy = _EXPLAINED[category(text)]
    return what, remedy.replace("{}", column)
