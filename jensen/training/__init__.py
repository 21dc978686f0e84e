"""Training: players climb objectives. This room emits events and writes nothing."""

from .closed import (
    ClosedStep,
    FactorAlternation,
    FactorEM,
    GaussianMaximum,
    MixtureEM,
    PrincipalComponents,
)
from .events import EpochEnded, Event, Progressed, Started, Stopped
from .loop import Budget, History, Trainer
from .optimizers import Optimizer, schedule_factor
from .players import Player

__all__ = [
    "Budget",
    "ClosedStep",
    "EpochEnded",
    "Event",
    "FactorAlternation",
    "FactorEM",
    "GaussianMaximum",
    "History",
    "MixtureEM",
    "Optimizer",
    "Player",
    "PrincipalComponents",
    "Progressed",
    "Started",
    "Stopped",
    "Trainer",
    "schedule_factor",
]
