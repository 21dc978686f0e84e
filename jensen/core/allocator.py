"""The C library's allocator: freed memory is kept for reuse."""

from __future__ import annotations

import torch

__all__ = ["keep_freed_memory"]

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
