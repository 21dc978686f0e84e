"""Keeping freed memory takes none, and it is returned when that is asked for."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from jensen.core.allocator import KEPT, keep_freed_memory, return_freed_memory

STATM = Path("/proc/self/statm")


def resident() -> int:
    return int(STATM.read_text().split()[1]) * 4096


@pytest.mark.skipif(not STATM.exists(), reason="the system does not say how much memory is resident")
def test_the_block_that_raises_the_threshold_is_never_touched():
    keep_freed_memory()
    before = resident()
    for _ in range(10):
        keep_freed_memory()
    assert resident() - before < KEPT / 10


@pytest.mark.skipif(
    not STATM.exists() or platform.libc_ver()[0] != "glibc", reason="another C library returns memory in another way"
)
def test_room_below_what_is_in_use_is_returned():
    keep_freed_memory()
    blocks = [torch.ones(2**14) for _ in range(800)]
    size = sum(block.nbytes for block in blocks)
    last = blocks[-1]  # it keeps the heap from shrinking by itself
    blocks.clear()
    before = resident()
    return_freed_memory()
    assert before - resident() > size / 2
    assert bool((last == 1).all())
