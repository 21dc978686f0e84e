"""Argument validation: invalid numbers are refused where they are given."""

from __future__ import annotations

import math
from numbers import Integral, Real

from .errors import UsageError

__all__ = ["LARGEST", "require_above", "require_finite", "require_integer"]


LARGEST = 2**53  # of any whole number: floating point has all of them up to here


def require_integer(least: int = 1, limit: int = LARGEST, /, **numbers: object) -> None:
    """Refuse what is not a whole number of at least `least`; of a list or tuple, each of its entries is checked.

    One above `limit` is refused too: a count that nobody can mean, since neither time nor memory would suffice.

    Raises:
        UsageError: for the first of them.

    Example:
        >>> require_integer(1, k=2, hidden=(8, 8))
        >>> require_integer(1, hidden=(8, 0))
        Traceback (most recent call last):
        ...
        jensen.core.errors.UsageError: hidden must hold whole numbers of at least 1, got (8, 0). Give hidden 1 or more.
    """
    for name, value in numbers.items():
        if not all(isinstance(v, Integral) and _number(v) >= least for v in _each(value)):
            raise _refusal(name, value, "whole", f" of at least {least}", f"{least} or more")
        if any(_number(v) > limit for v in _each(value)):
            raise _refusal(name, value, "whole", f" of at most {limit:,}", f"{limit:,} or less")


def require_finite(least: float = -math.inf, /, **numbers: object) -> None:
    """Refuse what is not a finite number of at least `least`; of a list or tuple, each of its entries is checked.

    Raises:
        UsageError: for the first of them.
    """
    bounded = least > -math.inf
    for name, value in numbers.items():
        if not all(math.isfinite(_number(v)) and _number(v) >= least for v in _each(value)):
            limits, remedy = (f" of at least {least:g}", f"{least:g} or more") if bounded else ("", "a finite number")
            raise _refusal(name, value, "finite", limits, remedy)


def require_above(limit: float, /, **numbers: object) -> None:
    """Refuse what is not a finite number above `limit`; of a list or tuple, each of its entries is checked.

    Raises:
        UsageError: for the first of them.
    """
    for name, value in numbers.items():
        if not all(math.isfinite(_number(v)) and _number(v) > limit for v in _each(value)):
            raise _refusal(name, value, "finite", f" above {limit:g}", f"more than {limit:g}")


def _each(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _number(value: object) -> float:
    """Return the number, or NaN, which fails every comparison, for anything else (booleans included)."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # of an integer of more than 308 digits
        return math.inf if value >= 1 else -math.inf  # pyright: ignore[reportOperatorIssue]


def _refusal(name: str, value: object, kind: str, limits: str, remedy: str) -> UsageError:
    """Return the error for one argument: its name, the requirement, the value and the remedy."""
    large = isinstance(value, int) and value.bit_length() > 1000  # Python prints no more than 4,300 digits
    given = "a larger one" if large else str(value) if isinstance(value, Real) else repr(value)
    given = given if len(given) <= 60 else f"{given[:57]}..."
    must = f"must hold {kind} numbers" if isinstance(value, list | tuple) else f"must be a {kind} number"
    return UsageError(f"{name} {must}{limits}, got {given}", f"Give {name} {remedy}.")
