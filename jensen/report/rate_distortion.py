"""The figure of rate against distortion, for the page and as a file of its own."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.wording import fixed
from ..storage.files import write_atomic
from .figures import COLOURS, INK, RC, SOFT, TEXTS

__all__ = ["paint", "write_tradeoff"]


def write_tradeoff(curve: Mapping[str, Any], stem: Path) -> tuple[Path, Path]:
    """Draw a rate-distortion curve as `stem`.svg and `stem`.png, on white.

    Args:
        curve: the record of `jensen.runs.rate_distortion.Curve.to_dict`.
        stem: the path of the files, without a suffix.

    Returns:
        Both paths.

    Source: Alemi et al., "Fixing a broken ELBO", 2018.
    """
    paths = stem.with_suffix(".svg"), stem.with_suffix(".png")
    with style.context(["default", RC | {"svg.hashsalt": "tradeoff", "figure.facecolor": "white"}]):
        figure = Figure(figsize=(8, 6), layout="constrained", facecolor="white")
        paint(figure.add_subplot(), curve)
        for path in paths:
            buffer = io.BytesIO()
            metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(buffer, format=path.suffix[1:], metadata=metadata, facecolor="white", dpi=144)
            write_atomic(path, buffer.getvalue())
    return paths


def paint(axes: Axes, curve: Mapping[str, Any], own: float | None = None) -> None:
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
