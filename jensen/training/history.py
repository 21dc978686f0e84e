"""What a training leaves behind beside the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from .averages import Average
from .events import EpochEnded, Recovered, Stopped

__all__ = ["History"]


@dataclass
class History:
    """What happened: the events of all epochs, the recoveries, how training ended, and averaged weights if any."""

    epochs: list[EpochEnded] = field(default_factory=list)
    recoveries: list[Recovered] = field(default_factory=list)
    stopped: Stopped | None = None
    average: Average | None = None
