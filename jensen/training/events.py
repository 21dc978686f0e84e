"""What training says while it runs. Listeners are plain functions of an event; they draw, write or decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Diagnosed",
    "EpochEnded",
    "Event",
    "Finding",
    "Listener",
    "Measures",
    "Progressed",
    "Recovered",
    "Started",
    "Stopped",
]


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
        spikes: gradients shortened so far; None where none would be.
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
class Finding:
    """Where numbers stopped being finite, and through what.

    Attributes:
        number: which such fault of this training, from 1.
        step, epoch: the first bad step, counted from 1, and its epoch; step 0 where no steps are taken.
        found_in: where in the step it was first seen; "objective" where it is finite, and a billion times
            worse than at the first step; "nowhere" where the same steps, made again, were fine.
        culprit: what to look at; "rate" is the size of the steps.
        hopeless: it is there at good parameters too, so that smaller steps cannot mend it.
        what: all of this in one sentence.
        player: the objective that was climbed.
        learning_rates: of all players at this step.
        terms: which of the draw's densities and the objective's terms are not finite.
        part: the part of the model that the first of these is asked of.
        tensor: the first bad tensor: name of its module, pass, shape, how many entries are bad, whether what the
            module was given is finite, and the largest entry of it.
        parameter, gradient: the first bad ones after the step, and in it.
        largest: the largest parameter just before the step: its name and size, and the largest size before `back_to`.
        batch: the step's rows among the training rows, from 0; `rows`: those that are not finite by themselves.
        features: of the data, where log p(x | z) is not finite.
        values: the most extreme entries of those rows, as the model sees them: row, feature, value.
        back_to: the step that training goes back to; None where it ends.
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
    """Numbers stopped being finite; what comes next is `Recovered`, or the end."""

    finding: Finding


@dataclass(frozen=True)
class Recovered:
    """Training went back to a good state, and goes on from there with smaller steps.

    Attributes:
        epoch: in which it goes on; what was told of it and of later ones is void.
        step: the step that it went back to.
        bad_step: the first bad one.
        count: recoveries so far.
        factor: of all learning rates from here on.
        what: went wrong.
    """

    epoch: int
    step: int
    bad_step: int
    count: int
    factor: float
    what: str


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


Event = Started | Progressed | EpochEnded | Diagnosed | Recovered | Stopped
Listener = Callable[[Event], None]
