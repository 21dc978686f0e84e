"""Snapshots: the state of a training as named tensors and JSON-serialisable facts, to resume from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import CorruptRunError

__all__ = ["Keeper", "Snapshot", "fill", "pack", "unpack"]

MARK = "tensor"


@dataclass(frozen=True)
class Snapshot:
    """The state of a training between two steps.

    Attributes:
        tensors: by name; until they are copied they are the training's own, and change with it.
        facts: everything else, JSON-serialisable.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def copied(self) -> Snapshot:
        """Return a snapshot with tensors of its own."""
        return Snapshot({k: v.detach().clone() for k, v in self.tensors.items()}, self.facts)


class Keeper(ABC):
    """Keeps snapshots, from which training can be resumed."""

    @abstractmethod
    def due(self) -> bool:
        """Return whether a snapshot is due; called after every step."""

    @abstractmethod
    def keep(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Keep a snapshot.

        No failure may be raised from here: the weights are yet to be written.

        Args:
            snapshot: whose tensors change with the next step.
            last: True for the last one of a training, which is kept whatever it costs.
        """

    @abstractmethod
    def earlier(self) -> list[Snapshot]:
        """Return the snapshots of this training that are still kept, those of earlier processes included, unordered."""


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return nested dicts, lists and tensors as JSON-serialisable values.

    Dicts become lists of pairs, so that their keys may be numbers (an optimiser's are).

    Args:
        value: to pack.
        name: with which the names of its tensors begin.
        tensors: where the tensors are put, by name.

    Example:
        >>> tensors = {}
        >>> pack({0: [torch.zeros(2), 1.5]}, "a", tensors), list(tensors)
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
    """Return the value that `pack` packed, with lists for tuples."""
    if isinstance(value, Mapping):
        if MARK in value:
            return tensors[value[MARK]].clone()
        return {k: unpack(v, tensors) for k, v in value["pairs"]}
    if isinstance(value, list):
        return [unpack(v, tensors) for v in value]
    return value


@torch.no_grad()
def fill(mine: Mapping[str, Tensor], kept: Mapping[str, Tensor], prefix: str) -> None:
    """Copy the kept tensors with this prefix over mine, in place.

    Raises:
        CorruptRunError: they are not those of this model.
    """
    named = {k.removeprefix(prefix): t for k, t in kept.items() if k.startswith(prefix)}
    if named.keys() != mine.keys() or any(
        named[k].shape != t.shape or named[k].dtype != t.dtype for k, t in mine.items()
    ):
        raise CorruptRunError(
            f"the training state does not belong to this model: its {prefix.rstrip('/')} tensors differ",
            "Resume with the data and the version that it was trained with.",
        )
    for name, tensor in mine.items():
        tensor.copy_(named[name])
