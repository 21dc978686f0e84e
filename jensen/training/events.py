"""Training events. Listeners are plain functions of an event; they draw, write or decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Diagnosed",
    "EpochEnded",
    "Event",
    "Fault",
    "Listener",
    "Measures",
    "Progressed",
    "Recovered",
    "Started",
    "Stopped",
    "ThreadsChosen",
]


@dataclass(frozen=True)
class Measures:
    """Averages over data, in nats per datum, in the data's own units.

    Attributes:
        objective: the leading player's.
        bound: the ELBO, or the importance-weighted bound where that is the objective; None without densities.
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
    """Progress within an epoch: averages since it began."""

    epoch: int
    step: int
    train: Measures
    data_per_second: float
    seconds: float
    seconds_left: float
    beta: float | None


@dataclass(frozen=True)
class EpochEnded:
    """An epoch is complete.

    Attributes:
        epoch, step: counted from 1; `step` optimiser steps are done.
        train: measures on the training rows, while the weights moved.
        valid: measures on the validation rows, with the same noise each time; None without such rows.
        learning_rate: of the leading player at the last step.
        beta: effective weight of the rate at the last step; None where it is not defined.
        data_per_second: of this epoch.
        seconds, seconds_left: since training began, and expected until it ends.
        is_best: True if the validation bound is the highest so far.
        spikes: gradients clipped so far; None if spikes are not clipped.
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
    spikes: int | None = None


@dataclass(frozen=True)
class Fault:
    """The first number of a training that is not finite, and its cause.

    Attributes:
        number: of the fault within this training, from 1.
        step, epoch: the first bad step, counted from 1, and its epoch; step 0 where no steps are taken.
        found_in: the place within the step where it was first seen; "objective" where that is finite, and a billion
            times worse than at the first step; "nowhere" where the same steps, repeated, were fine.
        culprit: the cause; "rate" stands for the size of the steps.
        hopeless: True if the fault occurs at good parameters too, so that smaller steps cannot help.
        what: all of this in one sentence.
        player: the objective that was maximised.
        learning_rates: of all players at this step.
        terms: densities of the draw and terms of the objective that are not finite.
        part: the part of the model that computes the first of these.
        tensor: the first bad tensor: name of its module, pass, shape, how many entries are bad, whether the module's
            input is finite, and the largest entry of it.
        parameter, gradient: the first bad ones after the step, and in it.
        largest: the largest parameter just before the step: its name and size, and the largest size before `back_to`.
        batch: the step's rows among the training rows, from 0.
        rows: those of them that are not finite, or cause the fault.
        features: of the data, where log p(x | z) is not finite.
        values: the most extreme entries of those rows, as the model sees them: row, feature, value.
        back_to: the step from which training continues; None where it ends.
    """

    number: int
    step: int
    epoch: int
    found_in: Literal["data", "forward", "objective", "backward", "update", "closed form", "nowhere"]
    culprit: Literal["row", "part", "rate", "unknown"]
    hopeless: bool
    what: str
    player: str
    learning_rates: tuple[float, ...] = ()
    terms: tuple[str, ...] = ()
    part: str | None = None
    tensor: dict[str, Any] | None = None
    parameter: str | None = None
    gradient: str | None = None
    largest: dict[str, Any] | None = None
    batch: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    features: tuple[int, ...] = ()
    values: tuple[dict[str, Any], ...] = ()
    back_to: int | None = None


@dataclass(frozen=True)
class Diagnosed:
    """A number stopped being finite; the next event is `Recovered` or `Stopped`."""

    fault: Fault


@dataclass(frozen=True)
class Recovered:
    """Training went back to a good state, and continues from there with smaller steps.

    Attributes:
        epoch: in which it continues; earlier events of this epoch and of later ones are void.
        step: the number of steps done in the good state.
        bad_step: the first bad step, counted from 1.
        count: recoveries so far.
        factor: of all learning rates from here on.
        what: the fault in one sentence.
    """

    epoch: int
    step: int
    bad_step: int
    count: int
    factor: float
    what: str


@dataclass(frozen=True)
class Stopped:
    """Training has ended.

    Attributes:
        reason: "finished", "early stopping", "converged", "interrupted" or "failed".
        epoch: the last one.
        kept_epoch: the epoch whose weights the model now has.
        seconds: spent.
    """

    reason: str
    epoch: int
    kept_epoch: int
    seconds: float


@dataclass(frozen=True)
class ThreadsChosen:
    """The number of threads of the next steps was chosen or changed, or the machine became busy or idle.

    Attributes:
        step: the number of steps done.
        threads: from here on.
        before: until here; None at the start of a training that is not resumed.
        busy: True if other processes slow training down.
    """

    step: int
    threads: int
    before: int | None
    busy: bool


Event = Started | Progressed | EpochEnded | Diagnosed | Recovered | Stopped | ThreadsChosen
Listener = Callable[[Event], None]
