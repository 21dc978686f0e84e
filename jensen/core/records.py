"""Records compared leaf by leaf: specifications and evaluations, as JSON holds them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

__all__ = ["differences", "leaf_pairs"]


def leaf_pairs(
    old: Any, new: Any, *, left_out: Collection[str] = (), where: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield every leaf of two records: its place, and both values.

    A mapping or a list is a leaf where the other record has something else in its place, or a list of another length.

    Args:
        old, new: mappings, lists and leaves.
        left_out: keys of mappings that are passed over.
        where: the place of both in the whole.

    Example:
        >>> list(leaf_pairs({"a": [1, 2], "b": 3}, {"a": [1, 3]}, left_out=("b",)))
        [('a[0]', 1, 1), ('a[1]', 2, 3)]
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            if key not in left_out:
                place = f"{where}.{key}" if where else str(key)
                yield from leaf_pairs(old.get(key), new.get(key), left_out=left_out, where=place)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from leaf_pairs(a, b, left_out=left_out, where=f"{where}[{i}]")
    else:
        yield where, old, new


def differences(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield every leaf in which two records differ: its place, and both values.

    Example:
        >>> list(differences({"a": [1, 2]}, {"a": [1, 3]}))
        [('a[1]', 2, 3)]
    """
    return ((where, a, b) for where, a, b in leaf_pairs(old, new) if a != b)
