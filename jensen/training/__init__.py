"""Training: players climb objectives. This room emits events and writes nothing."""

from .closed import ClosedStep, FactorAlternation, FactorEM, GaussianMaximum, MixtureEM, PrincipalComponents
from .clusters import PriorClusters, kmeans
from .events import Diagnosed, EpochEnded, Event, Finding, Progressed, Recovered, Started, Stopped
from .history import History
from .loop import Trainer
from .optimizers import Optimizer, schedule_factor
from .plan import Budget
from .players import Player
from .snapshot import Keeper, Snapshot

__all__ = [
    "Budget",
    "ClosedStep",
    "Diagnosed",
    "EpochEnded",
    "Event",
    "FactorAlternation",
    "FactorEM",
    "Finding",
    "GaussianMaximum",
    "History",
    "Keeper",
    "MixtureEM",
    "Optimizer",
    "Player",
    "PrincipalComponents",
    "PriorClusters",
    "Progressed",
    "Recovered",
    "Snapshot",
    "Started",
    "Stopped",
    "Trainer",
    "kmeans",
    "schedule_factor",
]
