"""The missing cells of a mixed table: which ones they are, and which are missing together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..core.characters import as_one_line
from ..core.rows import evenly_spaced
from ..core.wording import plural
from ..plot.names import distinct
from ..plot.style import COLOURS, SOFT
from .figures import draw
from .mixed_rows import MixedRows
from .panels import Panel, Section, Table

__all__ = ["missing_cells"]

DRAWN = 400  # rows in the map
MOST = 40  # columns in the map
PATTERNS = 8
NAMED = 6  # columns of a pattern
NAME = 120.0  # pixels of a column's name


def missing_cells(rows: MixedRows, numbers: dict[str, Any]) -> Section:
    """Return a map of the missing cells and the most frequent patterns of them; empty where no cell is missing."""
    title = "Missing cells"
    missing = rows.missing
    if not missing.any():
        return Section(title)
    shares = missing.mean(0)
    patterns = Counter(tuple(np.flatnonzero(row).tolist()) for row in missing)
    numbers["missing"] = {
        "share": float(missing.mean()),
        "rows_with_some": float(missing.any(1).mean()),
        "by_column": {name: float(share) for name, share in zip(rows.names, shares, strict=True)},
        "patterns": len(patterns),
    }
    text = (
        f"{missing.mean():.1%} of the cells are missing, and {missing.any(1).mean():.1%} of the rows lack some, in "
        f"{plural(len(patterns), 'different pattern')} (of {rows.missing_words})."
    )
    together = _patterns(rows.names, patterns, len(missing))
    return Section(title, (_map(rows.names, missing),), (), (text,), "Which are missing together", (together,))


def _map(names: list[str], missing: np.ndarray) -> Panel:
    """Return the missing cells of evenly spaced rows, of the columns that have any, with their shares."""
    shares = missing.mean(0)
    shown = np.sort(np.argsort(-shares, kind="stable")[: min(MOST, int((shares > 0).sum()))])
    some = missing[evenly_spaced(len(missing), DRAWN).numpy()][:, shown]
    labels = [
        f"{name}  {shares[i]:.1%}" for name, i in zip(distinct([names[i] for i in shown], NAME), shown, strict=True)
    ]

    def paint(axes: Axes) -> None:
        for i in range(len(shown)):
            axes.broken_barh(_runs(some[:, i]), (i - 0.4, 0.8), facecolors=COLOURS[0], linewidth=0)
            axes.axhline(i + 0.5, color=SOFT, linewidth=0.3)
        axes.set_yticks(range(len(shown)), labels)
        axes.set(xlim=(0, len(some)), ylim=(len(shown) - 0.5, -0.5), xlabel="rows, in the order of the data")
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.grid(visible=False)

    most = int(shares.argmax())
    alt = f"Missing cells by column and row; {as_one_line(names[most])} lacks most, {shares[most]:.1%}."
    whole = int((shares == 0).sum())
    without = f" {plural(whole, 'column')} without missing cells left out." if whole else ""
    caption = (
        f"Filled: cells that are missing, of {len(some):,} rows, evenly spaced; the share is of all.{without} Evenly "
        "scattered marks would be cells missing at random. Stripes across columns show cells that are missing "
        "together, blocks along a row stretches of the file without a column: then whether a cell is missing may "
        "depend on what it would hold."
    )
    return Panel((draw("missing", alt, paint, 430, 60 + 24 * max(len(shown), 3)),), caption)


def _runs(values: np.ndarray) -> list[tuple[float, float]]:
    """Return the beginnings and lengths of the runs of True.

    Example:
        >>> _runs(np.array([True, True, False, True]))
        [(0.0, 2.0), (3.0, 1.0)]
    """
    steps = np.diff(np.concatenate([[0], values.astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [(float(a), float(b - a)) for a, b in zip(starts, ends, strict=True)]


def _patterns(names: list[str], patterns: Counter[tuple[int, ...]], n: int) -> Table:
    rows = []
    for pattern, count in patterns.most_common(PATTERNS):
        rows.append((_named([names[i] for i in pattern]), f"{count:,}", f"{count / n:.1%}"))
    caption = (
        f"The {PATTERNS} most frequent of {len(patterns):,} patterns." if len(patterns) > PATTERNS else "All patterns."
    )
    return Table(("missing together", "rows", "share"), tuple(rows), (), caption)


def _named(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(as_one_line, names[:NAMED])) + more
