"""Numbers as people write them: decimal commas, separators of thousands, currencies, percent signs and units."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..core.errors import UsageError

__all__ = ["PLAIN", "NumberFormat", "decimals_of", "is_negative_number", "number_format", "width_of"]

MINUS = "\u2212"  # the sign of typesetters
_BLANKS = " \u00a0\u202f"
_GROUPS = ("", ",", ".", "'", "\u2019", *_BLANKS)
_CURRENCY = r"(?:[$\u00a3\u20ac\u00a5\u20b9]|(?:usd|eur|gbp|chf)\b)"
_SIGN = "[+\u2212-]?"
_SAMPLE = re.compile(r"(?P<prefix>\D*?)(?P<number>1(?:(?P<group>\D)234)?(?:(?P<decimal>[.,])5)?)(?P<suffix>\D*)")
_PARTS = re.compile(
    rf"(?P<sign1>{_SIGN})(?P<prefix>{_CURRENCY}?[{_BLANKS}]*)(?P<sign2>{_SIGN})"
    rf"(?P<number>[\d.,](?:[\d.,'\u2019{_BLANKS}]*[\d.,])?(?:[eE][+-]?\d+)?)"
    rf"(?P<suffix>[{_BLANKS}]*(?:%|\u2030|{_CURRENCY}|[a-z\u00b5\u03bc\u03a9\u00b0][a-z\u00b5\u03bc\u03a9\u00b0\u00b2\u00b3/]{{0,7}})?)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NumberFormat:
    """The way in which the numbers of a column are written.

    Attributes:
        decimal: the mark before the decimals.
        group: the mark between thousands; empty if there is none.
        prefix, suffix: what stands before and after each number, such as a currency or a percent sign.

    Example:
        >>> german = NumberFormat.from_sample("1.234,5 €")
        >>> german.parse("-12.500,75 €"), german.write(1e6, 2), german.sample
        (-12500.75, '1.000.000,00 €', '1.234,5 €')
    """

    decimal: str = "."
    group: str = ""
    prefix: str = ""
    suffix: str = ""

    @staticmethod
    def from_sample(sample: str) -> NumberFormat:
        """Return the format of a sample: the number 1, 1234, 1.5 or 1234.5, as it is written.

        Raises:
            UsageError: it is none.
        """
        parts = _SAMPLE.fullmatch(sample)
        if parts is None or parts["group"] == parts["decimal"] is not None:
            raise UsageError(f"{sample!r} is no sample of numbers", 'Give one such as "1,5", "1,234.5" or "$1,234.5".')
        decimal = parts["decimal"] or ("," if parts["group"] == "." else ".")
        return NumberFormat(decimal, parts["group"] or "", parts["prefix"], parts["suffix"])

    @property
    def sample(self) -> str:
        """The number 1234.5 in this format, or 1.5 if thousands are not separated."""
        return f"{self.prefix}1{self.group + '234' if self.group else ''}{self.decimal}5{self.suffix}"

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        whole = r"\d+" + (rf"|\d{{1,3}}(?:{re.escape(self.group)}\d{{3}})+" if self.group else "")
        mark = re.escape(self.decimal)
        return re.compile(rf"(?:(?:{whole})(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?")

    def parse(self, text: str) -> float:
        """Return the number in a text.

        Raises:
            ValueError: it is not written so.
        """
        plain = text.strip()
        if self._is_plain:
            if "_" in plain:  # which Python's own reading allows
                raise ValueError(text)
            return float(plain.replace(MINUS, "-"))
        parts = _PARTS.fullmatch(plain)
        if parts is None or parts["prefix"].strip() != self.prefix.strip():
            raise ValueError(text)
        if parts["suffix"].strip() != self.suffix.strip() or not self._pattern.fullmatch(parts["number"]):
            raise ValueError(text)
        number = parts["number"].replace(self.group, "") if self.group else parts["number"]
        value = float(number.replace(self.decimal, "."))
        signs = parts["sign1"] + parts["sign2"]
        if len(signs) > 1:
            raise ValueError(text)
        return -value if signs in ("-", MINUS) else value

    def parse_all(self, texts: Sequence[str]) -> np.ndarray:
        """Return the numbers in texts [U], NaN where there is none."""
        if self._is_plain and not any("_" in t for t in texts):
            try:
                return np.array(texts, dtype=object).astype(np.float64)
            except ValueError:
                pass  # one is no number
        return np.array([self._parsed(t) for t in texts], dtype=np.float64)

    def _parsed(self, text: str) -> float:
        try:
            return self.parse(text)
        except ValueError:
            return math.nan

    @cached_property
    def _is_plain(self) -> bool:
        return self == PLAIN

    def write(self, value: float, decimals: int | None, width: int | None = None) -> str:
        """Return a number as text.

        Args:
            value: the number.
            decimals: digits after the point; None: as many as it needs.
            width: digits before it at least, the first of which may be zeros.
        """
        if decimals is None:
            number = str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
        else:
            number = f"{value:z.{decimals}f}"
        if width is not None and "e" not in number:
            sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
            number = sign + digits.zfill(width + len(digits) - len(digits.partition(".")[0]))
        if self._is_plain:
            return number
        sign, number = ("-", number[1:]) if number.startswith("-") else ("", number)
        whole, _, rest = number.partition(".")
        if self.group and whole.isdecimal():
            whole = f"{int(whole):,}".replace(",", self.group)
        return f"{sign}{self.prefix}{whole}{self.decimal if rest else ''}{rest}{self.suffix}"


PLAIN = NumberFormat()


def is_negative_number(text: str) -> bool:
    """Return whether a text is one negative number, in any of the ways in which people write them.

    Example:
        >>> [is_negative_number(text) for text in ("-45,80", "-1.234,5 €", "-2+3", "-A1", "- x")]
        [True, True, False, False, False]
    """
    if not text.startswith("-"):
        return False
    parts = _PARTS.fullmatch(text)
    return parts is not None and any(c.isdecimal() for c in parts["number"]) and not parts["sign2"]


def _are_plain(texts: Sequence[str]) -> bool:
    """Return whether all texts are plain numbers."""
    return not np.isnan(PLAIN.parse_all(texts)).any()


def _affixes(texts: Sequence[str]) -> tuple[str, str, list[str]] | None:
    """Return what stands before and after all of these numbers, and the numbers alone; None if these differ."""
    numbers, before, after = list[str](), set[str](), set[str]()
    for text in texts:
        parts = _PARTS.fullmatch(text)
        if parts is None:
            return None
        before.add(parts["prefix"])
        after.add(parts["suffix"])
        numbers.append(parts["number"])
    if len({b.strip() for b in before}) > 1 or len({a.strip() for a in after}) > 1:
        return None
    return min(before), min(after), numbers


def number_format(texts: Sequence[str], decimal: str | None = None) -> NumberFormat | None:
    """Return the format that all of these different texts are numbers in, None if there is none.

    Plain numbers come first. A comma before three digits alone, as in 1,234, separates thousands or is a decimal mark:
    other columns of the table may tell, by `decimal`.

    Args:
        texts: different observed ones, stripped.
        decimal: the decimal mark of other columns, where it is known.

    Raises:
        UsageError: a comma may be both, and nothing tells.

    Example:
        >>> number_format(["1,5", "2,75"]).sample, number_format(["1,234.5", "7"]).sample, number_format(["a"])
        ('1,5', '1,234.5', None)
    """
    if not texts:
        return None
    may_be_plain = _are_plain(texts[:3]) and (decimal != "," or not any("." in t for t in texts))
    if may_be_plain and _are_plain(texts):  # a look at a few tells most columns
        return PLAIN
    affixes = _affixes(texts)
    if affixes is None:
        return None
    prefix, suffix, numbers = affixes
    marks = {c for n in numbers for c in n if c in _GROUPS}
    fit = list[NumberFormat]()
    for group in _GROUPS:
        for mark in (".", ","):
            candidate = NumberFormat(mark, group, prefix, suffix)
            if group != mark and (not group or group in marks) and all(map(candidate._pattern.fullmatch, numbers)):
                fit.append(candidate)
    if decimal is not None:
        fit = [f for f in fit if f.decimal == decimal] or fit
    if not fit:
        return None
    if len({f.decimal for f in fit}) > 1 and marks & {",", "."}:
        if "," in marks and "." not in marks:
            raise UsageError("numbers such as 1,234", "")
        fit = [f for f in fit if f.decimal == "."]  # 1.234 is a plain number, whatever it may be elsewhere
    return fit[0]


def width_of(texts: Sequence[str], written: NumberFormat) -> int | None:
    """Return the digits before the point of numbers that are filled with zeros to the same width; None of others.

    Example:
        >>> width_of(["01", "12"], PLAIN), width_of(["1", "12"], PLAIN)
        (2, None)
    """
    if written.group or written.prefix or not any(t.lstrip("+-\u2212")[:1] == "0" for t in texts):
        return None
    wholes = [t.lstrip("+-\u2212").partition(written.decimal)[0] for t in texts]
    filled = {len(w) for w in wholes if w[:1] == "0" and w[1:2].isdecimal()}
    return min(filled) if len(filled) == 1 and filled == {min(map(len, wholes))} else None


def decimals_of(texts: Sequence[str], written: NumberFormat, most: int = 10) -> int | None:
    """Return the largest number of digits after the point; None if it is above `most`, or an exponent is written.

    Example:
        >>> decimals_of(["1.50", "2.5"], PLAIN), decimals_of(["7"], PLAIN), decimals_of(["1e-5"], PLAIN)
        (2, 0, None)
    """
    numbers = [t.strip().removesuffix(written.suffix).rstrip() for t in texts] if written.suffix else texts
    if any("e" in n or "E" in n for n in numbers):
        return None
    digits = max((len(n) - 1 - n.rfind(written.decimal) for n in numbers if written.decimal in n), default=0)
    return digits if digits <= most else None
