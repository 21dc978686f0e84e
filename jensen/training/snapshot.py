"""The whole state of a training between two steps, as tensors and plain values: enough to go on to the same bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import CorruptRunError

__all__ = ["Keeper", "Snapshot", "fill", "named_tensors", "pack", "unpack"]

MARK = "tensor"


@dataclass(frozen=True)
class Snapshot:
    """What a training has come to.

    Attributes:
        tensors: by name; they are those of the training itself until they are copied, and change with it.
        facts: everything else, as JSON takes it.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def copied(self) -> Snapshot:
        """The same, of its own."""
        return Snapshot({k: v.detach().clone() for k, v in self.tensors.items()}, self.facts)


class Keeper(ABC):
    """Keeps snapshots. It is asked after every step whether one is due."""

    @abstractmethod
    def due(self) -> bool:
        """Whether it wants a snapshot now."""

    @abstractmethod
    def keep(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Keep it; the last one of a training is kept whatever it costs.

        What hinders it must not keep training from its end: weights are yet to be written.
        """

    @abstractmethod
    def earlier(self) -> list[Snapshot]:
        """What is still kept of this training, by this process or by those that it goes on from; in no order."""


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A nest of dicts, lists and tensors as JSON takes it: tensors go to `tensors`, under names that begin with `name`.

    Dicts become lists of pairs, so that their keys may be numbers (an optimiser's are).

    Example:
        >>> found = {}
        >>> pack({0: [torch.zeros(2), 1.5]}, "a", found), list(found)
        ({'pairs': [[0, [{'tensor': 'a/0/0'}, 1.5]]]}, ['a/0/0'])
    """
    if isinstance(value, Tensor):
        tensors[name] = value.detach()
        return {MARK: name}
    if isinstance(value, Mapping):
        return {"pairs": [[k, pack(v, f"{name}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [pack(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]
    return value


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `pack` made of it, as it was; tuples come back as lists."""
    if isinstance(value, Mapping):
        if MARK in value:
            return tensors[value[MARK]].clone()
        return {k: unpack(v, tensors) for k, v in value["pairs"]}
    if isinstance(value, list):
        return [unpack(v, tensors) for v in value]
    return value


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@torch.no_grad()
def fill(mine: Mapping[str, Tensor], kept: Mapping[str, Tensor], prefix: str) -> None:
    """Copy the kept tensors of this prefix over mine, in place.

    Raises:
        CorruptRunError: they are not those of this model.
    """
    found = {k.removeprefix(prefix): t for k, t in kept.items() if k.startswith(prefix)}
    if found.keys() != mine.keys() or any(
        found[k].shape != t.shape or found[k].dtype != t.dtype for k, t in mine.items()
    ):
        raise CorruptRunError(
            f"the kept state does not belong to this model: its {prefix.rstrip('/')} tensors differ",
            "Resume with the data and the version that it was trained with.",
        )
    for name, tensor in mine.items():
        tensor.copy_(found[name])
