"""Values from elsewhere checked against the annotations of a constructor, before anything is made of them."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = [
    "LARGEST_NUMBER",
    "MOST_BINS",
    "Bins",
    "Depth",
    "Most",
    "Steps",
    "annotations_of",
    "expected",
    "fits",
    "limit_of",
    "shown",
]

LARGEST = 2**31  # of any size; what it may be beside others is limited by memory
LARGEST_NUMBER = 1e38  # of any real argument: float32 holds it


@dataclass(frozen=True)
class Most:
    """The largest value of an integer that costs time rather than memory: `Annotated[int, Most(1000)]`."""

    value: int


Depth = Annotated[int, Most(1000)]  # of layers, blocks or levels that are made one by one
MOST_BINS = 2**20
Bins = Annotated[int, Most(MOST_BINS)]  # values that sums and loops run over
Steps = Annotated[int, Most(100_000)]  # of an optimiser or a chain that runs for every datum

KINDS: dict[Any, str] = {
    int: "",  # with its limits
    float: "a finite number of at most 1e38",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


@functools.cache
def annotations_of(kind: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a constructor's arguments by name; `Any` for those that cannot be looked up."""
    names = inspect.signature(kind).parameters
    init = inspect.unwrap(kind.__init__) if isinstance(kind, type) else kind
    try:
        hints = get_type_hints(kind if is_dataclass(kind) else init, include_extras=True)
    except (NameError, TypeError, AttributeError):  # of a part of the user's own that imports its types late
        hints = {}
    return {name: hints.get(name, Any) for name in names}


def limit_of(hint: Any) -> int:
    """Return the largest integer that an annotation allows."""
    limits = [extra.value for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Most)]
    within = [limit_of(argument) for argument in get_args(hint) if get_origin(hint) in (Union, types.UnionType)]
    return min([*limits, *within], default=LARGEST)


def fits(
    value: Any,
    hint: Any,
    kind_of: Callable[[Any], type | None] = lambda value: None,
    least: int = 0,
    most: int = LARGEST,
) -> bool:
    """Return whether a value is of the kind that an annotation names, and an integer within limits.

    Args:
        value: plain data, lists of them, or what stands for a part.
        hint: an annotation, as `annotations_of` returns it.
        kind_of: the class of what stands for a part; `object` for one that only the caller has; None for plain data.
        least, most: the smallest integer, and the largest where the annotation has no limit of its own.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return True
    if origin is Annotated:
        within = not isinstance(value, int) or isinstance(value, bool) or value <= limit_of(hint)
        return within and fits(value, arguments[0], kind_of, least, most)
    if origin in (Union, types.UnionType):
        return any(fits(value, argument, kind_of, least, most) for argument in arguments)
    kind = kind_of(value)
    if kind is not None:
        return _is_part(kind, hint if origin is None else origin)
    if collections.abc.Callable in (hint, origin):
        return False
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin in (tuple, list, collections.abc.Sequence):
        return isinstance(value, list | tuple) and _entries_fit(value, origin, arguments, kind_of, least, most)
    if hint is float:
        return _is_number(value) and abs(value) <= LARGEST_NUMBER
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return type(value) is hint if hint in KINDS else not isinstance(hint, type)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_part(kind: type, hint: Any) -> bool:
    """Return whether a part of this class can be the argument; one of the caller's own is anything but plain data."""
    plain = hint in KINDS or hint in (Literal, tuple, list, collections.abc.Sequence)
    if kind is object or plain:
        return not plain
    return hint is collections.abc.Callable or not isinstance(hint, type) or issubclass(kind, hint)


def _entries_fit(
    values: Sequence[Any],
    origin: Any,
    arguments: tuple[Any, ...],
    kind_of: Callable[[Any], type | None],
    least: int,
    most: int,
) -> bool:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        pairs = list(zip(values, arguments, strict=False))
        return len(values) == len(arguments) and all(fits(v, hint, kind_of, least, most) for v, hint in pairs)
    return all(fits(v, arguments[0] if arguments else Any, kind_of, least, most) for v in values)


def expected(hint: Any, least: int = 0, most: int = LARGEST) -> str:
    """Describe an annotation for an error message.

    Args:
        hint: as `fits` takes it.
        least, most: likewise.

    Example:
        >>> expected(int | None), expected(Sequence[int], 1, 9)
        ('a whole number from 0 to 2,147,483,648 or null', 'a list of entries that are each a whole number from 1 to 9')
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is int:
        return f"a whole number from {least:,} to {most:,}"
    if origin is Annotated:
        return expected(arguments[0], least, limit_of(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(expected(argument, least, most) for argument in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin is tuple and arguments[-1:] != (Ellipsis,):
        return f"a list of {', '.join(expected(argument, least, most) for argument in arguments)}"
    if origin in (tuple, list, collections.abc.Sequence):
        return f"a list of entries that are each {expected(arguments[0], least, most)}" if arguments else "a list"
    if origin is collections.abc.Callable:
        return "a function"
    return KINDS.get(hint, f"a part of the kind {getattr(hint, '__name__', hint)}")


def shown(value: Any) -> str:
    """Show a value from elsewhere, shortened, with control characters escaped."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
