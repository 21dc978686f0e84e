"""Rate against distortion, over the weight of the rate in training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.errors import UsageError
from ..core.wording import fixed
from ..runs.rate_distortion import NAME
from ..runs.run import Run
from ..storage.schemas import CurveRecord, read_record
from .axes import drawn
from .style import COLOURS, INK, SOFT, TEXTS
from .view import View

__all__ = ["rate_distortion"]


def rate_distortion(
    curve: Run | View | str | Path | Mapping[str, Any], ax: Axes | None = None, *, own: float | None = None
) -> Axes:
    """Draw a rate-distortion curve: distortion over rate, one point for each weight of the rate (beta).

    Args:
        curve: a run that is a point of a curve, which is ringed; the folder of the curve; or its record.
        ax: to draw into; by default a new figure.
        own: the beta of the point to be ringed.

    Returns:
        The axes.

    Raises:
        UsageError: no curve was measured.
        CorruptRunError: its record is damaged.

    Source: Alemi et al., "Fixing a broken ELBO", 2018.
    """
    if not isinstance(curve, Mapping):
        curve, own = _record(curve)
    return drawn(ax, lambda axes: _paint(axes, curve, own), 560, 440)


def _record(source: Run | View | str | Path) -> tuple[Mapping[str, Any], float | None]:
    """Return the record of a curve, and the beta of the run, if the source is one."""
    run = source.run if isinstance(source, View) else source
    folder = Path(run.path if isinstance(run, Run) else run).resolve()
    path = (folder.parent if isinstance(run, Run) else folder) / f"{NAME}.json"
    if not path.exists():
        what = f"{folder} belongs to no rate-distortion curve" if isinstance(run, Run) else f"{folder} holds no curve"
        raise UsageError(what, "Measure one: jensen rate-distortion DATA --out OUT.")
    record = read_record(path, CurveRecord, "Delete it, or run jensen rate-distortion again.")
    betas = [p["beta"] for p in record["points"] if isinstance(run, Run) and Path(p["run"]).name == folder.name]
    return record, betas[0] if betas else None


def _paint(axes: Axes, curve: Mapping[str, Any], own: float | None) -> None:
    """Draw the curve, with a ring around the point of the beta `own`."""
    points = curve["points"]
    rate, distortion = (np.array([p[key] for p in points]) for key in ("rate", "distortion"))
    axes.plot(rate, distortion, color=COLOURS[0], marker="o", markersize=6, zorder=3)
    for p in points:
        if p["beta"] == own:
            axes.plot(p["rate"], p["distortion"], "o", markersize=15, fillstyle="none", color=COLOURS[1], zorder=4)
        best = p["beta"] == curve["best_beta"]
        label = f"beta {p['beta']:g}" + (f": best ELBO, {fixed(p['elbo'], 2)}" if best else "")
        axes.annotate(
            label,
            (p["rate"], p["distortion"]),
            (8, 6),
            textcoords="offset points",
            color=TEXTS[1] if best else INK,
            weight="bold" if best else "normal",
        )
    wide = max(float(np.ptp(rate)), 0.1 * float(abs(rate).max()), 0.1)
    tall = max(float(np.ptp(distortion)), 0.02 * float(abs(distortion).max()), 0.1)
    axes.set_xlim(min(0.0, float(rate.min())), float(rate.max()) + 0.4 * wide)
    axes.set_ylim(float(distortion.min()) - 0.15 * tall, float(distortion.max()) + 0.15 * tall)
    _diagonals(axes, rate + distortion)
    axes.set_xlabel("rate KL(q(z|x) || p(z)), nats per datum")
    axes.set_ylabel("distortion -E log p(x|z), nats per datum")
    axes.set_title(f"{curve['data']}; {curve['prepared']}\ndotted: equal rate + distortion = -ELBO", loc="left")


def _diagonals(axes: Axes, sums: np.ndarray) -> None:
    """Draw lines of equal rate + distortion = -ELBO, labelled at their right ends; lower ones are better."""
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    values, apart = np.unique(np.quantile(sums, [0.0, 0.5, 1.0]).round(2)), 0.04 * (top - bottom)
    for value in values[np.diff(values, prepend=-np.inf) > apart]:  # labels of lines that are closer would overlap
        axes.plot([low, high], [value - low, value - high], color=SOFT, linewidth=1, linestyle=":", zorder=1)
        label, text_style = f"{fixed(value, 2)}", {"textcoords": "offset points", "color": SOFT, "fontsize": 11}
        if bottom <= value - high <= top:
            axes.annotate(label, (high, value - high), (5, 0), va="center", annotation_clip=False, **text_style)
        elif low <= value - bottom <= high:
            axes.annotate(label, (value - bottom, bottom), (4, 5), va="bottom", **text_style)
    axes.set_ylim(bottom, top)
