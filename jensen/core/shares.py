"""The share of a batch that one of several processes computes, as a scope that draws and batch statistics read.

Several processes that train together take consecutive rows of every batch. Within the scope of such a share, noise is
that of the whole batch, of which the rows of this process are kept, and statistics of the batch are summed over all
processes: the result is that of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

__all__ = ["Share", "batch_mean", "current_share", "gathered", "mean_of_batch", "sharing"]


def _alone(tensors: Sequence[Tensor]) -> None:
    """Sum over a single process."""


@dataclass
class Share:
    """Consecutive rows of a batch, at least one: networks and distributions are not made for none.

    Attributes:
        start, stop: the first row, and the one after the last.
        of: the number of rows of the whole batch.
        counts: False where there are fewer rows than processes, and this share repeats the row of another.
        sum_all: sums tensors over all processes, in place.
        own_noise: True once noise was drawn that is not that of one process.
        exchanges: True once statistics of the batch were summed, in the midst of a step.
    """

    start: int
    stop: int
    of: int
    counts: bool = True
    sum_all: Callable[[Sequence[Tensor]], None] = field(default=_alone, compare=False, repr=False)
    own_noise: bool = field(default=False, compare=False, repr=False)
    exchanges: bool = field(default=False, compare=False, repr=False)

    def __len__(self) -> int:
        return self.stop - self.start

    def sum_(self, *tensors: Tensor) -> None:
        """Sum statistics of the batch over all processes, in place."""
        self.exchanges = True
        self.sum_all(tensors)


_current: ContextVar[Share | None] = ContextVar("share", default=None)


def current_share() -> Share | None:
    """Return the share of the present scope; None where batches are whole."""
    return _current.get()


@contextmanager
def sharing(share: Share | None) -> Iterator[None]:
    """A scope in which batches are this share of a whole; None for whole batches.

    Example:
        >>> with sharing(Share(2, 4, 6)):
        ...     current_share()
        Share(start=2, stop=4, of=6, counts=True)
        >>> current_share() is None
        True
    """
    token = _current.set(share)
    try:
        yield
    finally:
        _current.reset(token)


def mean_of_batch(mean: Tensor, weight: Tensor | float) -> Tensor:
    """Return the mean over the whole batch from that over this share, whose rows weigh this much together."""
    share = _current.get()
    if share is None:
        return mean
    weights = torch.as_tensor(weight * share.counts, dtype=mean.dtype, device=mean.device).reshape(1)
    total = mean * weights
    share.sum_(total, weights)
    return total / weights


class _BatchMean(torch.autograd.Function):
    """The mean of rows [B, ...] over the whole batch, of which this process has a share."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, share: Share) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.share, ctx.shape = share, rows.shape
        total = rows.sum(0) if share.counts else torch.zeros_like(rows[0])
        share.sum_(total)
        return total / share.of

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        share, total = ctx.share, slope.clone()
        share.sum_(total)  # of the losses of all processes
        return (total * (share.counts / share.of)).expand(ctx.shape), None


def batch_mean(rows: Tensor) -> Tensor:
    """Return the mean [...] over the whole batch of values [B, ...] of its rows, or of a share; with gradients.

    The gradient is right where all processes form the same loss of it, each weighted by its number of rows.
    """
    share = _current.get()
    return rows.mean(0) if share is None else cast(Tensor, _BatchMean.apply(rows, share))


def gathered(rows: Tensor) -> Tensor:
    """Return the vectors [of * m, E] of the whole batch, m for each row, from those of this share."""
    share = _current.get()
    if share is None:
        return rows
    each = len(rows) // len(share)
    whole = rows.new_zeros(share.of * each, *rows.shape[1:])
    if share.counts:
        whole[share.start * each : share.stop * each] = rows
    share.sum_(whole)
    return whole
