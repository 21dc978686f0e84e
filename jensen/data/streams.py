"""Training rows that stay in files: read and shuffled by blocks within a window, the next window being read meanwhile.

In one pass over the rows, blocks of neighbouring rows come in a random order. So many of them as make a window are in
memory together, and their rows are shuffled. The order of a pass follows from one number that is drawn at its
beginning, so that a training that goes on within a pass takes the same batches.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import overload

import numpy as np
import torch
from torch import Tensor

from ..core.batch import RowStore
from .file_rows import FileRows, gathered

__all__ = ["StreamedRows", "WindowSize"]

WINDOW_ROWS, WINDOW_BYTES = 2**17, 2**26  # of a window, at most
BLOCKS = 16  # of a window
HALVES = 2  # windows in memory: the one that batches are taken from, and the next

Prepare = Callable[[np.ndarray, int], np.ndarray]


class WindowSize:
    """The rows of a block and the blocks of a window, by the size of a row.

    Args:
        row_bytes: of a row as it is kept in memory.

    Example:
        >>> size = WindowSize(80)
        >>> size.block, size.blocks, size.rows
        (8192, 16, 131072)
    """

    def __init__(self, row_bytes: int) -> None:
        self.blocks = BLOCKS
        self.block = max(min(WINDOW_ROWS, WINDOW_BYTES // max(row_bytes, 1)) // BLOCKS, 1)

    @property
    def rows(self) -> int:
        """Rows of a window."""
        return self.block * self.blocks


class StreamedRows(RowStore):
    """Rows [N, D] of files as a source of batches, prepared block by block as they are read.

    Args:
        rows: as they are in the files, [N, D].
        prepare: what becomes of rows, from these and the number of the first.
        draws: whether it draws noise, so that what becomes of a row depends on its number.
        dtype: of the prepared rows.
        device: that batches go to.
        size: of the windows of a pass; by default by the size of a row.

    Attributes:
        waited: windows that had not been read when they were needed, the first of each pass included.
    """

    def __init__(
        self,
        rows: FileRows,
        prepare: Prepare,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        *,
        draws: bool = False,
        size: WindowSize | None = None,
    ) -> None:
        self.draws = draws
        self.rows, self.prepare, self.dtype, self.device = rows, prepare, dtype, torch.device(device)
        self.shape = (len(rows), int(np.prod(rows.shape[1:], dtype=np.int64)))
        self.size = WindowSize(self.shape[1] * dtype.itemsize) if size is None else size
        self.reader = ThreadPoolExecutor(1, "jensen-rows")
        self.staged: list[weakref.ref[_Windows]] = []  # of passes, the one that was asked last at the end

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the prepared rows from `start` to `stop` - 1."""
        return self.prepare(self.rows.read(start, stop), start)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Return the rows [B, D] of `index`: from the window where all of them are in it, else from the files."""
        index = index.cpu()
        for kept in reversed(self.staged):
            windows = kept()
            rows = None if windows is None else windows.taken(index)
            if rows is not None:
                return rows.to(self.device)
        return torch.from_numpy(self._from_files(index.numpy())).to(self.device)

    def asked(self, windows: _Windows) -> None:
        """Look for rows in the windows of this pass first; those of passes that nobody holds any more are gone."""
        if not self.staged or self.staged[-1]() is not windows:
            self.staged = [kept for kept in self.staged if kept() not in (None, windows)]
            self.staged.append(weakref.ref(windows))

    def _from_files(self, index: np.ndarray) -> np.ndarray:
        n = len(index)
        if n and index[-1] - index[0] == n - 1 and bool((np.diff(index) == 1).all()):
            return self.read(int(index[0]), int(index[-1]) + 1)
        if not self.draws:
            return self.prepare(self.rows.take(index), 0)
        return gathered(self.read, index, self.shape[1:], _numpy(self.dtype))

    def order(self, size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Return the numbers of the rows of each batch of one pass, by blocks within windows."""
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        return _Pass(self, size, seed)


class _Pass(Sequence[Tensor]):
    """The batches of one pass: batch i follows from the seed and i alone. Asking for one reads its window."""

    def __init__(self, rows: StreamedRows, batch: int, seed: int) -> None:
        self.rows, self.batch, self.seed, self.n = rows, batch, seed, len(rows)
        block, blocks = rows.size.block, rows.size.blocks
        order = np.random.default_rng([seed, 0]).permutation(-(-self.n // block))
        self.windows = [order[i : i + blocks] for i in range(0, len(order), blocks)]
        sizes = [int(np.minimum(block, self.n - window * block).sum()) for window in self.windows]
        self.ends = np.cumsum([0, *sizes])
        self.shuffled: dict[int, np.ndarray] = {}
        self.in_memory = _Windows(rows)

    def __len__(self) -> int:
        return -(-self.n // self.batch)

    @overload
    def __getitem__(self, key: int) -> Tensor: ...

    @overload
    def __getitem__(self, key: slice) -> Sequence[Tensor]: ...

    def __getitem__(self, key: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        number = key + len(self) if key < 0 else key
        if not 0 <= number < len(self):
            raise IndexError(key)
        start, stop = number * self.batch, min((number + 1) * self.batch, self.n)
        first = int(np.searchsorted(self.ends, start, side="right")) - 1
        last = int(np.searchsorted(self.ends, stop, side="left")) - 1
        parts = [
            self._order(w)[max(start - int(self.ends[w]), 0) : stop - int(self.ends[w])] for w in range(first, last + 1)
        ]
        self.shuffled = {w: self.shuffled[w] for w in range(first, last + 1)}
        self.rows.asked(self.in_memory)
        self.in_memory.stage(self.windows, first, last)
        return torch.from_numpy(np.concatenate(parts))

    def _order(self, window: int) -> np.ndarray:
        """Return the numbers of the rows of a window, shuffled."""
        if window not in self.shuffled:
            block, n = self.rows.size.block, self.n
            rows = np.concatenate([np.arange(b * block, min((b + 1) * block, n)) for b in self.windows[window]])
            self.shuffled[window] = np.random.default_rng([self.seed, 1 + window]).permutation(rows)
        return self.shuffled[window]


class _Windows:
    """The windows of one pass that are in memory, in the halves of one buffer; a thread reads the next one."""

    def __init__(self, rows: StreamedRows) -> None:
        self.rows = rows
        block, blocks = rows.size.block, rows.size.blocks
        self.count = -(-len(rows) // block)
        self.buffer = torch.empty(0, rows.shape[1], dtype=rows.dtype)
        self.capacity = HALVES * min(blocks, self.count) * block
        self.slots = torch.full((self.count,), -1)
        self.held: list[int | None] = [None] * HALVES  # numbers of windows
        self.reading: tuple[int, Future[None]] | None = None

    def taken(self, index: Tensor) -> Tensor | None:
        """Return the rows of these numbers; None where one of them is not in memory."""
        if not len(self.buffer):
            return None
        block = self.rows.size.block
        number = index.div(block, rounding_mode="floor")
        slots = self.slots[number]
        if not len(slots) or int(slots.min()) < 0:
            return None
        return self.buffer.index_select(0, index + (slots - number) * block)

    def stage(self, windows: list[np.ndarray], first: int, last: int) -> None:
        """Have the windows of a batch in memory, and the one after them read, where a half is free.

        Args:
            windows: of the pass, the numbers of the blocks of each.
            first, last: the windows of the batch.
        """
        if last - first >= HALVES:
            return  # a batch larger than a window is read from the files
        for window in range(first, last + 1):
            self._have(window, windows[window])
        after = last + 1
        if first == last and after < len(windows):
            self._read_ahead(after, windows[after])

    def _have(self, window: int, blocks: np.ndarray) -> None:
        half = window % HALVES
        if self.held[half] == window:
            return
        is_read = self.reading is not None and self.reading[0] == window
        self._finish()
        if not is_read:
            self._clear(half)
            self._fill(blocks, half)
        self.held[half] = window
        base = half * self.capacity // HALVES // self.rows.size.block
        self.slots[torch.from_numpy(blocks)] = torch.arange(base, base + len(blocks))

    def _read_ahead(self, window: int, blocks: np.ndarray) -> None:
        half = window % HALVES
        if self.held[half] == window or (self.reading is not None and self.reading[0] == window):
            return
        self._finish()
        self._clear(half)
        self.reading = (window, self.rows.reader.submit(self._fill, blocks, half))

    def _finish(self) -> None:
        """Wait for the window that is being read, and raise what went wrong with it."""
        if self.reading is not None:
            future, self.reading = self.reading[1], None
            future.result()

    def _clear(self, half: int) -> None:
        """Forget the blocks of a half, before others are read into it."""
        self.held[half] = None
        blocks = self.capacity // HALVES // self.rows.size.block
        self.slots[(self.slots >= half * blocks) & (self.slots < (half + 1) * blocks)] = -1

    def _fill(self, blocks: np.ndarray, half: int) -> None:
        """Read the blocks of a window into a half."""
        if not len(self.buffer):
            self.buffer = torch.empty(self.capacity, self.rows.shape[1], dtype=self.rows.dtype)
        block, at = self.rows.size.block, half * self.capacity // HALVES
        target = self.buffer.numpy()
        for number in blocks:
            start = int(number) * block
            part = self.rows.read(start, min(start + block, len(self.rows)))
            target[at : at + len(part)] = part
            at += block


def _numpy(dtype: torch.dtype) -> np.dtype:
    """Return the type of NumPy."""
    return torch.empty(0, dtype=dtype).numpy().dtype
