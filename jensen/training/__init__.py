"""Training: optimisers maximise the objectives of players. This room emits events and writes no files."""

from .closed import (
    ClosedStep,
    FactorAlternation,
    FactorEM,
    GaussianMaximum,
    MixtureEM,
    PrincipalComponents,
    component_params,
)
from .clusters import PriorClusters, check_clusters, kmeans
from .events import Diagnosed, EpochEnded, Event, Fault, Progressed, Recovered, Started, Stopped
from .history import History
from .optimizers import Optimizer, schedule_factor
from .plan import Budget
from .players import Player
from .snapshot import Keeper, Snapshot
from .trainer import Trainer

__all__ = [
    "Budget",
    "ClosedStep",
    "Diagnosed",
    "EpochEnded",
    "Event",
    "FactorAlternation",
    "FactorEM",
    "Fault",
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
    "check_clusters",
    "component_params",
    "kmeans",
    "schedule_factor",
]
