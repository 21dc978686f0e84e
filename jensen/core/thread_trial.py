"""A trial that compares numbers of threads on the work itself, in the present state of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch

from .threads import planned_threads, restored_threads

__all__ = ["ThreadTrial", "try_threads", "undisturbed_threads"]

BLOCKS = 5  # per number of threads, in turn: a moment in which the machine is busy disturbs few of them
BLOCK = 0.005  # seconds: longer than another process runs before it is interrupted
LEAST, MOST = 0.06, 2.0  # seconds after which no block begins, at least and at most
SHARE = 0.05  # of the time of all calls that are to come: a trial may take as long
TRIED, HOPELESS = 2, 3.0  # after two blocks, numbers with calls of more than three times the shortest are left out
TIE = 1.05  # times the shortest call: numbers of threads that are as good
SIDE, CALLS = 384, 1000  # of a product of matrices, which takes milliseconds, and of an evaluation in such products
SLOWED = 1.5  # times the time of one thread: torch's own number is slowed down, and not only of little use
DISTURBED = 1.3  # times faster in the best block, and yet not chosen


@dataclass(frozen=True)
class ThreadTrial:
    """The outcome of a trial.

    The median over blocks decides, and not the shortest: beside another process that keeps a processor busy, a block is
    now and then as fast as on an idle machine.

    Args:
        blocks: seconds per call in each block, by number of threads.
    """

    blocks: dict[int, list[float]]

    def best(self, present: int | None = None, margin: float = TIE) -> int:
        """Return the best number of threads; of those that are as good, the smallest.

        Args:
            present: number in use, which is kept if it is as good.
            margin: the number of times that a call may take the shortest time, to be as good.

        Example:
            >>> trial = ThreadTrial({1: [1.04], 2: [1.0], 4: [3.0]})
            >>> trial.best(), trial.best(present=2)
            (1, 2)
        """
        seconds = {n: median(times) for n, times in self.blocks.items() if times}
        good = [n for n, time_of in seconds.items() if time_of <= margin * min(seconds.values())]
        return present if present in good else min(good)

    def is_disturbed(self, chosen: int) -> bool:
        """Return whether more threads were faster at times: the machine is busy, and more will be better in the end.

        Example:
            >>> ThreadTrial({1: [1.0, 1.0, 1.0], 2: [0.6, 9.0, 9.0]}).is_disturbed(1)
            True
        """
        shortest = {n: min(times) for n, times in self.blocks.items() if times}
        return any(n > chosen and DISTURBED * time_of < shortest[chosen] for n, time_of in shortest.items())


def try_threads(
    work: Callable[[], object],
    numbers: Sequence[int],
    calls: float,
    clock: Callable[[], float] = time.perf_counter,
) -> ThreadTrial:
    """Time some work with several numbers of threads, and restore the caller's number.

    Args:
        work: called over and over.
        numbers: of threads; the largest comes first, and is the only one that is tried if a call takes very long.
        calls: that are to come: the trial takes a small share of their time, or a moment.
        clock: in seconds.
    """
    blocks: dict[int, list[float]] = {n: [] for n in sorted(numbers, reverse=True)}
    start = clock()
    with restored_threads():
        for _ in range(BLOCKS):
            for n, times in blocks.items():
                shortest = min((min(known) for known in blocks.values() if known), default=0.0)
                if shortest and clock() - start >= min(max(SHARE * calls * shortest, LEAST), MOST):
                    return ThreadTrial(blocks)
                if len(times) < TRIED or min(times) <= HOPELESS * shortest:
                    torch.set_num_threads(n)
                    times.append(_seconds_per_call(work, clock))
    return ThreadTrial(blocks)


def _seconds_per_call(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the mean seconds of a call, over calls of a few milliseconds in all."""
    start, done, seconds = clock(), 0, 0.0
    while seconds < BLOCK:
        work()
        done, seconds = done + 1, clock() - start
    return seconds / done


@contextmanager
def undisturbed_threads(device: torch.device) -> Iterator[None]:
    """A scope with torch's own number of threads, but with one where another process slows several down.

    The trial is one of products of matrices and takes some tens of milliseconds: the scope is for seconds of work. On
    an idle machine torch's number stays, and with it the last bits of results.

    Args:
        device: that the work is done on; only that of a processor is tried.
    """
    most = planned_threads("auto", device)
    with restored_threads():
        if device.type == "cpu":
            a = torch.ones(SIDE, SIDE)
            torch.set_num_threads(
                most if most == 1 else try_threads(lambda: a @ a, (1, most), CALLS).best(most, SLOWED)
            )
        yield
