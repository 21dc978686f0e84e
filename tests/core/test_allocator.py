"""Keeping freed memory takes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from jensen.core.allocator import KEPT, keep_freed_memory

STATM = Path("/proc/self/statm")


@pytest.mark.skipif(not STATM.exists(), reason="the system does not say how much memory is resident")
def test_the_block_that_raises_the_threshold_is_never_touched():
    def resident() -> int:
        return int(STATM.read_text().split()[1]) * 4096

    keep_freed_memory()
    before = resident()
    for _ in range(10):
        keep_freed_memory()
    assert resident() - before < KEPT / 10
