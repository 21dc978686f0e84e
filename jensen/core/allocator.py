"""The C library's allocator: freed memory is kept for reuse, or returned once."""

from __future__ import annotations

import contextlib
import ctypes

import torch

__all__ = ["keep_freed_memory", "return_freed_memory"]

KEPT = 30 << 20  # bytes; from 32 MiB on, glibc does not raise its threshold


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for later allocations.

    Training and evaluation free and allocate the same few megabytes over and over. Depending on how blocks happen to
    lie, glibc returns them to the system each time and requests them anew, page by page, which can take a third of
    the time. After one large block was freed, it keeps blocks of up to that size for the rest of the process (its
    dynamic threshold, see mallopt(3); other C libraries ignore this). The block is never touched, so it takes no
    memory.
    """
    torch.empty(KEPT, dtype=torch.uint8)


def return_freed_memory() -> None:
    """Have the C library return freed memory to the system, where it can (glibc).

    Large arrays cannot lie in the room that many smaller ones left, such as those of a table that was read by columns.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # of another C library, or system
        ctypes.CDLL(None).malloc_trim(0)
