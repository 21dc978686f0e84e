"""The tensors that a step reads beside its batch, as places that can hold other tensors for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..objectives import Objective, Ramp
from .players import Player

__all__ = ["Slots"]


@dataclass(frozen=True)
class _Slot:
    """One entry of a module's parameters or buffers."""

    entries: dict[str, Any]  # of Tensor | None
    name: str


class Slots:
    """Parameters and buffers of modules, and the values of an objective's ramps.

    What several modules share is one tensor, in all its places.

    Args:
        modules: model, guide, and further modules of the players.
        objective: whose ramps are read.
    """

    def __init__(self, modules: Sequence[nn.Module], objective: Objective) -> None:
        self.ramps: list[Ramp] = list(objective.ramps)
        places: dict[int, list[_Slot]] = {}
        for module in {id(m): m for root in modules for m in root.modules()}.values():
            for entries in (module._parameters, module._buffers):
                for name, tensor in entries.items():
                    if tensor is not None:
                        places.setdefault(id(tensor), []).append(_Slot(entries, name))
        self.places = list(places.values())

    @staticmethod
    def of(model: nn.Module, guide: nn.Module, player: Player) -> Slots:
        """Return what a step of a player reads."""
        held = [value for _, term in player.objective.terms for value in vars(term).values()]  # critics
        return Slots(
            [model, guide, *(o for o in (*player.parameters, *held) if isinstance(o, nn.Module))], player.objective
        )

    @property
    def tensors(self) -> list[Tensor]:
        """The present tensors, each once."""
        held = [places[0].entries[places[0].name] for places in self.places]
        return [t for t in held if t is not None] + [ramp.value for ramp in self.ramps]

    @contextmanager
    def holding(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """A scope in which these tensors are in the places of the present ones."""
        before = self.tensors
        self._put(tensors)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, tensors: Sequence[Tensor]) -> None:
        n = len(self.places)
        for places, tensor in zip(self.places, tensors[:n], strict=True):
            for slot in places:
                slot.entries[slot.name] = tensor
        for ramp, tensor in zip(self.ramps, tensors[n:], strict=True):
            object.__setattr__(ramp, "value", tensor)
