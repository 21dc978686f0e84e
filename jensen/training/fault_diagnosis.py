"""The diagnosis of a fault: its culprit, a sentence that names it, and a remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch

from .events import Fault
from .fault_inspector import FaultInspector, dominant_rows, extreme_values
from .fault_search import GROWN, Jump
from .nonfinite import REMEDY

__all__ = ["REMEDIES", "diagnose", "with_sentence"]

Culprit = Literal["row", "part", "rate", "unknown"]

REMEDIES = {
    "row": "Look at the data for extreme values, or leave such rows out.",
    "part": "Mend that part: keep what it takes a logarithm or a root of, or divides by, away from zero.",
    "rate": REMEDY,
    "unknown": REMEDY,
}


def diagnose(bad: FaultInspector, good: FaultInspector, jump: Jump | None, fault: Fault) -> Fault:
    """Return a fault with its rows, its culprit and its sentence.

    Args:
        bad: inspection of the first bad step.
        good: inspection of the same batch at the good state.
        jump: on the way from the one to the other.
        fault: with everything else.
    """
    batch, numbers = bad.batch, fault.batch
    x = None if batch is None else batch.x
    observed = None if batch is None else batch.x if batch.mask is None else torch.where(batch.mask, batch.x, 0.0)
    nonfinite = [] if observed is None else (~observed.isfinite().all(-1)).nonzero().flatten().tolist()
    rows = nonfinite or bad.rows
    if not rows and bad.found_in == "update" and bad.value is not None:
        rows = dominant_rows(bad.value)
    squared = good.overflows and "(" in (bad.parameter or "")  # a tensor of the optimiser's own
    fault = replace(
        fault,
        found_in="data" if nonfinite else bad.found_in,
        hopeless=bool(nonfinite) or good.found_in in ("forward", "objective", "backward") or squared,
        rows=tuple(numbers[i] for i in rows) if numbers else (),
        values=() if x is None or not numbers else extreme_values(x, rows, numbers),
        largest=_sizes(bad, good, jump),
    )
    culprit = _culprit(fault, bad, good, jump, 0 if batch is None else len(batch))
    if culprit == "row" and jump is not None and jump.rows and not fault.hopeless:
        fault = replace(fault, rows=jump.rows, values=())
    return with_sentence(replace(fault, culprit=culprit))


def _culprit(fault: Fault, bad: FaultInspector, good: FaultInspector, jump: Jump | None, b: int) -> Culprit:
    """Return the culprit: bad data, what is bad at good parameters too, a row that decided a step, steps, or a part."""
    if fault.found_in == "data":
        return "row"
    if fault.hopeless:
        return "row" if 0 < len(good.rows or fault.rows) < b else "part"
    if fault.found_in in ("nowhere", "closed form"):
        return "unknown"
    if (jump is not None and jump.rows) or (fault.found_in in ("objective", "update") and fault.rows):
        return "row"
    grown = False
    if bad.largest is not None and good.largest is not None:
        grown = bad.largest[1] > GROWN * max(good.largest[1], 1.0)
    return "rate" if grown or fault.found_in in ("objective", "update") else "part"


def _sizes(bad: FaultInspector, good: FaultInspector, jump: Jump | None) -> dict[str, Any] | None:
    if bad.largest is None:
        return None
    before = None if good.largest is None else f"{good.largest[1]:.6g}"
    sizes = {"parameter": bad.largest[0], "size": f"{bad.largest[1]:.6g}", "size_before": before}
    return sizes if jump is None else sizes | {"jumped_at_step": jump.step, "jumped_to": f"{jump.after:.6g}"}


def with_sentence(f: Fault) -> Fault:
    """Return a fault with its sentence.

    Example:
        >>> fault = Fault(1, 7, 2, "update", "rate", False, "", "Elbo", (0.5,), parameter="model.W")
        >>> with_sentence(fault).what
        'step 7 (epoch 2) was too large: the first bad parameter is model.W; the learning rate was 0.5'
    """
    where, part = f"step {f.step} (epoch {f.epoch})", f" by {f.part}" if f.part else ""
    at = f", first in {f.tensor['module']} ({f.tensor['class']})" if f.tensor else ""
    what = {
        "nowhere": f"numbers stopped being finite by {where}, but not when the same steps were repeated",
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


def _rows(f: Fault) -> str:
    few = ", ".join(str(i) for i in f.rows[:5]) + (", ..." if len(f.rows) > 5 else "")
    return f"training row{'s' if len(f.rows) > 1 else ''} {few}" if f.rows else "some row"
