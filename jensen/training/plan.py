"""What is asked of training, and what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..core.errors import CompositionError, UsageError
from ..core.precision import ResolvedPrecision
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
    """How long to train.

    Args:
        epochs: passes over the data, at most.
        batch: data per step; more than there are means all of them.
        patience: stop when the validation bound has not risen for this many epochs, and keep the best weights.
        tolerance: a closed-form iteration stops when the objective rises by less than this, in nats per datum.

    Raises:
        UsageError: a number that cannot work.
    """

    epochs: int = 100
    batch: int = 128
    patience: int | None = None
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            require_integer(1, **{f"--{name}": getattr(self, name)})
        if self.patience is not None:
            require_integer(1, **{"--patience": self.patience})
        require_finite(0, tolerance=self.tolerance)


@dataclass
class Plan:
    """How players climb their objectives.

    Args:
        seed: of the order of data and of all noise.
        schedule: of every learning rate, "constant", "cosine" or "linear".
        clip: largest norm of a player's gradient; None leaves it.
        spikes: how many times its usual norm a player's gradient may be long; None leaves it.
        average: decay of averaged weights; None keeps none.
        keep_best: leave the model with the weights of the best validation bound, where there are validation rows.
        precision: of float32 matrix products in training; validation is accurate whatever it is.
        log_jacobian: nats that turn the model's log-density into that of the data's own units, in which events speak.
        valid_jacobian: the same of the validation rows, where entries are missing, so that it differs; None if not.
        listeners: called with every event.
        should_stop: asked between steps; True ends training with reason "interrupted".
        keeper: of snapshots from which training can go on.
    """

    seed: int = 0
    schedule: str = "cosine"
    clip: float | None = None
    spikes: float | None = None
    average: float | None = None
    keep_best: bool = False
    precision: ResolvedPrecision = "float32"
    log_jacobian: float = 0.0
    valid_jacobian: float | None = None
    listeners: Sequence[Listener] = ()
    should_stop: Callable[[], bool] = lambda: False
    keeper: Keeper | None = None

    def check(self, players: Sequence[Player] = ()) -> None:
        """Refuse settings that cannot work.

        Raises:
            UsageError: an unknown schedule, or a clip, decay or factor out of range.
            CompositionError: weights are to be averaged along steps that none of these players takes.
        """
        schedule_factor(self.schedule, 0.0)
        if self.clip is not None and not self.clip > 0:
            raise UsageError(f"--clip {self.clip:g} cannot work", "Give --clip a positive number, such as 10.")
        if self.spikes is not None:
            Spikes.check(self.spikes)
            if any(p.closed is None and p.optimizer.name == "LBFGS" for p in players):
                raise UsageError("a line search compares gradients as they are", "Leave --spikes out.")
        if self.average is not None:
            Average([], self.average)
            if players and all(p.closed for p in players):
                raise CompositionError(
                    "a closed-form fit takes no steps along which weights could be averaged",
                    "Leave --average out, or use --fit gradient.",
                )

    def bound_of(self, guide: Guide, objective: Objective, draw: Draw) -> Tensor | None:
        """The bound [B] that this objective climbs, in its proper scale; None without densities."""
        if not guide.bounds(draw.model):
            return None
        # under the posterior every point tells the evidence: a closed-form rate beside a sampled distortion would not
        if guide.is_exact or any(term.kind is TermKind.IMPORTANCE_WEIGHTED for _, term in objective.terms):
            return draw.log_evidence
        return -draw.distortion - draw.rate
