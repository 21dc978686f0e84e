"""Numerical first aid: where numbers stop being finite, training goes back, finds the cause, and takes smaller steps.

Good states are copied in memory, at places that the steps alone decide (anchors). Training repeats itself to the bit,
so that from such a copy the same steps lead to the fault again; this time each of them is looked at, and the first bad
one is taken apart. Training then goes on from the last anchor a hundred steps before it, or from the start, at half
its learning rates: at most three times, and not at all where the anchor's own parameters meet the fault on this batch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch

from ..core.errors import JensenError, NumericalError
from .earlier import older
from .events import Diagnosed, Finding, Recovered
from .fit import Fit
from .forensics import FaultInspector, InspectionDone, extremes, outliers
from .search import AnchorKeeper, Found, Search, last_anchor, limit_of
from .snapshot import Snapshot
from .verdict import REMEDIES, judged, worded
from .watch import first_bad

__all__ = ["MOST", "FirstAid"]

MOST = 3  # recoveries of one training
FACTOR = 0.5  # of all learning rates, at each


class FirstAid:
    """Attends to one training.

    Args:
        fit: the training.
        first: the state that it began with, where it is resumed from a later one.
    """

    def __init__(self, fit: Fit, first: Snapshot | None = None) -> None:
        self.fit, self.live, self.first = fit, AnchorKeeper(fit), first
        self.given: Snapshot | None = None

    def course(self) -> tuple[str, int]:
        """`fit.epochs()`, with recoveries.

        Raises:
            NumericalError: what is wrong cannot be mended, or not by smaller steps; it names the culprit.
        """
        fit = self.fit
        fit.watch = self.live
        fit.check_finite()
        self.live.copy()
        self.given = None if self.first is None else self.live.copies[0]
        while True:
            try:
                ended = fit.epochs()
                if ended[0] != "interrupted":
                    fit.check_finite()
                elif not self._sound():
                    self._back_to(self.live.copies[-1])  # the fault will show again when it is resumed
                return ended
            except (NumericalError, RuntimeError, ValueError) as error:
                if isinstance(error, torch.OutOfMemoryError) or (
                    isinstance(error, JensenError) and not isinstance(error, NumericalError)
                ):
                    raise
                ended = self._recover(error)
            if ended is not None:
                return ended

    def _sound(self) -> bool:
        try:
            self.fit.check_finite()
        except NumericalError:
            return False
        return True

    def _back_to(self, state: Snapshot) -> None:
        """Training is at this state again; the clock and what has been told stay as they are."""
        fit = self.fit
        known = fit.before, fit.began, fit.first, fit.recovered, fit.factor, fit.rows_at_fault, fit.recovered_at
        fit.restore(state, fit.history.epochs)
        fit.before, fit.began, fit.first, fit.recovered, fit.factor, fit.rows_at_fault, fit.recovered_at = known
        for tensor in fit.numbers().values():
            tensor.grad = None

    # ------------------------------------------------------------ a fault

    def _recover(self, error: Exception) -> tuple[str, int] | None:
        """Find the cause and go back; how training ended, if it was interrupted meanwhile.

        Raises:
            NumericalError: it is of no use to go on.
        """
        fit = self.fit
        if all(p.closed for p in fit.players):
            self._closed(error)
        search = Search(fit, fit.step, self.live.copies[:1], fit.epoch - 1 if self.live.exploded else None)
        self.live.exploded = False
        ended, step = self._repeat(search, error)
        if ended is None and (earlier := self._earlier(search, step)) is not None:
            search, ended, step = self._again(search, earlier, step, error)
        if ended is not None:
            return ended
        good = search.before_fault(step)
        scope, ended = self._look(search, step)
        if ended is not None:
            return ended
        if scope.found_in == "nowhere" and not isinstance(error, NumericalError):
            raise error
        finding = self._finding(scope, search, good, step)
        again = None if fit.rows_at_fault is None else sorted({*fit.rows_at_fault} & {*finding.rows})
        fit.rows_at_fault = list(finding.rows) if again is None else again
        if fit.recovered == MOST or finding.hopeless:
            self._give_up(finding, error)
        self._go_on(finding, good)
        return None

    def _repeat(self, search: Search, error: Exception) -> tuple[tuple[str, int] | None, int]:
        """The same steps again, up to the first bad one: how they were interrupted, and its number."""
        fit = self.fit
        self._back_to(search.anchors[0])
        fit.watch = search
        try:
            ended = fit.epochs()
        except Found:
            return None, fit.step
        except (NumericalError, RuntimeError, ValueError) as again:
            if type(again) is not type(error):
                raise
            return None, fit.step + 1
        finally:
            fit.watch = self.live
        return (self._stopped(ended), 0) if ended[0] == "interrupted" else (None, fit.step)

    def _earlier(self, search: Search, step: int) -> Snapshot | None:
        """An older state than the one that training was resumed from, where a fault so soon needs one."""
        fit = self.fit
        if self.first is None or self.given is None or search.anchors[0] is not self.given:
            return None
        place = max(last_anchor(fit, step), fit.recovered_at)
        if place >= self.given.facts["step"]:
            return None
        keeper = fit.trainer.keeper
        return older([self.first, *(() if keeper is None else keeper.earlier())], fit, self.given, place)

    def _again(
        self, search: Search, earlier: Snapshot, step: int, error: Exception
    ) -> tuple[Search, tuple[str, int] | None, int]:
        """The search from an older state on, if the same steps lead from it to the state that was given.

        They do not where training was asked for otherwise then: for fewer epochs, say.
        """
        check = replace(search, anchors=[earlier], exploded=None, through=self.given)
        ended, _ = self._repeat(check, error)
        if check.reached:
            search = replace(search, anchors=[earlier], jump=None, size=math.inf, last=None)
            ended, step = self._repeat(search, error)
        if ended is not None and self.given is not None:
            self._back_to(self.given)  # which can be resumed as well
            ended = ended[0], self.fit.epoch
        return search, ended, step

    def _stopped(self, ended: tuple[str, int]) -> tuple[str, int]:
        """Interrupted on the way: what was told of later epochs is told again by who resumes it."""
        self.fit.history.epochs = [e for e in self.fit.history.epochs if e.epoch < self.fit.epoch]
        return ended

    def _scope(self, step: int | None, *, alone: bool = False, limit: float = math.inf) -> FaultInspector:
        fit = self.fit
        modules = {k: m for k, m in fit.module.named_modules() if k}
        return FaultInspector(modules, fit.numbers, step, lambda: fit.step, alone, limit)

    def _look(self, search: Search, step: int) -> tuple[FaultInspector, tuple[str, int] | None]:
        """Into the first bad step; training is left in disorder."""
        fit = self.fit
        self._back_to(next(a for a in reversed(search.anchors) if a.facts["step"] < max(step, 1)))
        scope = self._scope(step - 1, limit=math.inf if search.exploded is None else limit_of(fit))
        fit.watch, ended = scope, ("", 0)
        try:
            with scope.looking():
                ended = fit.epochs()
        except InspectionDone:
            pass
        except (NumericalError, RuntimeError, ValueError):
            _blame_tensor(scope)
        finally:
            fit.watch = self.live
        return scope, self._stopped(ended) if ended[0] == "interrupted" else None

    def _at(self, good: Snapshot, scope: FaultInspector) -> FaultInspector:
        """The same batch at the good state: what is bad there is not for the steps in between."""
        fit, again = self.fit, self._scope(None, alone=True, limit=scope.limit)
        self._back_to(good)
        player = scope.player or fit.lead
        optimizer = fit.optimizers[fit.players.index(player)]
        if scope.batch is None or scope.noise is None or optimizer is None:
            return again
        for ramp in fit.ramps:
            ramp.advance(max(scope.done() - 1, 0) if scope.step is None else scope.step)
        noise = torch.Generator(fit.data.device)
        noise.set_state(scope.noise)
        fit.watch = again
        try:
            with again.looking():
                again.before(scope.epoch, scope.batch, noise)
                fit.climb(player, optimizer, scope.batch, noise, None)
        except InspectionDone:
            pass
        except (NumericalError, RuntimeError, ValueError):
            _blame_tensor(again)
        finally:
            fit.watch = self.live
        self._back_to(good)
        return again

    def _finding(self, scope: FaultInspector, search: Search, good: Snapshot, step: int) -> Finding:
        """What was seen, and what to make of it."""
        fit, batch = self.fit, scope.batch
        pairs = zip(fit.players, fit.rates, strict=True)
        found = Finding(
            number=fit.recovered + 1,
            step=step,
            epoch=scope.epoch,
            found_in=scope.found_in,
            culprit="unknown",
            hopeless=False,
            what="",
            player=str((scope.player or fit.lead).objective),
            learning_rates=tuple(lr * fit.rate_factor(p, max(step - 1, 0)) for p, lr in pairs),
            terms=tuple(dict.fromkeys(scope.terms)),
            part=scope.part,
            tensor=scope.tensor,
            parameter=scope.parameter,
            gradient=scope.gradient,
            batch=() if batch is None or batch.index is None else tuple(batch.index.tolist()),
            features=tuple(scope.features),
            back_to=good.facts["step"],
        )
        jump = search.jump
        jump = None if jump is None or jump.step <= good.facts["step"] else jump
        found = judged(scope, self._at(good, scope), jump, found)
        if found.culprit == "part" and found.found_in == "update":  # at good parameters: by what, if not the data
            rows = outliers(fit.data.stored)
            values = extremes(fit.data.stored, rows, list(range(len(fit.data))))
            found = worded(replace(found, culprit="row", rows=tuple(rows), values=values)) if rows else found
        return found

    def _go_on(self, finding: Finding, good: Snapshot) -> None:
        """From the good state, with smaller steps."""
        fit = self.fit
        fit.emit(Diagnosed(finding))
        self._back_to(good)
        fit.recovered, fit.factor = fit.recovered + 1, fit.factor * FACTOR
        epoch, step = good.facts["epoch"], good.facts["step"]
        fit.recovered_at = step
        fit.history.epochs = [e for e in fit.history.epochs if e.epoch < epoch]
        self.live.copies = []
        self.live.copy()
        if fit.trainer.keeper is not None:  # before the epochs that are void are taken back: a state has them behind it
            fit.trainer.keeper.keep(fit.snapshot())
        event = Recovered(epoch, step, finding.step, fit.recovered, fit.factor, finding.what)
        fit.history.recoveries.append(event)
        fit.emit(event)

    def _give_up(self, finding: Finding, error: Exception) -> None:
        """Leave the last good parameters behind, and say what is wrong."""
        fit, rows = self.fit, self.fit.rows_at_fault
        if not finding.hopeless and finding.culprit != "rate" and rows and len(rows) < len(finding.batch):
            finding = worded(replace(finding, culprit="row", rows=tuple(rows)))  # the same ones at every fault
        finding = replace(finding, back_to=None)
        fit.emit(Diagnosed(finding))
        tried = f" after {fit.recovered} recoveries" if fit.recovered else ""
        raise NumericalError(f"{finding.what}{tried}", REMEDIES[finding.culprit]) from error

    def _closed(self, error: Exception) -> None:
        """There are no steps that could be smaller."""
        fit = self.fit
        if not isinstance(error, NumericalError):
            raise error
        bad = first_bad(fit.numbers())
        rows = (~fit.data.stored.isfinite().all(-1)).nonzero().flatten().tolist()
        culprit: Literal["row", "unknown"] = "row" if rows else "unknown"
        finding = Finding(
            *(1, 0, fit.epoch, "closed form", culprit, True, error.what, str(fit.lead.objective)),
            parameter=bad,
            rows=tuple(rows),
            values=extremes(fit.data.stored, rows, list(range(len(fit.data)))),
        )
        fit.emit(Diagnosed(finding))
        raise error


def _blame_tensor(scope: FaultInspector) -> None:
    """A part raised an error of its own: what it was given tells whether numbers were the reason."""
    if scope.armed and scope.tensor is not None:
        scope.found_in, scope.rows = "forward", scope.rows or scope.tensor["rows"]
