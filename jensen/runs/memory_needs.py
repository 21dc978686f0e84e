"""The memory that a training needs, estimated and compared with what there is, before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..core.allocation import Counted, TooLarge
from ..core.batch import Rows
from ..core.errors import UsageError
from ..core.memory import available_memory, size_in_words
from ..core.modules import named_tensors
from ..core.wording import option_flag
from ..recipes import BuiltModel, Recipe
from ..training.dry_run import ROWS

__all__ = ["making", "try_within_memory", "try_without_memory"]

COPIES = 3  # of the weights at least: themselves, their gradients, and what an optimiser keeps
FREED = 2  # of the results of a step, this many times as much as is there at once
ALLOCATOR = "allocate memory"  # in the errors of torch's allocators


SUSPICIOUS = 100_000  # a size from which on parts are made without memory first


def try_without_memory(make: Callable[[], Any], recipe: Recipe, options: Mapping[str, Any]) -> None:
    """Make parts of extreme sizes without their memory, on torch's device for that, and refuse what needs too much.

    Args:
        make: that makes the parts. What it cannot do without numbers is left to the real attempt.
        recipe, options: to name the option that is too large.

    Raises:
        UsageError: naming the option, the memory needed, and the memory that there is.
    """
    if max(map(_size, options.values()), default=0) < SUSPICIOUS:
        return
    there = available_memory()
    try:
        with torch.device("meta"), Counted(there // COPIES):
            make()
    except TooLarge as error:
        raise _too_large(recipe, options, COPIES * error.needed, there) from error
    except Exception:  # parts that need numbers as they are made raise what they like
        pass


@contextmanager
def making(recipe: Recipe, options: Mapping[str, Any]) -> Iterator[None]:
    """A scope in which parts are made; a model that would not fit into memory, with its gradients, is refused.

    Args:
        recipe: that makes them.
        options: that it is called with, to name the one that is too large.

    Raises:
        UsageError: naming the option, the memory needed, and the memory that there is.
    """
    there = available_memory()
    try:
        with Counted(there // COPIES, returned=there):
            yield
    except MemoryError as error:
        needed = COPIES * error.needed if isinstance(error, TooLarge) else 0
        raise _too_large(recipe, options, needed, there) from error
    except RuntimeError as error:
        if ALLOCATOR not in str(error) and "overflow" not in str(error):
            raise
        raise _too_large(recipe, options, 0, there) from error


def try_within_memory(
    rehearse: Callable[[Rows], None],
    recipe: Recipe,
    options: Mapping[str, Any],
    made: BuiltModel,
    rows: Rows,
    batch: int,
) -> None:
    """Rehearse a step on a few rows, and refuse a training whose steps would not fit into memory.

    What a step on B rows needs is taken to be a + b B. Where the few rows cannot prove that it fits, a rehearsal on
    half of them tells a from b.

    Args:
        rehearse: a step on the first rows of what it is given, at most `ROWS`.
        recipe, options: to name what is too large.
        made: model, guide and critics, on the device of the rows.
        rows: the training rows.
        batch: rows per step.

    Raises:
        UsageError: naming the option, the memory needed, and the memory that there is.
    """
    if rows.device.type != "cpu":
        rehearse(rows)
        return
    there = available_memory()
    weights = sum(t.nbytes for m in (made.model, made.guide, *made.critics) for t in named_tensors(m).values())
    if COPIES * weights > there + weights:  # the weights are there already
        raise _too_large(recipe, options, COPIES * weights, there)
    size, few = min(batch, len(rows)), min(ROWS, len(rows))
    # what this many bytes on few rows prove, and no more than a part of what is there
    most = max(there // 8 + weights, min(FREED * there * few // size, there))
    try:
        all_of_few = _counted(rehearse, rows, most)
        if all_of_few * size / few / FREED <= there:
            return
        half = max(few // 2, 1)
        each = (all_of_few - _counted(rehearse, rows.subset(torch.arange(half)), most)) / max(few - half, 1)
    except MemoryError as error:
        needed = getattr(error, "needed", 0) * size // few // FREED
        raise _too_large(recipe, options, needed, there, size) from error
    except RuntimeError as error:
        if ALLOCATOR not in str(error):
            raise
        raise _too_large(recipe, options, 0, there, size) from error
    needed = (all_of_few + each * (size - few)) / FREED
    if needed > there:
        raise UsageError(
            f"a step on {size:,} rows needs about {size_in_words(needed)} of memory,"
            f" and {size_in_words(there)} are available",
            f"Give a --batch of {max(int(size * there / needed / 2), 1):,} or less{_or_smaller(recipe, options)}.",
        )


def _counted(rehearse: Callable[[Rows], None], rows: Rows, most: int) -> int:
    """Return the bytes of all results of a rehearsal, and refuse it where they are too many."""
    counted = Counted(most, returned=most)
    with counted:
        rehearse(rows)
    return counted.bytes


def _too_large(
    recipe: Recipe, options: Mapping[str, Any], needed: int, there: int, rows: int | None = None
) -> UsageError:
    """Return the error that names the option which makes a model, or its step on so many rows, too large."""
    name = _largest(recipe, options)
    what = "this model" if rows is None else f"a step of this model on {rows:,} rows"
    subject = what if name is None else f"{what}, of {option_flag(name)} {_shown(options[name])},"
    known = f"at least {size_in_words(needed)} of memory, and {size_in_words(there)} are available"
    unknown = f"more memory than the {size_in_words(there)} that are available"
    remedy = "Make its parts smaller" if name is None else f"Give a smaller {option_flag(name)}"
    return UsageError(
        f"{subject} needs {known if needed > there else unknown}", f"{remedy}, or use a machine with more memory."
    )


def _or_smaller(recipe: Recipe, options: Mapping[str, Any]) -> str:
    name = _largest(recipe, options)
    return "" if name is None else f", or a smaller {option_flag(name)}"


def _largest(recipe: Recipe, options: Mapping[str, Any]) -> str | None:
    """Return the size that exceeds its default by the largest factor; None where none does."""
    factors = {
        name: _size(options[name]) / max(_size(parameter.default), 1)
        for name, parameter in (recipe.options if recipe.built is None else {}).items()
        if _size(options.get(name)) > _size(parameter.default)
    }
    return max(factors, key=lambda name: factors[name], default=None)


def _size(value: Any) -> int:
    """Return a whole number, or the largest of several; 0 for what is no size."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return max((_size(v) for v in value), default=0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
