"""Axes to draw into: those that are given, or those of a new figure in the style of the reports."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib import rc_context
from matplotlib.axes import Axes

from .style import RC

__all__ = ["drawn"]

DPI = 96
# on white, so that a notebook in dark colours shows it too; the rest of the style is that of reports
OWN = {name: value for name, value in RC.items() if name not in ("figure.dpi", "savefig.facecolor")}
OWN |= {"figure.facecolor": "white", "font.size": 10.5, "axes.titlesize": 10.5}


def drawn(ax: Axes | None, paint: Callable[[Axes], None], width: int, height: int) -> Axes:
    """Paint into axes, and return them.

    Args:
        ax: as the caller has them, in the style that they have; None for those of a new figure of `pyplot`, which a
            notebook shows by itself.
        paint: draws into axes.
        width, height: of a new figure, in 96ths of an inch.
    """
    if ax is not None:
        paint(ax)
        return ax
    from matplotlib import pyplot  # which chooses a backend

    with rc_context(OWN):  # pyright: ignore[reportArgumentType]
        axes = pyplot.subplots(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")[1]
        paint(axes)
    return axes
