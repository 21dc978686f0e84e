"""Estimators take turns: one thread at a time uses the random generator and the number of threads of the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["in_turn"]


class _Turn:
    """A lock, which a forked process does not inherit."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.RLock()


_TURN = _Turn()


@contextmanager
def in_turn() -> Iterator[None]:
    """A scope that one thread of a process is in at a time.

    Distributions of torch draw from its global generator, which jensen sets and restores: two threads within that would
    draw from each other's, and the results of a search with threads would depend on chance.

    Example:
        >>> with in_turn(), in_turn():
        ...     print("the same thread may enter twice")
        the same thread may enter twice
    """
    with _TURN.lock:
        yield
