"""Ctrl-C in a notebook or a script stops a training between two steps, so that it is saved and can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ..training import Event

__all__ = ["interruptible"]


Listener = Callable[[Event], None]


@contextmanager
def interruptible(
    should_stop: Callable[[], bool], listeners: Sequence[Listener]
) -> Iterator[tuple[Callable[[], bool], list[Listener]]]:
    """Yield `should_stop`, which within the scope is also true after a SIGINT, and the listeners, guarded likewise.

    Python's own handler, which raises KeyboardInterrupt in the midst of a step, is replaced within the scope; a handler
    of the caller's (as of the command line) stays, and so does every handler outside the main thread. A listener that
    raises KeyboardInterrupt asks for the same.

    Raises:
        KeyboardInterrupt: at the second SIGINT; or at the end, where training had ended before it could be stopped.
    """
    received = threading.Event()

    def receive(number: int, frame: FrameType | None) -> None:
        if received.is_set():
            raise KeyboardInterrupt
        received.set()

    is_main = threading.current_thread() is threading.main_thread()
    replaces = is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if replaces:
        signal.signal(signal.SIGINT, receive)
    try:
        yield lambda: received.is_set() or should_stop(), [_guarded(each, received) for each in listeners]
    finally:
        if replaces:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if received.is_set():
        raise KeyboardInterrupt


def _guarded(listener: Listener, received: threading.Event) -> Listener:
    """Return a listener whose KeyboardInterrupt stops training after the step."""

    def call(event: Event) -> None:
        try:
            listener(event)
        except KeyboardInterrupt:
            received.set()

    return call
