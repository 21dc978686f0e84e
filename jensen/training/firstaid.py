"""Numerical first aid: where numbers stop being finite, training goes back, finds the cause, and takes smaller steps.

Good states are copied in memory, at places that the steps alone decide (anchors). Training repeats itself to the bit,
so that from such a copy the same steps lead to the fault again; this time each of them is looked at, and the first bad
one is taken apart. Training then goes on from the last anchor a hundred steps before it, or from the start, at half
its learning rates: at most three times, and not at all where the anchor's own parameters meet the fault on this batch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from ..errors import JensenError, NumericalError
from .events import Diagnosed, Finding, Recovered
from .fit import Fit
from .forensics import Microscope, Seen, extremes
from .snapshot import Snapshot
from .watch import Watch, first_bad

__all__ = ["APART", "MOST", "FirstAid"]

MOST = 3  # recoveries of one training
FACTOR = 0.5  # of all learning rates, at each
APART = 100  # steps between anchors, and from a fault back to one: what explodes takes some steps to overflow
WITHIN = 1000  # steps between anchors within a long epoch
SHARE = 0.01  # of the time that training takes, for copies, at most
GROWN = 100.0  # times the largest parameter of a good state: steps were too large


@dataclass
class _Live(Watch):
    """Copies good states as training passes them; two are held, so that one lies well before any fault to come."""

    fit: Fit
    copies: list[Snapshot] = field(default_factory=list)
    cost: float = 0.0
    copied: float = 0.0

    def after(self) -> None:
        if not _is_anchor(self.fit) or self.fit.step - self.copies[-1].facts["step"] < APART:
            return
        if time.monotonic() - self.copied >= self.cost / SHARE:
            self.fit.check_finite()
            self.copy()

    def copy(self) -> None:
        began = time.monotonic()
        self.copies = [*self.copies[-1:], _copied(self.fit)]
        self.copied = time.monotonic()
        self.cost = self.copied - began


class _Found(Exception):
    """The first bad step has been made, or there is none."""


@dataclass
class _Search(Watch):
    """Looks at everything after every step, and keeps the anchors on the way.

    Attributes:
        limit: steps behind which the fault must have shown.
        anchors: that may be gone back to.
    """

    fit: Fit
    limit: int
    anchors: list[Snapshot]
    seen: bool = False

    quiet = True

    def before(self, epoch: int, batch: Any, noise: torch.Generator) -> None:
        if self.fit.step > self.limit:
            raise _Found

    def after(self) -> None:
        try:
            self.fit.check_finite()
        except NumericalError as error:
            self.seen = True
            raise _Found from error
        if _is_anchor(self.fit) and self.fit.step > self.anchors[-1].facts["step"]:
            far = [a for a in self.anchors if a.facts["step"] <= self.fit.step - APART]
            self.anchors = [*far[-1:], *self.anchors[len(far) :], _copied(self.fit)]

    def before_fault(self, step: int) -> Snapshot:
        """The anchor to go back to from a fault at this step, counted from 1."""
        return next((a for a in reversed(self.anchors) if a.facts["step"] <= step - APART), self.anchors[0])


def _is_anchor(fit: Fit) -> bool:
    """Whether this place between two steps is one to go back to: the same in every repetition."""
    if fit.index:
        return fit.index % WITHIN == 0 and fit.index < fit.steps_per_epoch
    return fit.step // APART > (fit.step - fit.steps_per_epoch) // APART


def _copied(fit: Fit) -> Snapshot:
    """The present state; the best weights are never written over, and need no copy."""
    kept = fit.snapshot()
    own = {k: t if k.startswith("best") else t.detach().clone() for k, t in kept.tensors.items()}
    return Snapshot(own, kept.facts)


class FirstAid:
    """Attends to one training.

    Args:
        fit: the training.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit, self.live = fit, _Live(fit)

    def course(self) -> tuple[str, int]:
        """`fit.epochs()`, with recoveries.

        Raises:
            NumericalError: what is wrong cannot be mended, or not by smaller steps; it names the culprit.
        """
        fit = self.fit
        fit.watch = self.live
        fit.check_finite()
        self.live.copy()
        while True:
            try:
                ended = fit.epochs()
                if ended[0] == "interrupted" and not self._sound():
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
        clock, told, count = (fit.before, fit.began), fit.history.epochs, (fit.recovered, fit.factor, fit.rows_at_fault)
        fit.restore(state, told)
        fit.before, fit.began = clock
        fit.recovered, fit.factor, fit.rows_at_fault = count
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
        search = _Search(fit, fit.step, self.live.copies[:1])
        ended, step = self._repeat(search, error)
        if ended is not None:
            return ended
        good = search.before_fault(step)
        scope, ended = self._look(search, step)
        if ended is not None:
            return ended
        if scope.found_in == "nowhere" and not isinstance(error, NumericalError):
            raise error
        finding = self._finding(scope, good, step)
        again = None if fit.rows_at_fault is None else sorted({*fit.rows_at_fault} & {*finding.rows})
        fit.rows_at_fault = list(finding.rows) if again is None else again
        if fit.recovered == MOST or finding.hopeless:
            self._give_up(finding, error)
        self._go_on(finding, good)
        return None

    def _repeat(self, search: _Search, error: Exception) -> tuple[tuple[str, int] | None, int]:
        """The same steps again, up to the first bad one: how they were interrupted, and its number."""
        fit = self.fit
        self._back_to(search.anchors[0])
        fit.watch = search
        try:
            ended = fit.epochs()
        except _Found:
            return None, fit.step
        except (NumericalError, RuntimeError, ValueError) as again:
            if type(again) is not type(error):
                raise
            return None, fit.step + 1
        finally:
            fit.watch = self.live
        return (self._stopped(ended), 0) if ended[0] == "interrupted" else (None, fit.step)

    def _stopped(self, ended: tuple[str, int]) -> tuple[str, int]:
        """Interrupted on the way: what was told of later epochs is told again by who resumes it."""
        self.fit.history.epochs = [e for e in self.fit.history.epochs if e.epoch < self.fit.epoch]
        return ended

    def _scope(self, step: int | None, *, alone: bool = False) -> Microscope:
        fit = self.fit
        modules = {k: m for k, m in fit.module.named_modules() if k}
        return Microscope(modules, fit.numbers, step, lambda: fit.step, alone)

    def _look(self, search: _Search, step: int) -> tuple[Microscope, tuple[str, int] | None]:
        """Into the first bad step; training is left in disorder."""
        fit = self.fit
        self._back_to(next(a for a in reversed(search.anchors) if a.facts["step"] < max(step, 1)))
        scope = self._scope(step - 1)
        fit.watch, ended = scope, ("", 0)
        try:
            with scope.looking():
                ended = fit.epochs()
        except Seen:
            pass
        except (NumericalError, RuntimeError, ValueError):
            _blame_tensor(scope)
        finally:
            fit.watch = self.live
        return scope, self._stopped(ended) if ended[0] == "interrupted" else None

    def _at(self, good: Snapshot, scope: Microscope) -> Microscope:
        """The same batch at the good state: what is bad there is not for the steps in between."""
        fit, again = self.fit, self._scope(None, alone=True)
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
        except Seen:
            pass
        except (NumericalError, RuntimeError, ValueError):
            _blame_tensor(again)
        finally:
            fit.watch = self.live
        self._back_to(good)
        return again

    def _finding(self, scope: Microscope, good: Snapshot, step: int) -> Finding:
        """What was seen, and what to make of it."""
        fit, batch = self.fit, scope.batch
        first = self._at(good, scope)
        numbers = [] if batch is None or batch.index is None else batch.index.tolist()
        x = None if batch is None else batch.x if batch.mask is None else torch.where(batch.mask, batch.x, 0.0)
        unread = [] if x is None else (~x.isfinite().all(-1)).nonzero().flatten().tolist()
        rows = unread or scope.rows
        culprit = _culprit(scope, first, unread, 0 if batch is None else len(batch))
        rates = tuple(lr * fit.rate_factor(p, max(step - 1, 0)) for p, lr in zip(fit.players, fit.rates, strict=True))
        hopeless = bool(unread) or first.found_in in ("forward", "backward")
        told = "forward" if scope.found_in == "nowhere" and unread else scope.found_in
        found = Finding(
            number=fit.recovered + 1,
            step=step,
            epoch=scope.epoch,
            found_in="data" if unread else told,
            culprit=culprit,
            hopeless=hopeless,
            what="",
            player=str((scope.player or fit.lead).objective),
            learning_rates=rates,
            terms=tuple(dict.fromkeys(scope.terms)),
            part=scope.part,
            tensor=scope.tensor,
            parameter=scope.parameter,
            gradient=scope.gradient,
            largest=_sizes(scope, first),
            batch=tuple(numbers),
            rows=tuple(numbers[i] for i in rows) if numbers else (),
            features=tuple(scope.features),
            values=() if x is None or batch is None or not numbers else extremes(batch.x, rows, numbers),
            back_to=good.facts["step"],
        )
        return _worded(found)

    def _go_on(self, finding: Finding, good: Snapshot) -> None:
        """From the good state, with smaller steps."""
        fit = self.fit
        self._back_to(good)
        fit.recovered, fit.factor = fit.recovered + 1, fit.factor * FACTOR
        epoch, step = good.facts["epoch"], good.facts["step"]
        fit.history.epochs = [e for e in fit.history.epochs if e.epoch < epoch]
        self.live.copies = []
        self.live.copy()
        if fit.trainer.keeper is not None:  # before the epochs that are void are taken back: a state has them behind it
            fit.trainer.keeper.keep(fit.snapshot())
        event = Recovered(epoch, step, finding.step, fit.recovered, fit.factor, finding.what)
        fit.history.recoveries.append(event)
        fit.emit(Diagnosed(finding))
        fit.emit(event)

    def _give_up(self, finding: Finding, error: Exception) -> None:
        """Leave the last good parameters behind, and say what is wrong."""
        fit, rows = self.fit, self.fit.rows_at_fault
        if not finding.hopeless and finding.culprit != "rate" and rows and len(rows) < len(finding.batch):
            finding = _worded(replace(finding, culprit="row", rows=tuple(rows)))  # the same ones at every fault
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


REMEDIES = {
    "row": "Look at the data for extreme values, or leave such rows out.",
    "part": "Mend that part: keep what it takes a logarithm or a root of, or divides by, away from zero.",
    "rate": "Lower --lr, set --clip 10, or look at the data for extreme values.",
    "unknown": "Lower --lr, set --clip 10, or look at the data for extreme values.",
}


def _blame_tensor(scope: Microscope) -> None:
    """A part raised an error of its own: what it was given tells whether numbers were the reason."""
    if scope.armed and scope.tensor is not None:
        scope.found_in, scope.rows = "forward", scope.rows or scope.tensor["rows"]


def _culprit(
    scope: Microscope, first: Microscope, unread: list[int], b: int
) -> Literal["row", "part", "rate", "unknown"]:
    """Bad data; else what is bad at good parameters too, rows if some; else the steps, if parameters have grown."""
    if unread:
        return "row"
    if first.found_in in ("forward", "backward"):
        return "row" if 0 < len(first.rows) < b else "part"
    if scope.found_in in ("nowhere", "closed form"):
        return "unknown"
    grown = scope.largest is not None and first.largest is not None and scope.largest[1] > GROWN * first.largest[1]
    return "rate" if grown or scope.found_in == "update" else "part"


def _sizes(scope: Microscope, first: Microscope) -> dict[str, Any] | None:
    if scope.largest is None:
        return None
    before = None if first.largest is None else f"{first.largest[1]:.6g}"
    return {"parameter": scope.largest[0], "size": f"{scope.largest[1]:.6g}", "size_before": before}


def _worded(f: Finding) -> Finding:
    """The same with its sentence."""
    where = f"step {f.step} (epoch {f.epoch})"
    few = ", ".join(str(i) for i in f.rows[:5]) + (", ..." if len(f.rows) > 5 else "")
    which = f"training row{'s' if len(f.rows) > 1 else ''} {few}" if f.rows else "some row"
    terms = f.terms[0] if f.terms else "the objective"
    by = f" by {f.part}" if f.part else ""
    at = f", first in {f.tensor['module']} ({f.tensor['class']})" if f.tensor else ""
    if f.found_in == "nowhere":
        what = f"numbers stopped being finite by {where}, but not when the same steps were made again"
    elif f.found_in == "data":
        what = f"{which} has entries that are not finite, met at {where}"
    elif f.found_in == "closed form":
        what = f"a closed form before {where} made {f.parameter} not finite"
    elif f.found_in == "update":
        what = f"{where} was too large: from finite gradients, the first bad parameter is {f.parameter}"
    elif f.found_in == "backward":
        what = f"the gradient of {f.gradient} is not finite at {where}{at}"
    else:
        what = f"{terms}{by} is not finite at {where}{at}"
    if f.found_in in ("forward", "backward"):
        what += f"; {which}" if f.culprit == "row" else ""
        what += " at parameters that score other rows" if f.culprit == "row" and f.hopeless else ""
        what += "; whatever the steps" if f.culprit == "part" and f.hopeless else ""
    if f.culprit == "rate" and f.found_in != "update" and f.largest is not None:
        what += f"; {f.largest['parameter']} had grown to {f.largest['size']} from {f.largest['size_before']}"
    rates = ", ".join(f"{lr:.3g}" for lr in f.learning_rates)
    what += f"; the learning rate was {rates}" if f.culprit in ("rate", "unknown") else ""
    return replace(f, what=what)
