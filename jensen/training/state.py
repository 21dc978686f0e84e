"""The state of a training between two steps: everything that changes, saved and restored."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..core.modules import joined, named_tensors
from ..core.processes import ALONE, Processes
from ..core.random import stream
from ..core.threads import ThreadRecord
from ..objectives import Ramp
from .averages import Average
from .events import EpochEnded
from .history import History
from .nonfinite import is_finite
from .players import Player
from .running_measures import RunningMeasures
from .setup import TrainingSetup
from .snapshot import Snapshot, fill, pack, unpack
from .spikes import Spikes

__all__ = ["BestWeights", "Clock", "RecoveryRecord", "TrainingState"]

EXPLODED = 1e9  # times the size of the objective at the first step


@dataclass
class Clock:
    """Seconds spent on training.

    Attributes:
        before: seconds before the training was resumed.
        began: when it began, or was resumed.
    """

    before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds so far, those before a resumption included."""
        return self.before + time.monotonic() - self.began


@dataclass
class BestWeights:
    """The best weights so far by the validation bound.

    Attributes:
        bound: the bound, or the objective where there is no bound.
        epoch: after which it was measured; 0 before the first.
        tensors: copies of parameters and buffers by name; None where they are not kept.
        average: copies of the averaged weights.
    """

    bound: float = -math.inf
    epoch: int = 0
    tensors: dict[str, Tensor] | None = None
    average: list[Tensor] = field(default_factory=list)


@dataclass
class RecoveryRecord:
    """The recoveries of a training so far; returning to an earlier state leaves it unchanged.

    Attributes:
        count: the number of recoveries.
        step: the step from which the last one continued.
        factor: multiplies all learning rates.
        rows: training rows that were bad at every fault; None before the first.
    """

    count: int = 0
    step: int = 0
    factor: float = 1.0
    rows: list[int] | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> RecoveryRecord:
        """Read the record of a snapshot; states of older versions have none, or one without a step."""
        recovered = facts.get("recovered") or {}
        return cls(**{f.name: recovered[f.name] for f in fields(cls) if f.name in recovered})


@dataclass
class TrainingState:
    """The state of one training; `index` batches of epoch `epoch` are done, after `step` steps.

    Attributes:
        module: model and guide, with parameters and buffers.
        players: whose parameters are trained.
        critics: parameters that players train and neither model nor guide holds, by number.
        optimizers: one per player; None for a closed-form step.
        average: averaged weights, if any.
        spikes: running averages of gradient norms, if spikes are clipped.
        noise: the random stream of this epoch.
        monitored: tensors that must be finite, by name: all that are trained, and all that were finite at the start.
        measures: running averages of this epoch.
        previous: the objective of the epoch before.
        best: the best weights by the validation bound.
        ended: why training ended; None while it has not.
        initial_size: mean |objective| at the first step; None before it.
        recovery: the recoveries so far.
        threads: the number of threads, and its changes so far; as the recoveries, unchanged by a return.
        history: epochs that are complete, and recoveries.
        clock: seconds spent.
        processes: that train together; the state is the same in all of them.
    """

    module: nn.ModuleDict
    players: Sequence[Player]
    critics: dict[str, Tensor]
    optimizers: list[torch.optim.Optimizer | None]
    average: Average | None
    spikes: Spikes | None
    noise: torch.Generator
    monitored: dict[str, Tensor]
    step: int = 0
    epoch: int = 1
    index: int = 0
    measures: RunningMeasures = field(default_factory=RunningMeasures)
    previous: float = -math.inf
    best: BestWeights = field(default_factory=BestWeights)
    ended: str | None = None
    initial_size: float | None = None
    recovery: RecoveryRecord = field(default_factory=RecoveryRecord)
    threads: ThreadRecord = field(default_factory=ThreadRecord)
    history: History = field(default_factory=History)
    clock: Clock = field(default_factory=Clock)
    processes: Processes = ALONE

    @classmethod
    def initial(cls, setup: TrainingSetup) -> TrainingState:
        """Return the state before the first step, with fresh optimisers."""
        plan, players, device = setup.plan, setup.players, setup.data.device
        module = joined(setup.model, setup.guide)
        trained = list(dict.fromkeys(p for player in players for p in player.trained))
        inside, learned = {id(p) for p in module.parameters()}, {id(p) for p in trained}
        critics: dict[str, Tensor] = {str(i): p for i, p in enumerate(p for p in trained if id(p) not in inside)}
        tensors = {**named_tensors(module), **{f"player/{name}": tensor for name, tensor in critics.items()}}
        return cls(
            module=module,
            players=players,
            critics=critics,
            optimizers=[None if p.closed else p.optimizer(p.trained) for p in players],
            average=None if plan.average is None else Average(trained, plan.average),
            spikes=None if plan.spikes is None else Spikes(plan.spikes, len(players), device),
            noise=stream(plan.seed, "noise:1", device),
            # what is not trained may hold infinities on purpose, as a mask does
            monitored={name: t for name, t in tensors.items() if id(t) in learned or is_finite(t)},
            measures=RunningMeasures(processes=plan.processes),
            processes=plan.processes,
        )

    @cached_property
    def ramps(self) -> list[Ramp]:
        """The weights of all objectives that change along training."""
        return [ramp for player in self.players for ramp in player.objective.ramps]

    @property
    def exploded_below(self) -> float:
        """The objective below which training has exploded: no training that works comes near it."""
        return -math.inf if self.initial_size is None else -EXPLODED * (self.initial_size + 1.0)

    def begin_epoch(self, epoch: int, seed: int, device: torch.device) -> None:
        """Move to the start of an epoch, with fresh noise."""
        self.epoch, self.index, self.measures = epoch, 0, RunningMeasures(processes=self.processes)
        self.noise = stream(seed, f"noise:{epoch}", device)

    def advance_ramps(self, step: int) -> None:
        """Set all ramps to their values at a step."""
        for ramp in self.ramps:
            ramp.advance(step)

    def finite_required(self) -> dict[str, Tensor]:
        """Return all tensors that must be finite, by name: parameters, buffers, critics and the optimisers' own."""
        tensors = dict(self.monitored)
        names = {id(tensor): name for name, tensor in tensors.items()}
        for optimizer in self.optimizers:
            for parameter, own in () if optimizer is None else optimizer.state.items():
                name = names[id(parameter)]
                tensors |= {f"{name} ({key})": value for key, value in own.items() if isinstance(value, Tensor)}
        return tensors

    # --- best weights ---

    def keep_best(self) -> None:
        """Copy the present weights: they are the best so far."""
        self.best.tensors = {k: v.detach().clone() for k, v in named_tensors(self.module).items()}
        if self.average is not None:
            self.best.average = [v.clone() for v in self.average.values]

    def load_best(self) -> None:
        """Put the best weights in the place of the present ones, where they were kept."""
        if self.best.tensors is None:
            return
        fill(named_tensors(self.module), self.best.tensors, "")
        if self.average is not None:
            self.average.values = self.best.average

    # --- snapshots ---

    def snapshot(self) -> Snapshot:
        """Return all of it as named tensors, which are the training's own, and JSON-serialisable facts."""
        tensors = {f"module/{k}": t.detach() for k, t in named_tensors(self.module).items()}
        tensors |= {f"best/{k}": t for k, t in (self.best.tensors or {}).items()}
        tensors |= {f"player/{k}": t.detach() for k, t in self.critics.items()}
        tensors |= {} if self.spikes is None else {f"spikes/{k}": t for k, t in self.spikes.tensors.items()}
        if self.average is not None:
            tensors |= {f"average/{i}": t for i, t in enumerate(self.average.values)}
            tensors |= {f"best average/{i}": t for i, t in enumerate(self.best.average)}
        optimizers = [None if o is None else o.state_dict() for o in self.optimizers]
        facts = {
            "epoch": self.epoch,
            "index": self.index,
            "step": self.step,
            "seconds": self.clock.seconds,
            "ended": self.ended,
            "previous": _plain(self.previous),
            "best": _plain(self.best.bound),
            "best_epoch": self.best.epoch,
            "averaged": 0 if self.average is None else self.average.steps,
            "tally": self.measures.to_list(),
            "first": self.initial_size,
            "recovered": asdict(self.recovery),
            "threads": asdict(self.threads),
            "optimizers": pack(optimizers, "optimizer", tensors),
        }
        tensors["noise"] = self.noise.get_state()
        return Snapshot(tensors, facts)

    def copy(self) -> Snapshot:
        """Return a snapshot with tensors of its own; the best weights are never overwritten, and are not copied."""
        snapshot = self.snapshot()
        own = {k: t if k.startswith("best") else t.detach().clone() for k, t in snapshot.tensors.items()}
        return Snapshot(own, snapshot.facts)

    def restore(self, snapshot: Snapshot, epochs: Sequence[EpochEnded]) -> None:
        """Continue from a snapshot.

        Args:
            snapshot: of this training.
            epochs: the events of the epochs that were complete.

        Raises:
            CorruptRunError: it is of another model.
        """
        self._load(snapshot)
        self.clock.before = snapshot.facts["seconds"]
        self.initial_size = snapshot.facts.get("first")
        self.recovery = RecoveryRecord.of(snapshot.facts)
        self.threads = ThreadRecord(**snapshot.facts.get("threads") or {})
        self.history.epochs = list(epochs)

    def rewind(self, snapshot: Snapshot) -> None:
        """Return to a snapshot of this process; clock, history, and the record of recoveries stay as they are."""
        self._load(snapshot)
        for tensor in self.finite_required().values():
            tensor.grad = None

    def has_parameters_of(self, snapshot: Snapshot) -> bool:
        """Return whether parameters and buffers are those of a snapshot, to the bit."""
        mine = {f"module/{name}": tensor.detach() for name, tensor in named_tensors(self.module).items()}
        return all(torch.equal(tensor, snapshot.tensors[name]) for name, tensor in mine.items())

    def _load(self, snapshot: Snapshot) -> None:
        tensors, facts = snapshot.tensors, snapshot.facts
        fill(named_tensors(self.module), tensors, "module/")
        fill(self.critics, tensors, "player/")
        if self.spikes is not None:
            fill(self.spikes.tensors, tensors, "spikes/")
        best = {k.removeprefix("best/"): t.clone() for k, t in tensors.items() if k.startswith("best/")}
        bound, self.previous = (float("-inf" if facts[k] is None else facts[k]) for k in ("best", "previous"))
        self.best = BestWeights(bound, facts["best_epoch"], best or None, self.best.average)
        if self.average is not None:
            fill({str(i): t for i, t in enumerate(self.average.values)}, tensors, "average/")
            self.average.steps = facts["averaged"]
            kept = range(len(self.average.values) if best else 0)
            self.best.average = [tensors[f"best average/{i}"].clone() for i in kept]
        for optimizer, own in zip(self.optimizers, unpack(facts["optimizers"], tensors), strict=True):
            if optimizer is not None:
                optimizer.load_state_dict(own)
        self.epoch, self.index, self.step = facts["epoch"], facts["index"], facts["step"]
        self.measures = RunningMeasures.from_list(facts["tally"], self.processes)
        self.noise.set_state(tensors["noise"].cpu())
        self.advance_ramps(max(self.step - 1, 0))  # as the last step left them: its epoch may still be measured


def _plain(value: float) -> float | str:
    """Return a number as JSON has it; infinities and NaN as words."""
    return value if math.isfinite(value) else str(value)
