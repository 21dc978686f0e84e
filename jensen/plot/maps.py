"""Points of classes in a map, with names that do not touch: in the drawing where they fit, else in a key below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from ..core.characters import as_one_line
from .names import distinct, width_of
from .style import COLOURS, GRID, INK, MARKERS, PAGE, TEXTS, spread

__all__ = ["Legend", "legend", "scatter"]

GLYPHS = 600  # points that are drawn as the mark of their class
POINTS = 1500
MOST_CLASSES = 60
FEW = 8  # classes whose names are written into the map
NARROW = 130.0  # pixels of a name in the map
GLYPH = 14.0  # pixels of a name that is drawn at each point


@dataclass(frozen=True)
class Legend:
    """The marks of classes in a map.

    Attributes:
        marks: by class, the text that is drawn at each point; empty text where points have a marker.
        labels: by class, its name at its median; empty where points are marks.
        key: marks with the full names, for below the map.
        reading: how to read it.
    """

    marks: dict[str, str]
    labels: dict[str, str]
    key: tuple[tuple[str, str], ...]
    reading: str

    def drawn(self, points: np.ndarray, classes: np.ndarray | None) -> int:
        """Return the number of points that are drawn."""
        if classes is None or not self.marks:
            return min(len(points), POINTS)
        return sum(min(int((classes == c).sum()), self.most(c)) for c in self.marks)

    def most(self, name: str) -> int:
        """Return the number of points of this class to draw, at most."""
        return max(GLYPHS // len(self.marks), 20) if self.marks[name] else POINTS


def legend(classes: np.ndarray | None) -> Legend:
    """Return how to mark the classes [N] of points.

    Short names are drawn at each point. Few longer ones are written at the median of their points, cut where they are
    long, and then whole in the key; many have numbers, with the names in the key.
    """
    if classes is None:
        return Legend({}, {}, (), "")
    names = sorted(set(classes.tolist()), key=lambda c: (len(c), c))
    if len(names) > MOST_CLASSES:
        return Legend({}, {}, (), f"The {len(names):,} classes are too many to be told apart here. ")
    if all(width_of(as_one_line(n)) <= 2 * GLYPH for n in names) and max(map(len, names)) <= 2:
        return Legend({n: as_one_line(n) for n in names}, {}, (), "Each point is drawn as its class. ")
    if len(names) <= FEW:
        short = distinct(names, NARROW)
        key = tuple((s, whole) for s, n in zip(short, names, strict=True) if s != (whole := as_one_line(n)))
        reading = "Each class has a marker, and its name at its median. "
        return Legend(dict.fromkeys(names, ""), dict(zip(names, short, strict=True)), key, reading)
    numbers = {name: str(i + 1) for i, name in enumerate(names)}
    key = tuple((number, as_one_line(name)) for name, number in numbers.items())
    return Legend(numbers, {}, key, "Each point is drawn as the number of its class, whose name is below. ")


def scatter(axes: Axes, points: np.ndarray, classes: np.ndarray | None, names: Legend) -> None:
    """Draw points [N, 2] by class; the limits of the axes must have been set."""
    if classes is None or not names.marks:
        axes.plot(*points[:POINTS].T, "o", color=COLOURS[0], markersize=4, alpha=0.6, markeredgewidth=0)
        return
    for i, (name, mark) in enumerate(names.marks.items()):
        mine = points[classes == name][: names.most(name)]
        if not mark:
            marker = MARKERS[i % len(MARKERS)]
            axes.plot(*mine.T, marker, color=COLOURS[i % 6], markersize=5, alpha=0.7, markeredgewidth=0)
            continue
        for x, y in mine:
            at_point = {"ha": "center", "va": "center", "clip_on": True}
            axes.text(x, y, mark, color=TEXTS[i % 6], weight="bold", fontsize=11.5, **at_point)
    box = {"facecolor": PAGE, "edgecolor": GRID, "boxstyle": "round,pad=0.2", "alpha": 0.9}
    at_median = {"ha": "center", "va": "center", "color": INK, "weight": "bold", "bbox": box, "annotation_clip": False}
    labels = [
        axes.annotate(label, _median(points[classes == name]), (0, 0), textcoords="offset points", **at_median)
        for name, label in names.labels.items()
    ]
    spread(axes, labels, pad=4.0)


def _median(points: np.ndarray) -> tuple[float, float]:
    x, y = np.median(points, 0)
    return float(x), float(y)
