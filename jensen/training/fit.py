"""The training loop: permutation and index_select on the device, no DataLoader, no wrapper between step and step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core.batch import Batch, Rows
from ..core.errors import NumericalError
from ..core.precision import matmul_precision, resolve_precision
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import likelihood_weight, rate_weight
from .averages import Average
from .events import EpochEnded, Event, Measures, Progressed, Started, Stopped
from .history import History
from .optimizers import schedule_factor
from .plan import Budget, Plan
from .players import Player
from .snapshot import Snapshot, fill, named_tensors, pack, unpack
from .spikes import Spikes
from .tally import Tally
from .watch import Watch, first_bad

__all__ = ["Fit"]

VALIDATION_CHUNK = 1024


def _since(began: float) -> float:
    """Seconds; never zero, also where the clock is coarse."""
    return max(time.monotonic() - began, 1e-9)


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


class Fit:
    """The state of one call of `Trainer.fit`."""

    def __init__(
        self,
        trainer: Plan,
        model: LatentVariableModel,
        guide: Guide,
        players: list[Player],
        data: Rows,
        budget: Budget,
        valid: Rows | None,
    ) -> None:
        self.trainer, self.model, self.guide, self.players = trainer, model, guide, players
        self.data, self.budget, self.valid = data, budget, valid
        self.batch = min(budget.batch, len(data))
        self.steps_per_epoch = math.ceil(len(data) / self.batch)
        self.lead = self._lead(1)
        self.optimizers = [None if p.closed else p.optimizer(p.trained) for p in players]
        self.rates = [p.optimizer.lr for p in players]
        everything = list(dict.fromkeys(p for player in players for p in player.trained))
        self.average = None if trainer.average is None else Average(everything, trainer.average)
        self.module = nn.ModuleDict({"model": model, "guide": guide})
        self.ramps = [ramp for p in players for ramp in p.objective.ramps]
        self.began, self.glanced = time.monotonic(), time.monotonic()
        self.best, self.best_epoch, self.kept = -math.inf, 0, None
        self.kept_average: list[Tensor] = []
        self.history = History()
        # where it is: `index` batches of epoch `epoch` are done, after `step` steps and `before` earlier seconds
        self.step, self.epoch, self.index, self.before, self.previous = 0, 1, 0, 0.0, -math.inf
        self.ended: str | None = None
        self.tally, self.noise = Tally(), stream(trainer.seed, "noise:1", data.device)
        self.spikes = None if trainer.spikes is None else Spikes(trainer.spikes, len(players), data.device)
        # recoveries so far, since which step, and rows bad at every fault; who looks on; what multiplies rates
        self.recovered, self.recovered_at, self.rows_at_fault, self.watch, self.factor = 0, 0, None, Watch(), 1.0
        self.first: float | None = None  # the size of the objective at the first step
        every = {**named_tensors(self.module), **{f"player/{k}": t for k, t in self.beside().items()}}
        self.steady = {k: t for k, t in every.items() if bool(t.isfinite().all())}  # a mask's buffer may never be

    def _lead(self, epoch: int) -> Player:
        """Whose objective is reported: the first that climbs by steps in this epoch."""
        here = [p for p in self.players if p.climbs_in(epoch, self.budget.epochs)] or self.players
        return next((p for p in here if p.closed is None), here[0])

    def run(self, course: Callable[[], tuple[str, int]] | None = None) -> History:
        """Train to the end.

        Args:
            course: `epochs`, or what calls it and attends to its errors.
        """
        self.module.train()
        self.emit(Started(self.budget.epochs, self.steps_per_epoch, len(self.data)))
        try:
            return self._finish(*(course or self.epochs)())
        except NumericalError:
            done = len(self.history.epochs)
            self.emit(Stopped("failed", done + 1, done, self._seconds()))
            raise

    def _seconds(self) -> float:
        """Spent on training, those before a resumption included."""
        return self.before + time.monotonic() - self.began

    def epochs(self) -> tuple[str, int]:
        """Train to the end; why it ended, and in which epoch."""
        closed = all(p.closed for p in self.players)
        while self.epoch <= self.budget.epochs:
            epoch = self.epoch
            self.lead = self._lead(epoch)
            if closed and self.trainer.should_stop():
                return "interrupted", epoch
            rate = self._epoch(epoch)
            if rate is None:
                return "interrupted", epoch
            ended = self._end_epoch(epoch, self.tally, rate)
            previous, self.previous = self.previous, ended.train.objective
            self.epoch, self.index, self.tally = epoch + 1, 0, Tally()
            self.noise = stream(self.trainer.seed, f"noise:{self.epoch}", self.data.device)
            if closed and self._has_converged(ended.train.objective, previous):
                return "converged", epoch
            if self.budget.patience is not None and epoch - self.best_epoch >= self.budget.patience:
                return "early stopping", epoch
            self.watch.after()
            self._keep()
        return "finished", self.epoch - 1

    def _keep(self, *, last: bool = False) -> None:
        """Have a snapshot kept, if one is due; never one that training could not go on from."""
        keeper = self.trainer.keeper
        if keeper is not None and not self.watch.quiet and (last or keeper.due()):
            self.check_finite()
            keeper.keep(self.snapshot(), last=last)

    def _has_converged(self, objective: float, previous: float) -> bool:
        settled = all(p.closed.settles for p in self.players if p.closed)
        return settled or objective - previous < self.budget.tolerance

    def _epoch(self, epoch: int) -> float | None:
        """The rest of one pass over the data in a fresh order: data per second; None if it was interrupted."""
        device, seed = self.data.device, self.trainer.seed
        tally, noise, already = self.tally, self.noise, self.tally.n
        started, rate = time.monotonic(), 0.0
        for player in self.players if self.index == 0 else ():
            if player.closed and player.climbs_in(epoch, self.budget.epochs):
                player.closed(self.model, self.data)
        if all(p.closed for p in self.players):
            for batch in self.data.batches(VALIDATION_CHUNK, noise):
                self._measure(self.guide, batch, noise, tally)
            return len(self.data) / _since(started)
        order = torch.randperm(len(self.data), generator=stream(seed, f"order:{epoch}")).to(device)
        batches = order.split(self.batch)
        while self.index < len(batches):
            self._step(epoch, self.data.take(batches[self.index], noise), noise, tally)
            self.index += 1
            self.watch.after()
            if self.trainer.should_stop():
                return None
            rate = (tally.n - already) / _since(started)
            self._glance(epoch, tally, rate)
            self._keep()
        return rate

    def rate_factor(self, player: Player, step: int) -> float:
        """What the learning rate of this player is multiplied by: the schedule runs over the epochs it climbs in."""
        first, last = player.span(self.budget.epochs)
        done = (step / self.steps_per_epoch - first) / (last - first)
        return schedule_factor(self.trainer.schedule, min(max(done, 0.0), 1.0)) * self.factor

    def _step(self, epoch: int, batch: Batch, noise: torch.Generator, tally: Tally) -> None:
        for ramp in self.ramps:
            ramp.advance(self.step)
        self.watch.before(epoch, batch, noise)
        for player, optimizer, lr in zip(self.players, self.optimizers, self.rates, strict=True):
            if optimizer is None or not player.climbs_in(epoch, self.budget.epochs):
                continue
            for group in optimizer.param_groups:
                group["lr"] = lr * self.rate_factor(player, self.step)
            for turn in range(player.steps):
                self.climb(player, optimizer, batch, noise, tally if player is self.lead and turn == 0 else None)
        self.step += 1
        if self.average is not None:
            self.average.update()

    def climb(
        self,
        player: Player,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        noise: torch.Generator,
        tally: Tally | None,
    ) -> None:
        """One optimiser step. The closure serves optimisers that look more than once (LBFGS); the first is tallied."""
        pending, exact = [tally], self.guide.is_exact
        # a line search compares looks at one and the same noise
        state = noise.get_state() if isinstance(optimizer, torch.optim.LBFGS) else None

        def closure() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            if state is not None:
                noise.set_state(state)
            draw = player.estimator.draw(self.model, self.guide, batch, noise)
            value = player.estimator.surrogate(player.objective, draw)
            self.watch.valued(player, draw, value)
            loss = -value.mean()
            loss.backward(inputs=None if len(self.players) == 1 else player.trained)
            self.watch.graded(player)
            if self.spikes is not None:
                self.spikes.shorten(self.players.index(player), player.trained)
            if self.trainer.clip is not None:
                nn.utils.clip_grad_norm_(player.trained, self.trainer.clip)
            first = pending.pop() if pending else None
            if first is not None:
                with torch.no_grad():
                    first.add(value, self.trainer.bound_of(self.guide, player.objective, draw), draw, exact)
            return loss

        optimizer.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]

    @torch.no_grad()
    def _measure(self, guide: Guide, batch: Batch, noise: torch.Generator, tally: Tally) -> None:
        player = self.lead
        draw = player.estimator.draw(self.model, guide, batch, noise)
        bound = self.trainer.bound_of(guide, player.objective, draw)
        tally.add(player.objective(draw), bound, draw, guide.is_exact)

    def _measures(self, tally: Tally, shift: float | None = None) -> Measures:
        shift = self.trainer.log_jacobian if shift is None else shift
        return tally.measures(shift, likelihood_weight(self.lead.objective))

    def _validate(self) -> Measures | None:
        if not self.valid:
            return None
        noise = stream(self.trainer.seed, "validation", self.valid.device)
        tally = Tally()
        self.module.eval()
        with matmul_precision(resolve_precision("auto", self.valid.device)):
            for batch in self.valid.batches(VALIDATION_CHUNK, noise):
                self._measure(self.guide.followed, batch, noise, tally)
        self.module.train()
        return self._measures(tally, self.trainer.valid_jacobian)

    def _end_epoch(self, epoch: int, tally: Tally, rate: float) -> EpochEnded:
        train = self._measures(tally)
        self.check_finite()
        self.watch.ended(train)
        if self.average is None:
            valid = self._validate()
        else:
            with self.average.in_place():
                valid = self._validate()
        followed = None if valid is None else (valid.objective if valid.bound is None else valid.bound)
        is_best = followed is not None and followed > self.best
        if followed is not None and is_best:
            self.best, self.best_epoch = followed, epoch
            if self.trainer.keep_best:
                self.kept = self._copy()
        lr = next(lr for p, lr in zip(self.players, self.rates, strict=True) if p is self.lead)
        lr *= self.rate_factor(self.lead, max(self.step - 1, 0))  # of the last step that was made
        seconds = self._seconds()
        left = seconds / epoch * (self.budget.epochs - epoch)
        beta = rate_weight(self.lead.objective)
        spikes = None if self.spikes is None else self.spikes.count
        ended = EpochEnded(epoch, self.step, train, valid, lr, beta, rate, seconds, left, is_best, spikes)
        if not self.watch.quiet:
            self.history.epochs.append(ended)
            self.emit(ended)
        return ended

    def _glance(self, epoch: int, tally: Tally, rate: float) -> None:
        now = time.monotonic()
        if now - self.glanced < 0.25 or self.watch.quiet:
            return
        self.glanced = now
        train = self._measures(tally)
        if not math.isfinite(train.objective + (train.distortion or 0.0)):
            self.check_finite()
        seconds, done = self._seconds(), self.step / (self.steps_per_epoch * self.budget.epochs)
        beta = rate_weight(self.lead.objective)
        self.emit(Progressed(epoch, self.step, train, rate, seconds, seconds * (1 / done - 1), beta))

    def check_finite(self) -> None:
        """Parameters and what optimisers keep are looked at too: the objective of a step tells nothing of what it did.

        Raises:
            NumericalError: something is not finite.
        """
        train, bad = self._measures(self.tally), first_bad(self.numbers())
        if bad is None and math.isfinite(train.objective) and math.isfinite(train.distortion or 0.0):
            return
        where = "the parameters are still finite" if bad is None else f"the first bad parameter is {bad}"
        raise NumericalError(
            f"the objective is {train.objective} at step {self.step}; {where}",
            "Lower --lr, set --clip 10, or look at the data for extreme values.",
        )

    def snapshot(self) -> Snapshot:
        """Where training is between two steps; its tensors are the training's own."""
        tensors = {f"module/{k}": t.detach() for k, t in named_tensors(self.module).items()}
        tensors |= {f"best/{k}": t for k, t in (self.kept or {}).items()}
        tensors |= {f"player/{k}": t.detach() for k, t in self.beside().items()}
        tensors |= {} if self.spikes is None else {f"spikes/{k}": t for k, t in self.spikes.tensors.items()}
        if self.average is not None:
            tensors |= {f"average/{i}": t for i, t in enumerate(self.average.values)}
            tensors |= {f"best average/{i}": t for i, t in enumerate(self.kept_average)}
        recovered = {"count": self.recovered, "step": self.recovered_at, "factor": self.factor}
        facts = {
            "epoch": self.epoch,
            "index": self.index,
            "step": self.step,
            "seconds": self._seconds(),
            "ended": self.ended,
            "previous": _plain(self.previous),
            "best": _plain(self.best),
            "best_epoch": self.best_epoch,
            "averaged": 0 if self.average is None else self.average.steps,
            "tally": self.tally.state(),
            "first": self.first,
            "recovered": {**recovered, "rows": self.rows_at_fault},
            "optimizers": pack([None if o is None else o.state_dict() for o in self.optimizers], "optimizer", tensors),
        }
        tensors["noise"] = self.noise.get_state()
        return Snapshot(tensors, facts)

    def restore(self, kept: Snapshot, epochs: list[EpochEnded]) -> None:
        """Go on from there; the events of the epochs that it has behind it are given.

        Raises:
            CorruptRunError: it is of another model.
        """
        tensors, facts = kept.tensors, kept.facts
        fill(named_tensors(self.module), tensors, "module/")
        fill(self.beside(), tensors, "player/")
        if self.spikes is not None:
            fill(self.spikes.tensors, tensors, "spikes/")
        best = {k.removeprefix("best/"): t.clone() for k, t in tensors.items() if k.startswith("best/")}
        self.kept = best or None
        if self.average is not None:
            fill({str(i): t for i, t in enumerate(self.average.values)}, tensors, "average/")
            self.average.steps = facts["averaged"]
            self.kept_average = [
                tensors[f"best average/{i}"].clone() for i in range(len(self.average.values) if best else 0)
            ]
        for optimizer, state in zip(self.optimizers, unpack(facts["optimizers"], tensors), strict=True):
            if optimizer is not None:
                optimizer.load_state_dict(state)
        self.epoch, self.index, self.step = facts["epoch"], facts["index"], facts["step"]
        self.before, self.best_epoch = facts["seconds"], facts["best_epoch"]
        self.previous, self.best = (float("-inf" if facts[k] is None else facts[k]) for k in ("previous", "best"))
        self.tally = Tally.of(facts["tally"])
        self.first = facts.get("first")
        recovered = {"step": 0, **(facts.get("recovered") or {"count": 0, "factor": 1.0, "rows": None})}  # older states
        self.recovered, self.factor, self.rows_at_fault = (recovered[k] for k in ("count", "factor", "rows"))
        self.recovered_at = recovered["step"]
        self.noise.set_state(tensors["noise"].cpu())
        self.history.epochs = list(epochs)
        for ramp in self.ramps:  # as the last step left them: an epoch that ended with it is yet to be measured
            ramp.advance(max(self.step - 1, 0))

    def beside(self) -> dict[str, Tensor]:
        """What players train that is in neither model nor guide (critics)."""
        inside = {id(p) for p in self.module.parameters()}
        found = [p for player in self.players for p in player.trained if id(p) not in inside]
        return {str(i): p for i, p in enumerate(dict.fromkeys(found))}

    def numbers(self) -> dict[str, Tensor]:
        """All that has to stay finite, by name: parameters, buffers, critics, and what optimisers keep of each."""
        found = dict(self.steady)
        names = {id(t): k for k, t in found.items()}
        for optimizer in self.optimizers:
            for p, state in () if optimizer is None else optimizer.state.items():
                found |= {f"{names[id(p)]} ({k})": t for k, t in state.items() if isinstance(t, Tensor)}
        return found

    def _copy(self) -> dict[str, Tensor]:
        state = {k: v.detach().clone() for k, v in named_tensors(self.module).items()}
        if self.average is not None:
            self.kept_average = [v.clone() for v in self.average.values]
        return state

    def _finish(self, reason: str, epoch: int) -> History:
        self.ended = None if reason == "interrupted" else reason
        self._keep(last=True)
        kept = epoch
        if self.kept is not None:
            fill(named_tensors(self.module), self.kept, "")
            kept = self.best_epoch
            if self.average is not None:
                self.average.values = self.kept_average
        self.module.eval()
        stopped = Stopped(reason, epoch, kept, self._seconds())
        self.history.stopped, self.history.average = stopped, self.average
        self.emit(stopped)
        return self.history

    def emit(self, event: Event) -> None:
        for listener in self.trainer.listeners:
            listener(event)
