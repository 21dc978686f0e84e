"""The threads within an operation: how many there can be, and a scope after which the caller's number is restored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch

from .processors import processors

__all__ = ["MOST_THREADS", "ThreadRecord", "planned_threads", "restored_threads", "thread_numbers"]

MOST_THREADS = 1024  # that may be asked for; the system would not give many more


@dataclass
class ThreadRecord:
    """The number of threads of a training, which is part of its state: sums may round otherwise with another number.

    Attributes:
        now: threads of the next step; 0 before they are chosen.
        chosen: threads of the first step.
        changes: the steps after which the number changed, and the number from there on.
    """

    now: int = 0
    chosen: int = 0
    changes: list[list[int]] = field(default_factory=list)


@contextmanager
def restored_threads() -> Iterator[None]:
    """A scope in which the number of threads may be set; the caller's is restored at its end, after errors too.

    Example:
        >>> before = torch.get_num_threads()
        >>> with restored_threads():
        ...     torch.set_num_threads(before + 1)
        >>> torch.get_num_threads() == before
        True
    """
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def thread_numbers(most: int) -> list[int]:
    """Return the numbers of threads to compare: the powers of two below the largest, and the largest.

    Example:
        >>> thread_numbers(6)
        [1, 2, 4, 6]
    """
    return [*(2**i for i in range(max(most - 1, 0).bit_length())), most]


def planned_threads(asked: int | Literal["auto"], device: torch.device) -> int:
    """Return the number of threads that is asked for; of "auto" the largest to consider, which is torch's own.

    Neither is more than there are processors. torch's own follows OMP_NUM_THREADS and `torch.set_num_threads`;
    processes that `torchrun` started on this machine share its processors.
    """
    if asked != "auto":
        return min(asked, processors())
    if device.type != "cpu":
        return torch.get_num_threads()
    sharing = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, min(torch.get_num_threads(), processors() // (int(sharing) if sharing.isdecimal() else 1)))
