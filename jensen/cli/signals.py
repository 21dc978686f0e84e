"""Ctrl-C, SIGTERM and SIGUSR1: the first asks training to stop and be saved, the second leaves at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .output import say

__all__ = ["stopping"]

# where a system has it, SIGUSR1 is what schedulers send before they take a machine back
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if sys.platform != "win32" else []))

_listening: list[threading.Event] = []  # of the scope that is open


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Within the scope, the first signal sets a flag, which the function that this gives returns.

    A scope within another is that one: signals are heard from before the heavy imports of a verb on.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    if _listening:
        yield _listening[0].is_set
        return
    received = threading.Event()

    def receive(number: int, frame: FrameType | None) -> None:
        if received.is_set():
            raise KeyboardInterrupt
        received.set()
        say("\nstopping after this step, and saving; once more leaves at once")

    if threading.current_thread() is not threading.main_thread():  # only the main thread may listen to signals
        yield received.is_set
        return
    before = {number: signal.signal(number, receive) for number in SIGNALS}
    _listening.append(received)
    try:
        yield received.is_set
    finally:
        _listening.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
