"""Verbs that several processes, as torchrun starts them, carry out together on the rows of a run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ..core.launch import Launch

__all__ = ["READERS", "joined_for"]

READERS = ("encode", "evaluate", "impute", "reconstruct")


def joined_for(verb: str) -> AbstractContextManager[object]:
    """Return the scope in which a verb works with other processes; they join before it reads anything, since each has
    a device of its own.

    Example:
        >>> with joined_for("sample") as nothing:
        ...     print(nothing)
        None
    """
    if verb not in READERS or Launch.read() is None:
        return nullcontext()
    from ..core.processes import joined  # imports torch

    return joined()
