"""Numbers and names in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["digits", "fixed", "format_nats", "listed", "option_flag", "plural"]

MOST_DIGITS = 6
LARGE = 1e6  # from here on, numbers are written with an exponent
UNKNOWN_ERROR = 2  # digits of a number whose error is unknown or zero


def plural(n: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> plural(1, "row"), plural(1797, "row"), plural(2, "entry"), plural(0, "datum")
        ('1 row', '1,797 rows', '2 entries', '0 data')
    """
    if n == 1:
        return f"{n:,} {noun}"
    if noun.endswith("datum"):
        return f"{n:,} {noun.removesuffix('um')}a"
    ends_in_consonant_y = noun.endswith("y") and noun[-2:-1] not in "aeiou"
    return f"{n:,} {noun.removesuffix('y')}ies" if ends_in_consonant_y else f"{n:,} {noun}s"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return the first names, and dots where there are more.

    Example:
        >>> listed(["a", "b"]), listed(["a", "b", "c"], 2)
        ('a, b', 'a, b, ...')
    """
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])])


def digits(stderr: float | None) -> int:
    """Return the number of digits after the point that a standard error supports.

    Example:
        >>> digits(0.42), digits(0.042), digits(12.0), digits(None)
        (1, 2, 0, 2)
    """
    if not stderr or not math.isfinite(stderr):
        return UNKNOWN_ERROR
    return min(max(0, -math.floor(math.log10(stderr) + 1e-9)), MOST_DIGITS)


def fixed(value: float, places: int) -> str:
    """Return a number with so many digits after the point; from a million on, in scientific form.

    Example:
        >>> fixed(-88.126, 2), fixed(-1226710342261306880.0, 2), fixed(999_999.4, 0), fixed(-0.004, 2)
        ('-88.13', '-1.23e+18', '999999', '0.00')
    """
    return f"{value:.3g}" if math.isfinite(value) and abs(value) >= LARGE else f"{value:z.{places}f}"


def format_nats(mean: float | None, stderr: float | None) -> str:
    """Return a number with the digits that its standard error supports.

    Example:
        >>> format_nats(-88.1234, 0.42)
        '-88.1 ± 0.4'
    """
    if mean is None:
        return "-"
    value = fixed(mean, digits(stderr))
    return f"{value} ± {fixed(stderr, digits(stderr))}" if stderr and math.isfinite(stderr) else value


def option_flag(name: str) -> str:
    """Return the flag of an option on the command line.

    Example:
        >>> option_flag("init_from")
        '--init-from'
    """
    return f"--{name.replace('_', '-')}"
