"""What training says while it runs. Listeners are plain functions of an event; they draw, write or decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["EpochEnded", "Event", "Listener", "Measures", "Progressed", "Started", "Stopped"]


@dataclass(frozen=True)
class Measures:
    """Averages over data, in nats per datum, in the data's own units.

    Attributes:
        objective: what is climbed.
        bound: the ELBO, or the importance-weighted bound where that is what is climbed; None without densities.
        rate, distortion: rate is None without a bound, and distortion where the likelihood only samples.
    """

    objective: float
    bound: float | None
    rate: float | None
    distortion: float | None


@dataclass(frozen=True)
class Started:
    """Training begins."""

    epochs: int
    steps_per_epoch: int
    n_data: int


@dataclass(frozen=True)
class Progressed:
    """A glance in the middle of an epoch: averages since it began."""

    epoch: int
    step: int
    train: Measures
    data_per_second: float
    seconds: float
    seconds_left: float
    beta: float | None


@dataclass(frozen=True)
class EpochEnded:
    """An epoch is over.

    Attributes:
        valid: measures on the validation rows, by the same noise each time; None without such rows.
        beta: effective weight of the rate at the last step; None where it means nothing.
        is_best: whether the validation bound is the highest so far.
    """

    epoch: int
    step: int
    train: Measures
    valid: Measures | None
    learning_rate: float
    beta: float | None
    data_per_second: float
    seconds: float
    seconds_left: float
    is_best: bool


@dataclass(frozen=True)
class Stopped:
    """Training is over.

    Attributes:
        reason: "finished", "early stopping", "converged", "interrupted" or "failed".
        epoch: the last one.
        kept_epoch: the epoch whose weights the model now has.
    """

    reason: str
    epoch: int
    kept_epoch: int
    seconds: float


Event = Started | Progressed | EpochEnded | Stopped
Listener = Callable[[Event], None]
