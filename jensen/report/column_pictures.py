"""Small pictures of the columns of a mixed table, in data and in rows of the model, with their distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, PercentFormatter

from ..analysis.marginals import ColumnAgreement, compare_columns
from ..core.characters import as_one_line
from ..data.columns import Column
from ..plot.names import distinct
from ..plot.style import COLOURS, INK, SOFT
from .figures import draw
from .mixed_rows import MixedRows
from .panels import Panel, Table

__all__ = ["agreement_table", "agreements", "column_pictures"]

MOST = 24  # columns in pictures
WIDTH, HEIGHT = 240, 172
TITLE, LEVEL = 230.0, 100.0  # pixels of a column's name, and of a level's
BARS = 7  # levels with a bar of their own
BINS = 30
SPIKE = 4.0  # times the second highest bar, above which the highest is cut
SKEWED = 50.0  # of the largest to the median positive value, above which the axis is logarithmic
DAY = 86_400.0
Kept = tuple[ColumnAgreement | None, ...]


def agreements(rows: MixedRows, numbers: dict[str, Any]) -> Kept:
    """Return how far each column of the model is from the data; empty where it is not sampled."""
    if rows.drawn is None:
        return ()
    compared = compare_columns(rows.columns, rows.data, rows.drawn)
    numbers["columns"] = [
        {"name": column.name, "kind": column.kind} | ({} if a is None else _numbers(a))
        for column, a in zip(rows.columns, compared, strict=True)
    ]
    return compared


def _numbers(a: ColumnAgreement) -> dict[str, Any]:
    return {
        "measure": a.measure,
        "distance": a.distance,
        "distance_spread": a.spread,
        "halves": a.noise,
        "halves_spread": a.noise_spread,
        "beyond_noise": a.is_beyond_noise,
        "seed": 0,
    }


def column_pictures(rows: MixedRows, compared: Kept) -> Panel | None:
    """Return a histogram or bars of each column, of at most 24 the ones that differ most from the data."""
    if rows.drawn is None:
        return None
    shown = _shown(compared)
    titles = distinct([rows.names[i] for i in shown], TITLE)
    bodies = tuple(
        _picture(rows.columns[i], title, rows.data[:, i], rows.drawn[:, i], compared[i], f"column-{i}")
        for i, title in zip(shown, titles, strict=True)
    )
    d = len(rows.columns)
    which = f"The {MOST} of {d:,} columns that differ most." if d > MOST else "Each column."
    missing = np.isnan(rows.data).mean()
    holes = f" Missing cells ({missing:.1%}) are left out." if missing else ""
    caption = (
        f"{which} Filled grey: {rows.data_words}. Blue outline: {len(rows.drawn):,} rows of the model. Below each, how "
        "far the model is from half of the data, and how far the other half is: the distances of a perfect model would "
        "be equal. They are 1-Wasserstein distances in standard deviations (s.d.), or total variations (TV, the "
        f"share of rows that would have to change).{holes} A column whose distance is many times that of the halves "
        "was not learned."
    )
    return Panel(bodies, caption)


def _shown(compared: Kept) -> list[int]:
    """Return the numbers of the columns to draw, in the order of the table."""

    def excess(i: int) -> float:
        a = compared[i]
        return -np.inf if a is None else a.distance / max(a.noise, 1e-9)

    return sorted(sorted(range(len(compared)), key=excess, reverse=True)[:MOST])


def _picture(
    column: Column, title: str, data: np.ndarray, drawn: np.ndarray, a: ColumnAgreement | None, name: str
) -> str:
    observed = data[~np.isnan(data)]
    paint_values = _bars if column.is_levelled else _histogram

    def paint(axes: Axes) -> None:
        axes.set_title(title, loc="left")
        axes.grid(visible=False)
        axes.tick_params(labelsize=11, length=3)
        paint_values(axes, column, observed, drawn)
        axes.set_xlabel(
            _distance(a), color=INK if a is not None and a.is_beyond_noise else SOFT, fontsize=12, loc="left"
        )

    words = f"{as_one_line(column.name)}, {column.kind}: {_distance(a)}. {_summary(column, observed, drawn)}"
    return draw(name, words, paint, WIDTH, HEIGHT)


def _distance(a: ColumnAgreement | None) -> str:
    if a is None:
        return "too few cells to compare"
    differs = "differs: " if a.is_beyond_noise else ""
    return f"{differs}{a.distance:.3f} {a.measure}, halves {a.noise:.3f}"


def _summary(column: Column, data: np.ndarray, drawn: np.ndarray) -> str:
    """Return means, or the share of the most frequent level, in words."""
    if len(data) == 0:
        return "No observed cell."
    if column.is_levelled:
        level = int(np.bincount(data.astype(np.int64)).argmax())
        shares = [float((values == level).mean()) for values in (data, drawn)]
        return f"Of data {shares[0]:.1%} are {as_one_line(column.levels[level])}, of the model's rows {shares[1]:.1%}."
    if column.kind in ("circular", "datetime"):
        return "Histograms of data and of the model's rows."
    moments = [f"mean {values.mean():.3g} and s.d. {values.std():.3g}" for values in (data, drawn)]
    return f"Data have {moments[0]}, rows of the model {moments[1]}."


def _bars(axes: Axes, column: Column, data: np.ndarray, drawn: np.ndarray) -> None:
    """Draw a bar for each level, those of a categorical column by frequency, the rarest together."""
    levels = len(column.levels)
    a, b = (np.bincount(x.astype(np.int64), minlength=levels) / max(len(x), 1) for x in (data, drawn))
    order = np.argsort(-np.maximum(a, b), kind="stable")
    own = order if levels <= BARS else order[: BARS - 1]
    own = np.sort(own) if column.kind != "categorical" else own
    names = distinct([column.levels[i] for i in own], LEVEL, 11.0)
    a_shown, b_shown = a[own], b[own]
    if levels > BARS:
        rest = np.setdiff1d(np.arange(levels), own)
        names.append(f"{len(rest):,} others")
        a_shown, b_shown = np.append(a_shown, a[rest].sum()), np.append(b_shown, b[rest].sum())
    place = np.arange(len(names))
    axes.barh(place, a_shown, color=SOFT, alpha=0.45, height=0.76)
    axes.barh(place, b_shown, facecolor="none", edgecolor=COLOURS[0], linewidth=1.6, height=0.76)
    axes.set_yticks(place, names)
    axes.set_ylim(max(len(names), 4) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _histogram(axes: Axes, column: Column, data: np.ndarray, drawn: np.ndarray) -> None:
    """Draw the shares of data and of the model's rows in bins; what lies outside is in the first and last."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if len(data) == 0:
        return
    forward, edges = _bins(column, np.concatenate([data, drawn]))
    shares = [np.histogram(np.clip(forward(x), edges[0], edges[-1]), edges)[0] / len(x) for x in (data, drawn)]
    axes.stairs(shares[0], edges, fill=True, color=SOFT, alpha=0.45)
    axes.stairs(shares[1], edges, color=COLOURS[0], linewidth=2)
    axes.set_xlim(edges[0], edges[-1])
    _cut(axes, edges, np.array(shares))
    _ticks(axes, column, forward, edges)


def _cut(axes: Axes, edges: np.ndarray, shares: np.ndarray) -> None:
    """Let the axis end below a bar that is many times as high as every other one, and write how high that is."""
    highest = shares.max(0)
    ordered = np.sort(highest)
    top = ordered[-1]
    if len(ordered) > 2 and top > SPIKE * ordered[-2] > 0:
        top, at = 1.6 * ordered[-2], int(highest.argmax())
        middle = (edges[at] + edges[at + 1]) / 2
        is_left = middle < (edges[0] + edges[-1]) / 2
        axes.annotate(
            f"{shares[0, at]:.0%} of data\n{shares[1, at]:.0%} of the model",
            (edges[at + 1] if is_left else edges[at], 1.0),
            (4 if is_left else -4, -2),
            ("data", "axes fraction"),
            "offset points",
            ha="left" if is_left else "right",
            va="top",
            fontsize=11,
            color=INK,
        )
    axes.set_ylim(0, 1.06 * top if top > 0 else 1)


def _bins(column: Column, values: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """Return a map of values to the axis, and the edges of bins there."""

    def plain(x: np.ndarray) -> np.ndarray:
        return x

    if column.kind == "datetime":
        low, high = values.min() / DAY, values.max() / DAY
        return (lambda x: x / DAY), np.linspace(low, max(high, low + 1), BINS + 1)
    if column.kind in ("circular", "bounded") and column.low is not None and column.high is not None:
        return plain, np.linspace(column.low, column.high, BINS + 1)
    low, high = np.quantile(values, [0.002, 0.998]).tolist()
    positive = values[values > 0]
    if values.min() >= 0 and len(positive) and high > SKEWED * np.median(positive):
        unit = 1.0 if column.is_discrete else float(np.quantile(positive, 0.02))
        return (lambda x: np.arcsinh(x / unit)), np.linspace(np.arcsinh(low / unit), np.arcsinh(high / unit), BINS + 1)
    if column.is_discrete or np.array_equal(values, np.rint(values)):
        step = max(int(np.ceil((high - low + 1) / (BINS + 10))), 1)
        return plain, np.arange(np.floor(low), high + step + 0.5, step) - 0.5
    return plain, np.linspace(low, high if high > low else low + 1, BINS + 1)


def _ticks(axes: Axes, column: Column, forward: Callable[[np.ndarray], np.ndarray], edges: np.ndarray) -> None:
    """Write the values at the axis: dates of times, and powers of ten where it is logarithmic."""
    if column.kind == "datetime":
        locator = AutoDateLocator(maxticks=4)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        return
    powers = np.append(0.0, 10.0 ** np.arange(-12, 16))
    places = forward(powers)
    if np.allclose(places, powers):
        axes.xaxis.set_major_locator(
            MaxNLocator(4, steps=[1, 2, 3, 4, 5, 6, 10] if column.kind == "circular" else None)
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _short(v)))
        return
    inside = (places >= edges[0]) & (places <= edges[-1])
    kept = _apart(places[inside], (edges[-1] - edges[0]) / 5)
    axes.xaxis.set_major_locator(FixedLocator(places[inside][kept].tolist()))
    labels = {round(float(p), 9): _short(float(v)) for p, v in zip(places[inside], powers[inside], strict=True)}
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: labels.get(round(float(v), 9), "")))


def _apart(places: np.ndarray, least: float) -> list[int]:
    """Return the numbers of ascending places that are so far apart, the first one included."""
    kept: list[int] = []
    for i, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= least:
            kept.append(i)
    return kept


def _short(value: float) -> str:
    """Return a number for an axis: 20k, 1.5M, 0.01."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (abs(value) >= size and letter != "k"):
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def agreement_table(rows: MixedRows, compared: Kept) -> Table | None:
    """Return the distances of all columns, where not all of them have a picture."""
    if len(rows.columns) <= MOST or not compared:
        return None
    cells = tuple(_row(column, a) for column, a in zip(rows.columns, compared, strict=True))
    caption = (
        "The distance of the model to half of the data, and of the other half to it, with the standard deviations over "
        "20 random halves (seed 0): 1-Wasserstein in standard deviations (s.d.), or total variation (TV)."
    )
    return Table(("column", "kind", "measure", "model", "±", "halves", "±"), cells, (1, 2), caption)


def _row(column: Column, a: ColumnAgreement | None) -> tuple[str, ...]:
    if a is None:
        return (as_one_line(column.name), column.kind, "too few cells", "", "", "", "")
    values = (a.distance, a.spread, a.noise, a.noise_spread)
    return (as_one_line(column.name), column.kind, a.measure, *(f"{v:.3f}" for v in values))
