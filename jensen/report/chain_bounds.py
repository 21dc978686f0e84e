"""The evaluation of a diffusion beside its number: bounds by the number of levels, and the probability flow."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes

from ..core.wording import digits, fixed
from ..plot.style import COLOURS
from ..plot.tightness import BAND, logarithmic
from ..storage.files import digest
from ..storage.run_folder import EVALUATIONS, WEIGHTS
from ..storage.schemas import EvaluationRecord
from .facts import Facts, kept
from .figures import draw
from .panels import Panel, Table

__all__ = ["bound_by_levels", "flow_table", "levels_table"]


def _levels(facts: Facts) -> list[dict[str, Any]]:
    return (facts.evaluation or {}).get("by_levels") or []


def levels_table(facts: Facts) -> Table | None:
    """Return the bounds of chains of T levels by the same network; None where they were not measured."""
    bounds, e = _levels(facts), facts.evaluation or {}
    if not bounds:
        return None
    is_bits, nats = e.get("bits_per_dim") is not None, facts.run.schema.size * math.log(2)
    rows = []
    for bound in bounds:
        mean, places = bound["log_px"], min(digits(bound["stderr"]) + 1, 6)
        bits = [fixed(-mean / nats, 3)] if is_bits else []
        cells = [_cell(bound[name], places) for name in ("log_px", "stderr", "stderr_mc")]
        rows.append((f"{bound['levels']:,}", *cells, *bits))
    head = [
        "levels T",
        f"{facts.log_px} ≥",
        "± over data",
        "± Monte Carlo",
        *(["bits per dimension"] if is_bits else []),
    ]
    caption = (
        "Bounds of the chain of T levels, by the same network, in nats per datum: they rise with T towards the "
        "bound in continuous time, where the network is good."
    )
    return Table(tuple(head), tuple(rows), (), caption)


def _cell(value: float | None, places: int) -> str:
    return "" if value is None else fixed(value, places)


def bound_by_levels(facts: Facts) -> Panel | None:
    """Return what fewer levels lose, on logarithmic axes; None where fewer than two of the bounds lose anything."""
    e = facts.evaluation or {}
    own, noise = e.get("log_px"), e.get("stderr_mc") or 0.0
    if own is None:
        return None
    losses = [(b["levels"], own - b["log_px"], BAND * math.hypot(b["stderr_mc"] or 0.0, noise)) for b in _levels(facts)]
    losses = [(levels, loss, error) for levels, loss, error in losses if loss > error]
    if len(losses) < 2:
        return None

    def paint(axes: Axes) -> None:
        levels, loss, error = zip(*losses, strict=True)
        axes.errorbar(levels, loss, yerr=error, color=COLOURS[0], marker="o", markersize=4, capsize=3)
        logarithmic(axes)
        axes.set_yscale("log")
        axes.set(xlabel="levels T", ylabel="loss, nats per datum")

    ends = ", ".join(f"{fixed(loss, 2)} nats with T = {levels:,}" for levels, loss, _ in (losses[0], losses[-1]))
    return Panel(
        (draw("evidence-levels", f"Fewer levels lose: {ends}.", paint, 470, 280),),
        "The bound of the chain as it is, less that of T levels by the same network. Bars: two Monte Carlo standard "
        "errors of the difference. For many levels the loss should halve where T doubles; where it stays, the network "
        "is not the one that such a chain needs.",
    )


def flow_table(facts: Facts) -> Table | None:
    """Return the evaluations by the probability flow that the run keeps of these weights; None where there is none."""
    run, rows = facts.run, []
    for path in sorted((run.path / EVALUATIONS).glob("flow*.json")):
        record = kept(path, EvaluationRecord, "jensen evaluate RUN --method flow")
        if record is None or (record.get("replay") or {}).get("weights_sha256") != digest(run.path / WEIGHTS):
            continue
        settings, places = record.get("settings") or {}, min(digits(record["stderr"]) + 1, 6)
        error = settings.get("solver_error")
        cells = [_cell(record[name], places) for name in ("log_px", "stderr")]
        solver = "" if error is None else f"{error:.2g}"
        rows.append((f"{record['n']:,}", *cells, str(settings.get("points", "")), solver, record["kind"]))
    if not rows:
        return None
    head = ("rows", f"{facts.log_px} of the flow ≥", "± over data", "points", "error of the solver", "kind")
    caption = (
        "By the probability flow, another density than the chain's by the same network, in nats per datum: the two "
        "numbers agree where the network is the exact denoiser. The error is the largest, against a tenth of the "
        "tolerance."
    )
    return Table(head, tuple(rows), (5,), caption)
