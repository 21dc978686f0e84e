"""The style of all pictures: colours, and the parts that figures share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, BboxBase

__all__ = [
    "COLOURS",
    "DASHES",
    "GRID",
    "INK",
    "MARKERS",
    "PAGE",
    "RC",
    "SOFT",
    "TEXTS",
    "bars",
    "end_labels",
    "laid_out",
    "lines",
    "spread",
]

# Okabe and Ito (2008); the page has a lighter tone of each for dark mode
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
TEXTS = ("#0072b3", "#b85100", "#007d5b", "#b0518a", "#8f6500", "#2b7fb0")  # dark enough for text on white
INK, SOFT, GRID, PAGE = "#111213", "#515253", "#d1d2d3", "#fafbfc"
MARKERS = "os^DvPX*<>ph"
DASHES = ("-", (0, (5, 2)))
RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 13,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "font.size": 13,
    "grid.color": GRID,
    "lines.linewidth": 2,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def laid_out(paint: Callable[[Axes], object], width: int, height: int) -> Figure:
    """Return a figure of this size in CSS pixels with one painted axes, whose labels have their room."""
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    FigureCanvasAgg(figure)
    paint(figure.add_subplot())
    return figure


def spread(axes: Axes, labels: Sequence[Annotation], pad: float = 3.0) -> None:
    """Move labels up or down until none touches another text of the axes, and into the axes.

    The limits of the axes must have been set.

    Args:
        axes: that the labels annotate, at places in data.
        labels: the labels.
        pad: pixels around each.
    """
    figure = axes.get_figure(root=True)
    if figure is None or len(labels) == 0:
        return
    for label in labels:  # so that they do not change the layout in which they are placed
        label.set_in_layout(False)
    figure.draw_without_rendering()
    frame, placed = axes.get_window_extent(), [t.get_window_extent() for t in axes.texts if t not in labels]
    for label in sorted(labels, key=lambda label: -label.get_window_extent().y1):
        box = label.get_window_extent().padded(pad)
        inward = max(frame.x0 - box.x0, 0.0) + min(frame.x1 - box.x1, 0.0)
        box = _free(box.translated(inward, 0.0), placed, frame)
        placed.append(box)
        middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        label.xy = tuple(axes.transData.inverted().transform(middle))


def _free(box: Bbox, placed: Sequence[BboxBase], frame: BboxBase) -> Bbox:
    """Return the box moved up or down, by as little as will do, to where it touches none of the others."""
    step = box.height / 4
    moves = sorted((i * step for i in range(-200, 201)), key=abs)
    places = [box.translated(0.0, move) for move in moves]
    inside = [place for place in places if place.y0 >= frame.y0 and place.y1 <= frame.y1]
    return next((place for place in inside if not any(place.overlaps(other) for other in placed)), box)


def end_labels(axes: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """Write names at the right ends of lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    gap, below, above = 0.1 * (high - low), low - np.inf, high
    ordered = sorted(ends, key=lambda end: end[1])
    places = [below := max(min(max(y, low), high), below + gap) for _, y, _ in ordered]
    for i in reversed(range(len(places))):
        places[i] = min(places[i], above)
        above = places[i] - gap
    for (x, _, text), y in zip(ordered, places, strict=True):
        axes.annotate(text, (x, y), (6, 0), textcoords="offset points", va="center", annotation_clip=False)


def lines(axes: Axes, curves: dict[str, tuple[Sequence[float], Sequence[float]]], *, kept: int | None = None) -> None:
    """Draw curves over epochs, named at their ends; the first tenth of the epochs does not set the range.

    Args:
        axes: to draw into.
        curves: epochs and values, by name.
        kept: the epoch whose weights were kept, to be marked.
    """
    late = []
    for i, (x, y) in enumerate(curves.values()):
        axes.plot(x, y, color=COLOURS[i], linestyle=DASHES[i % 2], marker="o" if len(x) < 4 else None)
        first = min(len(y) // 10 + (len(y) > 4), len(y) - 1)
        late += [v for v in y[first:] if np.isfinite(v)]
    if late:
        low, high = min(late), max(late)
        pad = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - pad, high + pad)
    if kept is not None:
        _mark(axes, curves, kept)
    end_labels(axes, [(x[-1], y[-1], name) for name, (x, y) in curves.items()])
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True, nbins=6)


def _mark(axes: Axes, curves: dict[str, tuple[Sequence[float], Sequence[float]]], kept: int) -> None:
    """Draw a line at the epoch whose weights were kept, labelled where no curve is near."""
    axes.axvline(kept, color=SOFT, linewidth=1, linestyle=":")
    last = max(max(x) for x, _ in curves.values())
    side = "right" if kept > last / 2 else "left"
    beside = [
        (
            np.array(y)[(np.array(x) <= kept) & (np.array(x) >= kept - last / 2)]
            if side == "right"
            else np.array(y)[kept - 1 :]
        )
        for x, y in curves.values()
    ]
    low, high = axes.get_ylim()
    heights = (np.concatenate(beside) - low) / (high - low)
    height = max((0.03, 0.5, 0.97), key=lambda h: np.abs(heights - h).min(initial=1.0))
    axes.annotate(
        f"kept: epoch {kept}",
        (kept, height),
        (-4 if side == "right" else 4, 0),
        ("data", "axes fraction"),
        "offset points",
        ha=side,
        va={0.03: "bottom", 0.5: "center", 0.97: "top"}[height],
        color=SOFT,
    )


def bars(axes: Axes, values: np.ndarray, names: Sequence[str], strong: np.ndarray, label: str) -> None:
    """Draw bars from left to right: strong ones filled, others hollow."""
    place = np.arange(len(values))
    axes.bar(place[strong], values[strong], color=COLOURS[0], width=0.8)
    axes.bar(place[~strong], values[~strong], facecolor="none", edgecolor=COLOURS[0], width=0.8, linewidth=1.2)
    step = -(-len(values) // 16)
    axes.set_xticks(place[::step], list(names)[::step])
    axes.grid(visible=False, axis="x")
    axes.set_ylabel(label)
