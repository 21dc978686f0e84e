"""Names in an order that is known: sizes, grades of agreement, months, ranges of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["in_order", "is_scale"]

_SCALES = tuple(
    tuple(scale.split("|"))
    for scale in (
        "none|very low|low|medium low|medium|moderate|average|medium high|high|very high|extreme",
        "never|almost never|rarely|seldom|sometimes|occasionally|often|usually|frequently|almost always|always",
        "strongly disagree|disagree|somewhat disagree|neutral|neither|undecided|somewhat agree|agree|strongly agree",
        "very dissatisfied|dissatisfied|unsatisfied|neutral|satisfied|very satisfied",
        "very bad|bad|very poor|poor|below average|fair|average|ok|above average|good|very good|excellent|outstanding",
        "xxs|xs|s|m|l|xl|xxl|xxxl",
        "tiny|very small|small|medium|large|big|very large|huge",
        "cold|cool|mild|warm|hot",
        "young|middle-aged|middle aged|old",
        "first|second|third|fourth|fifth",
        "beginner|novice|intermediate|advanced|expert",
        "junior|mid|senior|lead|principal",
        "minor|moderate|major|severe|critical",
        "bronze|silver|gold|platinum",
        "po|fa|ta|gd|ex",
        "fair|good|very good|premium|ideal",
        "i1|si2|si1|vs2|vs1|vvs2|vvs1|if",
        "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
        "january|february|march|april|may|june|july|august|september|october|november|december",
        "mon|tue|wed|thu|fri|sat|sun",
        "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
        "primary|secondary|tertiary",
    )
)
_RANGE = re.compile(
    r"(?P<sign>[<\u2264>\u2265]?=?)\s*(?P<low>(?:0|[1-9]\d*)(?:\.\d+)?)\s*(?:(?:-|\u2013|to)\s*\d+(?:\.\d+)?|\+)?(?:\s*[a-z]+)?"
)


def _places(names: Sequence[str]) -> list[tuple[float, float]] | None:
    """Return the places of names on a scale that has all of them; None if none has."""
    plain = [" ".join(name.lower().replace("_", " ").split()) for name in names]
    for scale in _SCALES:
        if set(plain) <= set(scale):
            return [(float(scale.index(name)), 0.0) for name in plain]
    ranges = [_RANGE.fullmatch(name) for name in plain]
    if all(ranges):
        places = [(float(r["low"]), _side(r["sign"])) for r in ranges if r is not None]
        return places if len(set(places)) == len(places) else None
    return None


def _side(sign: str) -> float:
    """Return -1 for what is below a limit, 1 for what is above, 0 for the limit itself."""
    return -1.0 if sign[:1] in ("<", "\u2264") else 1.0 if sign[:1] in (">", "\u2265") else 0.0


def is_scale(names: Sequence[str]) -> bool:
    """Return whether three names or more are of a known order.

    Example:
        >>> is_scale(["high", "low", "medium"]), is_scale(["red", "blue", "green"]), is_scale(["36+", "<18", "18-35"])
        (True, False, True)
    """
    return len(names) > 2 and _places(names) is not None


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Return names in their known order, or else sorted.

    Example:
        >>> in_order(["high", "low", "medium"]), in_order(["b", "a"])
        (('low', 'medium', 'high'), ('a', 'b'))
    """
    places = _places(names)
    if places is None:
        return tuple(sorted(names))
    return tuple(name for _, name in sorted(zip(places, names, strict=True)))
