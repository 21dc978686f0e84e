"""Grids of images as PNG on the page."""

from __future__ import annotations

import base64
import html
import io

import numpy as np

from ..core.characters import as_one_line
from ..plot.shades import in_block, sheet_image

__all__ = ["blocks", "sheet"]


def blocks(rows: list[np.ndarray], alt: str) -> tuple[str, ...]:
    """Return rows of images, each bytes [n, H, W, C], as blocks of columns, each one <img> that fits a narrow page."""
    n, block = max(map(len, rows)), in_block((rows[0].shape[1], rows[0].shape[2], 1))
    starts = range(0, n, block)
    if len(starts) == 1:
        return (sheet(rows, alt),)
    ends = [min(start + block, n) for start in starts]
    parts = (f"{alt} Columns {start + 1} to {end} of {n}." for start, end in zip(starts, ends, strict=True))
    return tuple(
        sheet([r for row in rows if len(r := row[start : start + block])], text)
        for start, text in zip(starts, parts, strict=True)
    )


def sheet(rows: list[np.ndarray], alt: str) -> str:
    """Return rows of images, each bytes [n, H, W, C], as one <img>; the gaps of 2 pixels are transparent."""
    canvas, buffer = sheet_image(rows), io.BytesIO()
    canvas.save(buffer, "png")
    code = base64.b64encode(buffer.getvalue()).decode()
    width, height = canvas.size
    attributes = f'width="{width}" height="{height}" alt="{html.escape(as_one_line(alt))}"'
    return f'<img class="grid" src="data:image/png;base64,{code}" {attributes}>'
