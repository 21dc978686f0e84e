"""What to make of a fault that was seen: the culprit, in words, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from .events import Finding
from .forensics import FaultInspector, dominant, extremes

__all__ = ["GROWN", "REMEDIES", "Jump", "judged", "worded"]

Culprit = Literal["row", "part", "rate", "unknown"]

GROWN = 100.0  # times the largest parameter of a good state: steps were too large

REMEDIES = {
    "row": "Look at the data for extreme values, or leave such rows out.",
    "part": "Mend that part: keep what it takes a logarithm or a root of, or divides by, away from zero.",
    "rate": "Lower --lr, set --clip 10, or look at the data for extreme values.",
    "unknown": "Lower --lr, set --clip 10, or look at the data for extreme values.",
}


@dataclass(frozen=True)
class Jump:
    """A single step by which the largest parameter grew a hundredfold.

    Attributes:
        step: counted from 1.
        before, after: sizes of the largest parameter.
        rows: training rows that decided alone where it went.
    """

    step: int
    before: float
    after: float
    rows: tuple[int, ...]


def judged(scope: FaultInspector, first: FaultInspector, jump: Jump | None, finding: Finding) -> Finding:
    """The finding with its rows, its culprit and its sentence.

    Args:
        scope: what was seen in the first bad step.
        first: what the same batch showed at the good state.
        jump: on the way from the one to the other.
        finding: all else.
    """
    batch, numbers = scope.batch, finding.batch
    x = None if batch is None else batch.x
    seen = None if batch is None else batch.x if batch.mask is None else torch.where(batch.mask, batch.x, 0.0)
    unread = [] if seen is None else (~seen.isfinite().all(-1)).nonzero().flatten().tolist()
    rows = unread or scope.rows
    if not rows and scope.found_in == "update" and scope.value is not None:
        rows = dominant(scope.value)
    squared = first.overflows and "(" in (scope.parameter or "")  # in what the optimiser keeps
    own = tuple(numbers[i] for i in rows) if numbers else ()
    found = replace(
        finding,
        found_in="data" if unread else scope.found_in,
        hopeless=bool(unread) or first.found_in in ("forward", "objective", "backward") or squared,
        rows=own,
        values=() if x is None or not numbers else extremes(x, rows, numbers),
        largest=_sizes(scope, first, jump),
    )
    culprit = _culprit(found, scope, first, jump, 0 if batch is None else len(batch))
    if culprit == "row" and jump is not None and jump.rows and not found.hopeless:
        found = replace(found, rows=jump.rows, values=())
    return worded(replace(found, culprit=culprit))


def _culprit(found: Finding, scope: FaultInspector, first: FaultInspector, jump: Jump | None, b: int) -> Culprit:
    """Bad data; what is bad at good parameters too; a row that a step followed alone; steps; a part."""
    if found.found_in == "data":
        return "row"
    if found.hopeless:
        return "row" if 0 < len(first.rows or found.rows) < b else "part"
    if found.found_in in ("nowhere", "closed form"):
        return "unknown"
    if (jump is not None and jump.rows) or (found.found_in in ("objective", "update") and found.rows):
        return "row"
    grown = False
    if scope.largest is not None and first.largest is not None:
        grown = scope.largest[1] > GROWN * max(first.largest[1], 1.0)
    return "rate" if grown or found.found_in in ("objective", "update") else "part"


def _sizes(scope: FaultInspector, first: FaultInspector, jump: Jump | None) -> dict[str, Any] | None:
    if scope.largest is None:
        return None
    before = None if first.largest is None else f"{first.largest[1]:.6g}"
    found = {"parameter": scope.largest[0], "size": f"{scope.largest[1]:.6g}", "size_before": before}
    return found if jump is None else found | {"jumped_at_step": jump.step, "jumped_to": f"{jump.after:.6g}"}


def worded(f: Finding) -> Finding:
    """The same with its sentence.

    Example:
        >>> found = Finding(1, 7, 2, "update", "rate", False, "", "Elbo", (0.5,), parameter="model.W")
        >>> worded(found).what
        'step 7 (epoch 2) was too large: the first bad parameter is model.W; the learning rate was 0.5'
    """
    where, part = f"step {f.step} (epoch {f.epoch})", f" by {f.part}" if f.part else ""
    at = f", first in {f.tensor['module']} ({f.tensor['class']})" if f.tensor else ""
    what = {
        "nowhere": f"numbers stopped being finite by {where}, but not when the same steps were made again",
        "data": f"{_rows(f)} has entries that are not finite, met at {where}",
        "closed form": f"a closed form before {where} made {f.parameter} not finite",
        "update": f"{where} was too large: the first bad parameter is {f.parameter}",
        "backward": f"the gradient of {f.gradient} is not finite at {where}{at}",
        "objective": f"the objective explodes at {where}",
        "forward": f"{f.terms[0] if f.terms else 'the objective'}{part} is not finite at {where}{at}",
    }[f.found_in]
    large = f.largest or {}
    if f.culprit == "row" and f.found_in != "data":
        what += f"; the culprit is {_rows(f)}"
        what += ", at parameters that score other rows" if f.hopeless else ""
    elif f.culprit == "part":
        what += "; at good parameters too, which smaller steps do not change" if f.hopeless else ""
    elif f.culprit == "rate" and f.found_in != "update":
        what += f"; {large.get('parameter')} had grown to {large.get('size')} from {large.get('size_before')}"
    if "jumped_at_step" in large and f.culprit in ("row", "rate"):
        what += f"; step {large['jumped_at_step']} alone took the largest parameter to {large['jumped_to']}"
    rates = ", ".join(f"{lr:.3g}" for lr in f.learning_rates)
    return replace(f, what=what + (f"; the learning rate was {rates}" if f.culprit in ("rate", "unknown") else ""))


def _rows(f: Finding) -> str:
    few = ", ".join(str(i) for i in f.rows[:5]) + (", ..." if len(f.rows) > 5 else "")
    return f"training row{'s' if len(f.rows) > 1 else ''} {few}" if f.rows else "some row"
