"""The history of a training: what it returns beside the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from .averages import Average
from .events import EpochEnded, Recovered, Stopped

__all__ = ["History"]


@dataclass
class History:
    """Events of a training, and its averaged weights.

    Attributes:
        epochs: one event per epoch.
        recoveries: one event per recovery.
        stopped: the last event; None while training runs.
        average: averaged weights, if any.
    """

    epochs: list[EpochEnded] = field(default_factory=list)
    recoveries: list[Recovered] = field(default_factory=list)
    stopped: Stopped | None = None
    average: Average | None = None
