"""Work on rows that several processes divide by pieces: the result is that of one process, to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, islice
from typing import TypeVar

import torch
from torch import Tensor

from .batch import Batch, Rows
from .processes import ALONE, Processes

__all__ = ["by_chunks", "by_groups", "by_pieces", "divided", "in_columns", "processes_now", "recut"]

_processes: ContextVar[Processes] = ContextVar("processes", default=ALONE)

Piece = TypeVar("Piece", Batch, Tensor)


@contextmanager
def divided(processes: Processes) -> Iterator[None]:
    """A scope in which these processes divide work; each waits until all of them are here, with the same rows."""
    processes.barrier()
    token = _processes.set(processes)
    try:
        yield
    finally:
        _processes.reset(token)


def processes_now() -> Processes:
    """Return the processes that divide work in the present scope; a single one outside of any."""
    return _processes.get()


def by_pieces(
    pieces: Iterable[Piece],
    compute: Callable[[Piece], Sequence[Tensor]],
    skip: Callable[[Piece], object] | None = None,
) -> Iterator[Sequence[Tensor]]:
    """Yield what is computed of each piece of data, in their order; several processes take pieces in turn.

    All processes have what each has computed, which they exchange when all pieces are done.

    Args:
        pieces: of B data each.
        compute: returns tensors [B, ...] of a piece, of the same types and shapes for all pieces but for B.
        skip: called with a piece of another process, in order: draws the random numbers that `compute` would draw.

    Example:
        >>> [x.tolist() for (x,) in by_pieces(torch.arange(3).split(2), lambda piece: [piece + 1])]
        [[1, 2], [3]]
    """
    processes = _processes.get()
    if processes.is_alone:
        yield from map(compute, pieces)
        return
    sizes, mine = [], []
    for number, piece in enumerate(pieces):
        sizes.append(len(piece))
        if number % processes.size == processes.rank:
            mine.append(compute(piece))
        elif skip is not None:
            skip(piece)
    if not sizes:
        return
    # the first process has the first piece; another one may have none, and not know what they are of
    kinds = [[str(t.dtype).split(".")[1], list(t.shape[1:]), t.device.type] for t in mine[0]] if mine else None
    kinds = [(getattr(torch, name), shape, device) for name, shape, device in processes.broadcast_object(kinds)]
    of_rank = [_exchanged(mine, kinds, sizes[rank :: processes.size], rank) for rank in range(processes.size)]
    for number in range(len(sizes)):
        yield [column[number // processes.size] for column in of_rank[number % processes.size]]


def _exchanged(
    mine: Sequence[Sequence[Tensor]],
    kinds: Sequence[tuple[torch.dtype, list[int], str]],
    sizes: Sequence[int],
    source: int,
) -> list[tuple[Tensor, ...]]:
    """Return what one process has computed, in all of them: of each tensor its parts, for pieces of these sizes.

    Args:
        mine: of each piece of this process.
        kinds: the type, the shape after the first axis, and the device of each tensor.
        sizes: of the pieces of that process.
        source: that process.
    """
    processes, rows = _processes.get(), sum(sizes)
    lengths = [rows * math.prod(shape) * dtype.itemsize for dtype, shape, _ in kinds]
    if source == processes.rank and mine:
        columns = [torch.cat(parts) for parts in zip(*mine, strict=True)]
        data = torch.cat([column.contiguous().reshape(-1).view(torch.uint8) for column in columns])
    else:
        data = torch.zeros(sum(lengths), dtype=torch.uint8, device=kinds[0][2])
    if rows:
        processes.broadcast_all([data], source)
    whole = (
        part.clone().view(dtype).reshape(rows, *shape)
        for part, (dtype, shape, _) in zip(data.split(lengths), kinds, strict=True)
    )
    return [column.split(list(sizes)) for column in whole]


def by_groups(
    pieces: Iterable[Piece], compute: Callable[[Piece], Sequence[Tensor]], each: int
) -> Iterator[Sequence[Tensor]]:
    """Yield what `by_pieces` does; several processes exchange it after so many pieces, and so hold no more of it.

    Args:
        pieces: of B data each.
        compute: see `by_pieces`.
        each: pieces between exchanges; at least as many as there are processes are taken.
    """
    rest, most = iter(pieces), max(each, processes_now().size)
    for first in rest:
        yield from by_pieces(chain([first], islice(rest, most - 1)), compute)


def recut(results: Iterable[Sequence[Tensor]], rows: int) -> Iterator[list[Tensor]]:
    """Yield the same tensors [B, ...] in pieces of so many rows; the last may be smaller.

    Args:
        results: tensors of the same types and shapes but for B, as `by_pieces` yields them.
        rows: of a piece.

    Example:
        >>> [x.tolist() for (x,) in recut([[torch.arange(2)], [torch.arange(2, 5)]], 3)]
        [[0, 1, 2], [3, 4]]
    """
    held: list[Sequence[Tensor]] = []
    count = 0
    for tensors in results:
        held.append(tensors)
        count += len(tensors[0])
        if count < rows:
            continue
        whole = [torch.cat(column) for column in zip(*held, strict=True)]
        *full, rest = zip(*(column.split(rows) for column in whole), strict=True)
        full, rest = (full, rest) if count % rows else ([*full, rest], None)
        yield from map(list, full)
        held = [] if rest is None else [[column.clone() for column in rest]]
        count = 0 if rest is None else len(rest[0])
    if held:
        yield [torch.cat(column) for column in zip(*held, strict=True)]


def in_columns(
    batches: Iterable[Batch],
    compute: Callable[[Batch], Sequence[Tensor]],
    skip: Callable[[Batch], object] | None = None,
) -> list[Tensor]:
    """Return what belongs to each of N data as tensors [N, ...]; see `by_pieces`."""
    return [torch.cat(column) for column in zip(*by_pieces(batches, compute, skip), strict=True)]


def by_chunks(
    data: Rows, size: int, function: Callable[[Batch], Tensor], generator: torch.Generator | None = None
) -> Tensor:
    """Return the results [N, ...] of a function of batches [B, ...], `size` rows at a time.

    Args:
        data: the rows.
        size: B; the last batch may be smaller.
        function: draws nothing itself.
        generator: that rows are prepared with, in order.

    Example:
        >>> by_chunks(Rows(torch.arange(6.0).reshape(3, 2)), 2, lambda batch: batch.x.sum(1))
        tensor([1., 5., 9.])
    """
    n = len(data)
    results = by_pieces(
        (torch.arange(start, min(start + size, n), device=data.device) for start in range(0, n, size)),
        lambda index: [function(data.take(index, generator))],
        None if generator is None or data.prepare is None else lambda index: data.take(index, generator),
    )
    whole, stop = data.stored.new_empty(0) if isinstance(data.stored, Tensor) else torch.empty(0), 0
    for (result,) in results:  # joined at the end, they would be there twice
        if not stop:
            whole = result.new_empty(n, *result.shape[1:])
        start, stop = stop, stop + len(result)
        whole[start:stop] = result
    return whole
