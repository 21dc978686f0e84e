"""Conditions on the command line: columns with values, as --given takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..core.errors import UsageError

__all__ = ["parse_conditions"]

_QUOTED = r'"(?:[^"]|"")*"'
_PART = re.compile(rf'((?:[^",]|{_QUOTED})*)(,|$)')
_ASSIGNED = re.compile(rf'\s*({_QUOTED}|[^="]*?)\s*=\s*({_QUOTED}|[^"].*|)\s*', re.DOTALL)
_REMEDY = 'Give columns with values: --given "age=40,sex=F"; one with a comma in quotes: --given \'job="cook, chef"\'.'


def parse_conditions(texts: Sequence[str], option: str = "--given") -> dict[str, str]:
    """Return the columns and values of texts such as age=40,sex=F.

    A value with a comma is in double quotes, and so is a name with a comma or an equals sign. Digits after a comma
    that follows a digit go on with the number before them: price=1,50 is one and a half.

    Raises:
        UsageError: a part has no =, quotes do not match, or a column is named twice.

    Example:
        >>> parse_conditions(['age=40,job="cook, chef"', "price=1,50"])
        {'age': '40', 'job': 'cook, chef', 'price': '1,50'}
    """
    values: dict[str, str] = {}
    try:
        for name, value in (pair for text in texts for pair in _pairs(text)):
            if name in values:
                raise UsageError(f"--given names {name!r} twice", _REMEDY)
            values[name] = value
        if not values:
            raise UsageError("--given names no column", _REMEDY)
    except UsageError as error:
        raise UsageError(error.what.replace("--given", option), error.remedy.replace("--given", option)) from None
    return values


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the columns and values of one text.

    Raises:
        UsageError: a part has no =, or quotes do not match.
    """
    for part in _joined(_parts(text)):
        plain = part.strip()
        whole = _unquoted(plain) if re.fullmatch(_QUOTED, plain) else None  # '"job=cook, chef"'
        if whole is not None:
            name, equals, value = whole.partition("=")
            name, value = name.strip(), value.strip()
        else:
            pair = _ASSIGNED.fullmatch(part)
            equals = pair is not None
            name, value = (_unquoted(pair[1]), _unquoted(pair[2].strip())) if pair is not None else ("", "")
        if not equals or not name:
            raise UsageError(f"--given has {plain!r}, which is no column=value", _REMEDY)
        yield name, value


def _parts(text: str) -> list[str]:
    """Return what commas outside of quotes separate.

    Raises:
        UsageError: quotes do not match.
    """
    if text.count('"') % 2:
        raise UsageError(f"--given has {text!r}, whose quotes do not match", _REMEDY)
    parts, place, more = list[str](), 0, bool(text.strip())
    while more:
        match = _PART.match(text, place)
        if match is None:
            raise UsageError(f"--given has {text!r}, whose quotes do not match", _REMEDY)
        parts.append(match[1])
        place, more = match.end(), match[2] == ","
    return parts


def _joined(parts: Sequence[str]) -> list[str]:
    """Return the parts, digits that go on with the number before them joined to it."""
    joined = list[str]()
    for part in parts:
        if joined and "=" in joined[-1] and joined[-1][-1:].isdigit() and re.fullmatch(r'\d[^="]*', part):
            joined[-1] += f",{part}"
        else:
            joined.append(part)
    return joined


def _unquoted(text: str) -> str:
    """Return a text without the quotes about it."""
    return text[1:-1].replace('""', '"') if re.fullmatch(_QUOTED, text, re.DOTALL) else text
