"""Training configuration and its validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ..core.errors import CompositionError, UsageError
from ..core.precision import ResolvedPrecision
from ..core.processes import ALONE, Processes
from ..core.threads import MOST_THREADS
from ..core.validation import require_finite, require_integer
from ..models.draw import Draw
from ..models.guide import Guide
from ..objectives import Objective, TermKind
from .averages import Average
from .events import Listener
from .optimizers import schedule_factor
from .players import Player
from .snapshot import Keeper
from .spikes import Spikes

__all__ = ["Budget", "Plan"]


@dataclass(frozen=True)
class Budget:
    """The length of a training.

    Args:
        epochs: passes over the data, at most.
        batch: data per step; at most all of them are used.
        patience: stop when the validation bound has not risen for this many epochs, counted from the end of warm-ups
            and the beginning of the last stage; None goes on to the end.
        tolerance: a closed-form iteration stops when the objective rises by less than this, in nats per datum.

    Raises:
        UsageError: a number is out of range.
    """

    epochs: int = 100
    batch: int = 128
    patience: int | None = None
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        require_integer(1, **{"--epochs": self.epochs, "--batch": self.batch})
        if self.patience is not None:
            require_integer(1, **{"--patience": self.patience})
        require_finite(0, tolerance=self.tolerance)


@dataclass
class Plan:
    """The configuration of a training, beside its parts, its data and its length.

    Args:
        seed: of the order of data and of all noise.
        schedule: of every learning rate, "constant", "cosine" or "linear".
        clip: clip gradients above this norm; None leaves them.
        spikes: clip gradients above this multiple of their running norm; None leaves them.
        average: decay of averaged weights; None keeps none.
        keep_best: leave the model with the weights of the best validation bound, where there are validation rows.
        precision: of float32 matrix products in training; validation always has accurate ones.
        threads: processor threads; "auto" chooses by a trial, and again where training slows down. At most as many as
            there are processors are used.
        log_jacobian: nats to add to the model's log-density for that in the data's own units, in which events report.
        valid_jacobian: likewise for the validation rows, if it differs because entries are missing.
        listeners: called with every event.
        should_stop: called between steps; True ends training with reason "interrupted".
        keeper: of snapshots from which training can be resumed.
        processes: that train together, each some rows of every batch.
    """

    seed: int = 0
    schedule: str = "cosine"
    clip: float | None = None
    spikes: float | None = None
    average: float | None = None
    keep_best: bool = False
    precision: ResolvedPrecision = "float32"
    threads: int | Literal["auto"] = "auto"
    log_jacobian: float = 0.0
    valid_jacobian: float | None = None
    listeners: Sequence[Listener] = ()
    should_stop: Callable[[], bool] = lambda: False
    keeper: Keeper | None = None
    processes: Processes = ALONE

    def check(self, players: Sequence[Player] = ()) -> None:
        """Validate the configuration.

        Raises:
            UsageError: an unknown schedule, or a clip, decay or factor out of range.
            CompositionError: weights are to be averaged along steps that none of these players takes.
        """
        schedule_factor(self.schedule, 0.0)
        if self.threads != "auto":
            require_integer(1, MOST_THREADS, **{"--threads": self.threads})
        if self.clip is not None and not self.clip > 0:
            raise UsageError(f"--clip must be above 0, got {self.clip:g}", "Give --clip a positive number, such as 10.")
        if self.spikes is not None:
            Spikes.check(self.spikes)
            if any(p.closed is None and p.optimizer.name == "LBFGS" for p in players):
                raise UsageError("--spikes cannot be used with the line search of LBFGS", "Leave --spikes out.")
        if self.average is not None:
            Average([], self.average)
            if players and all(p.closed for p in players):
                raise CompositionError(
                    "a closed-form fit takes no steps along which weights could be averaged",
                    "Leave --average out, or use --fit gradient.",
                )

    def bound_of(self, guide: Guide, objective: Objective, draw: Draw) -> Tensor | None:
        """Return the bound on log p(x) [B] that an objective maximises, unscaled; None without densities."""
        if not guide.bounds(draw.model):
            return None
        # under the posterior every point gives the evidence: a closed-form rate and a sampled distortion would not
        if guide.is_exact or any(term.kind is TermKind.IMPORTANCE_WEIGHTED for _, term in objective.terms):
            return draw.log_evidence
        return -draw.distortion - draw.rate
