"""The members of a group of trainings: seeds, and the product of all values of swept options, each with a name."""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..core.validation import require_integer
from ..core.wording import option_flag

__all__ = ["MOST", "Member", "check_names", "expand", "value_name"]

MOST = 1000  # members of a group
LONGEST = 200  # characters of a folder's name
SEED = "seed"


@dataclass(frozen=True)
class Member:
    """One training of a group.

    Attributes:
        name: of its folder, such as "beta-0.5-seed-3".
        setting: the part of the name that its seeds share, such as "beta-0.5"; "" where nothing is swept.
        options: of `train`, in which it differs from the others.
    """

    name: str
    setting: str
    options: dict[str, Any]


def expand(seeds: int | None, sweep: Mapping[str, Sequence[Any]] | None, given: Mapping[str, Any]) -> list[Member]:
    """Return the members: for each combination of the swept values, in their order, every seed.

    Args:
        seeds: number of consecutive seeds, from the one in `given` on; None for that one alone.
        sweep: values by option.
        given: the other options of all members.

    Raises:
        UsageError: an option has no values, one of them twice, or is given beside; or there are too many members.

    Example:
        >>> [member.name for member in expand(2, {"beta": [0.5, 1.0]}, {"seed": 3})]
        ['beta-0.5-seed-3', 'beta-0.5-seed-4', 'beta-1-seed-3', 'beta-1-seed-4']
    """
    values = {name.replace("-", "_"): _values(name, several) for name, several in (sweep or {}).items()}
    if not values and seeds is None:
        raise UsageError("a sweep needs an option", 'Give one with its values: sweep={"beta": [0.5, 1.0]}.')
    if seeds is not None and SEED in values:
        raise UsageError("--seeds and a sweep over seed exclude each other", "Leave one of them out.")
    for name in values:
        if name in given and name != SEED:
            raise UsageError(f"{option_flag(name)} is both given and swept", "Leave one of them out.")
    if seeds is not None:
        require_integer(1, MOST, **{"--seeds": seeds})
        first = int(given.get(SEED, 0))
        require_integer(0, **{"--seed": first})
        values[SEED] = list(range(first, first + seeds))
    count = math.prod(map(len, values.values()))
    if count > MOST:
        raise UsageError(f"these are {count:,} trainings, more than {MOST:,}", "Sweep over fewer values.")
    combinations = itertools.product(*values.values())
    members = [_member(dict(zip(values, chosen, strict=True))) for chosen in combinations]
    _check_distinct(members)
    return members


def value_name(value: Any) -> str:
    """Return a value as a part of a folder's name.

    Example:
        >>> [value_name(value) for value in (0.5, 1.0, 1e-3, True, None, (64, 64), "gaussian", "a/b.csv")]
        ['0.5', '1', '0.001', 'true', 'none', '64-64', 'gaussian', 'a-b.csv']
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, list | tuple):
        return "-".join(map(value_name, value)) or "none"
    return re.sub(r"[^\w.+-]+", "-", str(value)).strip(".-") or "none"


def check_names(sweep: Collection[str], known: Collection[str], recipe: str) -> None:
    """Refuse swept options that neither training, nor data, nor the recipe has.

    Args:
        sweep: names of options.
        known: all names that there are.
        recipe: its name.

    Raises:
        UsageError: naming the first, with the option most like it.
    """
    for name in sweep:
        if name.replace("-", "_") not in known:
            nearest = difflib.get_close_matches(name, sorted(known), 1)
            remedy = f"Did you mean {nearest[0]}?" if nearest else "See jensen train --help."
            raise UsageError(f"there is no option {name} of training, of data or of recipe {recipe} to sweep", remedy)


def _values(name: str, values: Sequence[Any]) -> list[Any]:
    """Return the values of an option.

    Raises:
        UsageError: there are none, one is there twice, or one is no plain value.
    """
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise UsageError(f"the sweep over {name} has no list of values", "Give some: --sweep beta=0.5,1,2.")
    for i, value in enumerate(values):
        if not _is_plain(value):
            kind = type(value).__name__
            raise UsageError(
                f"the sweep over {name} holds a {kind}, which cannot name a folder", "Sweep over numbers or words."
            )
        if value in values[:i]:
            raise UsageError(f"the sweep over {name} has {value_name(value)} twice", "Give each value once.")
    return list(values)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str | Path)


def _member(options: dict[str, Any]) -> Member:
    """Return the member with these options; the seed comes last in its name."""
    words = {name: f"{name.replace('_', '-')}-{value_name(value)}" for name, value in options.items()}
    setting = "-".join(word for name, word in words.items() if name != SEED)
    name = "-".join([word for word in (setting, words.get(SEED)) if word])
    return Member(name, setting, options)


def _check_distinct(members: Sequence[Member]) -> None:
    """Refuse members that would share a folder, on a disk that does not tell capitals apart too, and names too long.

    Raises:
        UsageError: naming the first.
    """
    taken: set[str] = set()
    for member in members:
        if member.name.casefold() in taken:
            raise UsageError(f"two members would be called {member.name}", "Sweep over values whose names differ.")
        if len(member.name) > LONGEST:
            raise UsageError(f"the name {member.name[:40]}... of a member is too long", "Sweep over shorter values.")
        taken.add(member.name.casefold())
