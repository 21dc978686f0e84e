"""Ctrl-C, SIGTERM and SIGUSR1: the first one stops training and saves it, the second exits at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .output import print_stderr

__all__ = ["stopping"]

# SIGUSR1 is what schedulers send before they take a machine back
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if sys.platform != "win32" else []))

_active: list[threading.Event] = []  # the flag of the open scope


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Handle signals within a scope, and yield a function that returns True after the first one.

    A nested scope shares the flag of the outer one, which is open during the slow imports of a verb too.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    if _active:
        yield _active[0].is_set
        return
    received = threading.Event()

    def receive(number: int, frame: FrameType | None) -> None:
        if received.is_set():
            raise KeyboardInterrupt
        received.set()
        print_stderr("\nstopping after this step, and saving; a second signal exits at once")

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield received.is_set
        return
    before = {number: signal.signal(number, receive) for number in SIGNALS}
    _active.append(received)
    try:
        yield received.is_set
    finally:
        _active.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
