"""What the pages of docs that show theory have in common: how drawings look, and where pages and pictures go."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parent.parent / "docs"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 100,
    "font.size": 11,
    "grid.color": "#DDDDDD",
    "lines.linewidth": 2,
    "svg.fonttype": "none",
}


def subplots(width: float, height: float, rows: int = 1, columns: int = 1, **how: Any) -> tuple[Figure, np.ndarray]:
    """A figure of inches, and its axes [rows, columns]."""
    with style.context(["default", RC]):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **how)


def save(figure: Figure, name: str) -> str:
    """Write docs/images/NAME, the same bytes every time, and give its path from a page."""
    suffix = name.rsplit(".", 1)[-1]
    metadata = {"Date": None} if suffix == "svg" else {"Software": None}
    with style.context(["default", RC | {"svg.hashsalt": name}]):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=metadata, dpi=100)
    (DOCS / "images" / name).write_bytes(buffer.getvalue())
    return f"images/{name}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown: the first column to the left, the others to the right."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(name: str, text: str, program: str) -> None:
    """Write docs/NAME.md, and say what made it."""
    mark = f"<!-- Made by python -m benchmarks.{program}: change that, not this page. -->"
    (DOCS / f"{name}.md").write_text(f"{mark}\n\n{text.strip()}\n", encoding="utf-8")


def grid(images: np.ndarray) -> np.ndarray:
    """One picture of images [R, C, H, W] of 0..1, with lines of one pixel between them."""
    r, c, h, w = images.shape
    canvas = np.ones((r * (h + 1) - 1, c * (w + 1) - 1))
    for i in range(r):
        for j in range(c):
            canvas[i * (h + 1) : i * (h + 1) + h, j * (w + 1) : j * (w + 1) + w] = 1 - images[i, j].clip(0, 1)
    return canvas
