"""Ctrl-C, SIGTERM and SIGUSR1: the first asks training to stop and be saved, the second leaves at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stopping"]

# where a system has it, SIGUSR1 is what schedulers send before they take a machine back
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if sys.platform != "win32" else []))


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Within the scope, the first signal sets a flag, which the function that this gives returns.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    received = threading.Event()

    def receive(number: int, frame: FrameType | None) -> None:
        if received.is_set():
            raise KeyboardInterrupt
        received.set()
        print("\nstopping after this step, and saving; once more leaves at once", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():  # only the main thread may listen to signals
        yield received.is_set
        return
    before = {number: signal.signal(number, receive) for number in SIGNALS}
    try:
        yield received.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
