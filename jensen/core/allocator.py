"""The memory of a process, as the C library hands it out."""

from __future__ import annotations

import torch

__all__ = ["keep_freed_memory"]

KEPT = 30 << 20  # bytes; from 32 MiB on, glibc does not learn


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, for what is asked for next.

    Training and evaluation free and ask for the same few megabytes over and over. Depending on how blocks happen to
    lie, glibc hands them back to the system each time and fetches them anew, page by page, which can take a third of
    the time. Having freed one large block, it keeps blocks of up to that size for the rest of the process (its own
    rule, see mallopt(3); elsewhere this does nothing). The block is never touched, so it takes no memory.
    """
    torch.empty(KEPT, dtype=torch.uint8)
