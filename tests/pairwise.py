"""Pairwise coverage: few rows of a table of combinations that show every pair of choices the whole table shows.

Nearly every fault of a combination needs one choice or two choices together (Kuhn, Wallace and Gallo, "Software fault
interactions and implications for software testing", 2004), so that a full product mostly repeats itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable
from typing import Any

__all__ = ["pairs", "pairwise"]


def pairs(row: Iterable[Any]) -> set[Hashable]:
    """Return every two choices of a row, each with its place; what cannot be hashed stands for itself."""
    choices = [(place, c if isinstance(c, str | int) else id(c)) for place, c in enumerate(row)]
    return set(itertools.combinations(choices, 2))


def pairwise(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows that together have every pair of choices found in these rows, in their order.

    Greedy: the row that adds most pairs is taken next, the first of several, so that the answer is always the same.

    Example:
        >>> pairwise([(a, b, c) for a in "xy" for b in "xy" for c in "xy"])
        [('x', 'x', 'x'), ('x', 'y', 'y'), ('y', 'x', 'y'), ('y', 'y', 'x')]
    """
    left = {place: (row, pairs(row)) for place, row in enumerate(rows)}
    taken: dict[int, tuple[Any, ...]] = {}
    missing = set().union(*(pairs for _, pairs in left.values()))
    while missing:
        best = max(left, key=lambda place: (len(left[place][1] & missing), -place))
        taken[best], new = left.pop(best)
        missing -= new
    return [taken[place] for place in sorted(taken)]
