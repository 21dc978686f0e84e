"""The measures of training over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes

from ..core.errors import UsageError
from ..runs.run import Run
from .axes import drawn
from .style import lines
from .view import View, view_of

__all__ = ["Measure", "curve_title", "series", "training_curves"]

WIDE = 24  # letters of a quantity that fit into the title of a panel

Measure = Literal["bound", "distortion", "rate"]
PARTS = (("train", "training"), ("valid", "validation"))


def training_curves(run: Run | View, ax: Axes | None = None, *, measure: Measure = "bound") -> Axes:
    """Draw a measure of training and of validation rows over epochs, in nats per datum in the data's own units.

    Args:
        run: the run.
        ax: to draw into; by default a new figure.
        measure: the bound on log p(x), or one of its two parts.

    Returns:
        The axes.

    Raises:
        UsageError: training did not measure this, or ended before its second epoch.
    """
    view = view_of(run)
    curves = series(view, measure)
    if not curves or len(view.epochs) < 2:
        what = f"training of {view.run.path} recorded no {measure} of at least two epochs"
        raise UsageError(what, "It needs --epochs 2 or more, and a model with densities.")
    kept = view.kept["epoch"] if view.stopped and view.kept else None

    def paint(axes: Axes) -> None:
        lines(axes, curves, kept=kept)
        axes.set_title(curve_title(view, measure), loc="left")

    return drawn(ax, paint, 520, 320)


def curve_title(view: View, measure: Measure) -> str:
    """Return the name of a measure, with its unit."""
    if measure != "bound":
        return f"{measure}, nats per datum"
    quantity = view.log_px if len(view.log_px) <= WIDE else "log p(x | labels)"  # whose names the page has elsewhere
    return f"{'' if view.run.guide.is_exact else 'bound on '}{quantity}, nats per datum"


def series(view: View, measure: Measure) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    """Return epochs and values of a measure, by the name of the rows; empty where it was not measured."""
    curves: dict[str, tuple[Sequence[float], Sequence[float]]] = {}
    for part, name in PARTS:
        pairs = [
            (e["epoch"], e[part][measure]) for e in view.epochs if e[part] is not None and e[part][measure] is not None
        ]
        if pairs:
            curves[name] = ([p[0] for p in pairs], [p[1] for p in pairs])
    return curves
