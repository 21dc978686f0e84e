"""Numbers that parts are made with: those that make no sense are refused where they are given."""

from __future__ import annotations

import math
from numbers import Integral, Real

from .errors import UsageError

__all__ = ["require_above", "require_finite", "require_integer"]


def require_integer(least: int = 1, /, **numbers: object) -> None:
    """Refuse what is no whole number of at least so much; of a list or tuple, each of its entries.

    Raises:
        UsageError: naming the first of them.

    Example:
        >>> whole(1, k=2, hidden=(8, 8))
        >>> whole(1, hidden=(8, 0))
        Traceback (most recent call last):
        ...
        jensen.core.errors.UsageError: hidden=(8, 0) cannot work. Give hidden whole numbers of at least 1.
    """
    for name, value in numbers.items():
        if not all(isinstance(v, Integral) and _number(v) >= least for v in _each(value)):
            raise _refusal(name, value, "require_integer", f"of at least {least}")


def require_finite(least: float = -math.inf, /, **numbers: object) -> None:
    """Refuse what is no finite number, or less than so much; of a list or tuple, each of its entries.

    Raises:
        UsageError: naming the first of them.
    """
    for name, value in numbers.items():
        if not all(math.isfinite(_number(v)) and _number(v) >= least for v in _each(value)):
            raise _refusal(name, value, "require_finite", "" if least == -math.inf else f"of at least {least:g}")


def require_above(limit: float, /, **numbers: object) -> None:
    """Refuse what is no finite number above this limit; of a list or tuple, each of its entries.

    Raises:
        UsageError: naming the first of them.
    """
    for name, value in numbers.items():
        if not all(math.isfinite(_number(v)) and _number(v) > limit for v in _each(value)):
            raise _refusal(name, value, "require_finite", f"above {limit:g}")


def _each(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _number(value: object) -> float:
    """NaN, which is at no side of any limit, of what is none (a truth value among it)."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan


def _refusal(name: str, value: object, kind: str, limits: str) -> UsageError:
    """In the words of whoever gave the number: an argument of Python, or an option of the command line."""
    joint = " " if name.startswith("-") else "="
    said = str(value) if isinstance(value, Real) else repr(value)
    what = f"{kind} numbers" if isinstance(value, list | tuple) else f"a {kind} number"
    return UsageError(f"{name}{joint}{said} cannot work", " ".join(filter(None, ("Give", name, what, limits))) + ".")
