"""The data that models and guides take: a `Batch`, and `Rows`, a data set as a source of batches.

Rows are a tensor in memory, or a `RowStore`, which reads them from files as they are taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Augment", "Batch", "RowStore", "Rows"]


@dataclass(frozen=True)
class Batch:
    """Data that are processed together.

    Attributes:
        x: [B, D] the data, flat; an image is in the order height, width, channel.
        mask: [B, D], True where observed; None when everything is.
        context: [B, C], which model and guide are conditioned on.
        index: [B] the numbers of these rows in the data set.
        n_data: N, for terms that need it.
        hidden: [B, D], True where an entry was observed and its value has been hidden since, so that it is not in
            `mask`; None where none is. It counts where a model is of which entries are observed.
    """

    x: Tensor
    mask: Tensor | None = None
    context: Tensor | None = None
    index: Tensor | None = None
    n_data: int | None = None
    hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def before(self) -> float:
        """The share of the data set that comes before the first of these rows."""
        return int(self.index[0]) / self.n_data if self.index is not None and self.n_data else 0.0


class RowStore(ABC):
    """Rows [N, D] that are not all in memory; it stands in the place of a tensor of them in `Rows`.

    Attributes:
        shape: N and D.
        dtype: of the rows as stored.
        device: that rows are given on.
    """

    shape: tuple[int, int]
    dtype: torch.dtype
    device: torch.device

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Return the rows [B, D] of `index`, as `Tensor.index_select` does along axis 0."""

    @abstractmethod
    def order(self, size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Return the numbers of the rows of each batch of one pass, in a random order that suits the store."""


# stored rows [B, D], masks of theirs and a generator -> the same, changed at random
Augment = Callable[[Tensor, Sequence[Tensor | None], torch.Generator | None], tuple[Tensor, Sequence[Tensor | None]]]


@dataclass(frozen=True)
class Rows:
    """A data set, from which batches are taken by index, and prepared as they are taken.

    The stored array keeps its compact type (bytes for 8-bit images) and lives on the device; `prepare` turns rows of it
    into the model's input (a dynamic binarisation draws its bits here).

    Attributes:
        stored: [N, D] the data as stored, in memory or read as they are taken.
        prepare: rows and a generator -> [B, D] floating point; None leaves floating-point rows as they are.
        context: [N, C].
        mask: [N, D], True where observed; None when everything is.
        fill: [D] the model's input in place of unobserved entries; they are never scored.
        hidden: [N, D], see `Batch`.
        augment: changes rows and their masks whenever they are taken, before they are prepared; None takes them as they
            are.

    Example:
        >>> rows = Rows(torch.arange(6.0).reshape(3, 2))
        >>> rows.take(torch.tensor([2, 0])).x
        tensor([[4., 5.],
                [0., 1.]])
    """

    stored: Tensor | RowStore
    prepare: Callable[[Tensor, torch.Generator | None], Tensor] | None = None
    context: Tensor | None = None
    mask: Tensor | None = None
    fill: Tensor | None = None
    hidden: Tensor | None = None
    augment: Augment | None = None

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def device(self) -> torch.device:
        return self.stored.device

    def take(self, index: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Return the rows [B] of `index` as a batch, prepared with the generator's randomness."""
        x = self.stored.index_select(0, index)
        mask, hidden = (None if m is None else m.index_select(0, index) for m in (self.mask, self.hidden))
        if self.augment is not None:
            x, (mask, hidden) = self.augment(x, (mask, hidden), generator)
        x = x if self.prepare is None else self.prepare(x, generator)
        return Batch(
            x if mask is None or self.fill is None else torch.where(mask, x, self.fill.to(x)),
            mask,
            None if self.context is None else self.context.index_select(0, index),
            index,
            len(self),
            hidden,
        )

    def order(self, size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Return the numbers of the rows of each batch of one pass over the data, in a random order."""
        if isinstance(self.stored, RowStore):
            return self.stored.order(size, generator)
        return torch.randperm(len(self), generator=generator).to(self.device).split(size)

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield all rows in order, `size` at a time; the last batch may be smaller."""
        for start in range(0, len(self), size):
            yield self.take(torch.arange(start, min(start + size, len(self)), device=self.device), generator)

    def fixed(self, generator: torch.Generator | None = None, size: int = 4096) -> Rows:
        """Return the rows with the preparation applied once for all batches (a dynamic binarisation is drawn once).

        They are not augmented.
        """
        rows = self if self.augment is None else replace(self, augment=None)
        if rows.prepare is None:
            return rows
        return replace(rows, stored=torch.cat([b.x for b in rows.batches(size, generator)]), prepare=None)

    def subset(self, index: Tensor) -> Rows:
        """Return the rows [M] of `index` as a data set of their own."""
        return replace(
            self,
            stored=self.stored.index_select(0, index),
            context=None if self.context is None else self.context.index_select(0, index),
            mask=None if self.mask is None else self.mask.index_select(0, index),
            hidden=None if self.hidden is None else self.hidden.index_select(0, index),
        )
