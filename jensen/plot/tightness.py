"""The tightness of the bound on log p(x): the importance-weighted bound over K, beside the annealed bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from ..core.errors import UsageError
from ..runs.evaluation import Evaluation
from ..runs.run import Run
from ..storage.run_folder import EVALUATION
from ..storage.schemas import EvaluationRecord, read_record
from .axes import drawn
from .style import COLOURS, end_labels
from .view import View, view_of

__all__ = ["BAND", "bounds_over_k", "logarithmic", "paint_tightness", "tightness"]

BAND = 2.0  # standard errors of a band
Record = Mapping[str, Any]


def tightness(run: Run | View, ax: Axes | None = None, *, evaluation: Evaluation | Record | None = None) -> Axes:
    """Draw the bound on log p(x) over the number K of latent points per datum, beside the bound by annealing.

    The bound rises with K to log p(x): a curve that is flat at its right end, and not below annealing, is tight. Bands
    are two Monte Carlo standard errors, where these are known and reliable.

    Args:
        run: the run.
        ax: to draw into; by default a new figure.
        evaluation: of the run, or its record; by default that of evaluation.json.

    Returns:
        The axes.

    Raises:
        UsageError: there is no evaluation, or it is no bound by several numbers of points.
        CorruptRunError: evaluation.json is damaged.
    """
    view = view_of(run)
    record = evaluation.to_dict() if isinstance(evaluation, Evaluation) else evaluation
    record = _kept(view.run) if record is None else record
    curve = bounds_over_k(record)
    if len(curve) < 2:
        what = f"the evaluation of {view.run.path} ({record['kind']}) has no curve over K"
        raise UsageError(what, "Evaluate by importance weighting, with more points: run.evaluate(k=1000).")
    return drawn(ax, lambda axes: paint_tightness(axes, record, view.log_px), 560, 340)


def paint_tightness(axes: Axes, record: Record, log_px: str) -> None:
    """Draw the curve of an evaluation's record into axes; `log_px` names the quantity."""
    k, value, error = (np.array(column, dtype=float) for column in zip(*bounds_over_k(record), strict=True))
    chain = (record.get("assessment") or {}).get("annealed")
    logarithmic(axes)
    axes.fill_between(k, value - BAND * error, value + BAND * error, color=COLOURS[0], alpha=0.25, linewidth=0)
    axes.plot(k, value, color=COLOURS[0], marker="o", markersize=4)
    ends = [(k[-1], value[-1], "importance")]
    if chain:
        half = BAND * (chain["stderr_mc"] or 0.0) if chain.get("stderr_mc_reliable") is not False else 0.0
        axes.axhspan(chain["log_px"] - half, chain["log_px"] + half, color=COLOURS[1], alpha=0.18, linewidth=0)
        axes.axhline(chain["log_px"], color=COLOURS[1], linestyle="--")
        ends.append((k[-1], chain["log_px"], "annealed"))
    end_labels(axes, ends)
    axes.set_xlabel("K, latent points per datum")
    axes.set_ylabel(f"{log_px} ≥, nats per datum")


def _kept(run: Run) -> dict[str, Any]:
    """Return the evaluation that a run keeps.

    Raises:
        UsageError: there is none.
    """
    path = run.path / EVALUATION
    if not path.exists():
        raise UsageError(f"{run.path} keeps no evaluation", "Make one: run.keep(run.evaluate()).")
    return read_record(path, EvaluationRecord, "Delete it, or run jensen evaluate RUN again.")


def bounds_over_k(record: Record) -> list[tuple[int, float, float]]:
    """Return (K, bound, Monte Carlo standard error) along the curve, which ends with the estimate itself.

    An error that is unknown or unreliable is NaN, so that no band is drawn.
    """
    curve = [
        (r["k"], r["log_px"], math.nan if r["stderr_mc"] is None else r["stderr_mc"]) for r in record.get("curve") or []
    ]
    if curve:
        is_reliable = record.get("stderr_mc_reliable") and record.get("stderr_mc") is not None
        curve[-1] = (*curve[-1][:2], record["stderr_mc"] if is_reliable else math.nan)
    return curve


def logarithmic(axes: Axes) -> None:
    """Set a logarithmic axis, labelled with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
