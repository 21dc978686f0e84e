"""Maps of the associations of pairs of columns in data and in rows of the model, and of their difference."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from ..analysis.associations import AssociationAgreement, compare_associations
from ..core.characters import as_one_line
from ..plot.names import distinct
from ..plot.style import COLOURS, SOFT
from .figures import draw
from .mixed_rows import MixedRows
from .panels import Panel

__all__ = ["pair_pictures"]

MOST = 24  # columns, those with the strongest associations
NAMED = 3  # pairs that differ most
WIDTH = 330
NAME = 86.0  # pixels of a column's name
ROWS = 2000  # of each side
FULL = 0.92  # of a cell, the side of the square of an association of 1


def pair_pictures(rows: MixedRows, numbers: dict[str, Any]) -> Panel | None:
    """Return three maps: associations in data, in rows of the model, and the difference; None of a single column."""
    if rows.drawn is None or len(rows.columns) < 2:
        return None
    columns, data, drawn = rows.columns, _some(rows.data), _some(rows.drawn)
    if len(columns) > MOST:
        shown = _strongest(rows)
        columns, data, drawn = tuple(columns[i] for i in shown), data[:, shown], drawn[:, shown]
    compared = compare_associations(columns, data, drawn)
    if not np.isfinite(compared.difference):
        return None
    names = [column.name for column in columns]
    numbers["associations"] = _numbers(names, compared)
    difference = compared.drawn - compared.data
    off = f"{compared.difference:.3f} ± {compared.spread:.3f}"
    noise = f"{compared.noise:.3f} ± {compared.noise_spread:.3f}"
    bodies = (
        _map("pairs-data", "Data", names, compared.data, f"Associations of {len(names)} columns in data."),
        _map("pairs-model", "Model", names, compared.drawn, "The same associations in rows of the model."),
        _map("pairs-difference", "Model minus data", names, difference, f"Their difference, on average {off}."),
    )
    d = len(rows.columns)
    which = f"The {MOST} of {d:,} columns with the strongest associations. " if d > MOST else ""
    caption = (
        f"{which}The larger a square, the stronger the association: the correlation of two numbers, the correlation "
        "ratio of a number and a column with levels, Cramer's V of two columns with levels. Filled squares are "
        "positive, hollow ones negative; the largest are 1. Between half of the data and as many rows of the model "
        f"they differ by {off} on average, between the halves of the data by {noise} (± over 5 random halves of "
        f"{len(data):,} rows). "
        f"{_largest(names, difference)} Squares of the left map that are missing in the middle one would be "
        "associations that the model has not learned."
    )
    return Panel(bodies, caption)


def _some(x: np.ndarray) -> np.ndarray:
    """Return rows for the maps: of both sides equally many, and at most 2,000."""
    return x[:: max(-(-len(x) // ROWS), 1)]


def _strongest(rows: MixedRows) -> list[int]:
    """Return the numbers of the columns with the largest sums of absolute correlations of their numbers, in order."""
    known = np.where(np.isnan(rows.data), np.nanmean(rows.data, 0), rows.data)
    scale = known.std(0)
    unit = (known - known.mean(0)) / np.where(scale > 0, scale, 1.0)
    strength = np.abs(unit.T @ unit).sum(0) / len(unit)
    return sorted(np.argsort(-strength, kind="stable")[:MOST].tolist())


def _numbers(names: list[str], compared: AssociationAgreement) -> dict[str, Any]:
    return {
        "names": names,
        "data": compared.data.tolist(),
        "model": compared.drawn.tolist(),
        "difference": compared.difference,
        "difference_spread": compared.spread,
        "halves": compared.noise,
        "halves_spread": compared.noise_spread,
        "seed": 0,
    }


def _largest(names: list[str], difference: np.ndarray) -> str:
    """Return the pairs that differ most, in a sentence."""
    upper = np.triu_indices(len(names), 1)
    size = np.nan_to_num(np.abs(difference[upper]), nan=0.0)
    order = [k for k in np.argsort(-size)[:NAMED] if size[k] > 0]
    pairs = (
        f"{as_one_line(names[upper[0][k]])} with {as_one_line(names[upper[1][k]])} ({difference[upper][k]:+.2f})"
        for k in order
    )
    return f"They differ most for {', '.join(pairs)}." if order else ""


def _map(name: str, title: str, names: list[str], values: np.ndarray, alt: str) -> str:
    """Return a square for each pair of different columns."""
    n = len(names)
    short = distinct(names, NAME, 11.0)

    def paint(axes: Axes) -> None:
        axes.set_title(title, loc="left")
        own = ~np.eye(n, dtype=bool) & np.isfinite(values)
        for chosen, style in (
            (values > 0, {"facecolor": COLOURS[0], "edgecolor": "none"}),
            (values < 0, {"facecolor": "none", "edgecolor": COLOURS[1], "linewidth": 1.2}),
        ):
            rows, columns = np.nonzero(chosen & own)
            if len(rows):
                axes.add_patch(PathPatch(_squares(columns, rows, np.abs(values[rows, columns])), **style))
        axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
        axes.set_aspect("equal")
        axes.set_yticks(range(n), [f"{text} {i + 1}" for i, text in enumerate(short)])
        axes.set_xticks(range(n), [str(i + 1) if n < 10 or i % 2 == 0 else "" for i in range(n)])
        axes.tick_params(length=0, labelsize=11 if n <= 16 else 9, labelcolor=SOFT)
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        k = np.arange(n)
        axes.hlines(k, k - 0.12, k + 0.12, color=SOFT, linewidth=1)  # the diagonal, to find one's way

    return draw(name, alt, paint, WIDTH, 290)


def _squares(x: np.ndarray, y: np.ndarray, sizes: np.ndarray) -> Path:
    """Return squares about points [S] of areas proportional to sizes [S], as one path."""
    half = FULL * np.sqrt(np.minimum(sizes, 1.0)) / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    vertices = np.stack([x, y], -1)[:, None] + half[:, None, None] * corners
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(vertices.reshape(-1, 2), codes * len(x))
