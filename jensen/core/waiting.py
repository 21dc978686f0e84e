"""Passive waiting: threads that wait for one another sleep, instead of holding a processor that others need."""

from __future__ import annotations

import os
import sys

__all__ = ["CHOSEN_BY", "wait_passively"]

CHOSEN_BY = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # variables by which a user decides


def wait_passively() -> None:
    """Have the threads of torch wait passively, unless the user has decided about that.

    The library of threads (OpenMP) reads its environment once, when torch is imported: afterwards this is too late, and
    it does nothing. By default, threads that wait keep their processors busy for milliseconds. For layers of some
    hundred units that is up to one and a half times faster on an idle machine, and slower by a factor of ten to twenty
    where another process needs one of the processors.

    Example:
        >>> import os, torch
        >>> before = dict(os.environ)
        >>> wait_passively()  # torch is there already
        >>> dict(os.environ) == before
        True
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in CHOSEN_BY):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
