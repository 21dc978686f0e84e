"""Images as bytes: one scale for all images of a page, no smoothing, and sheets of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..data.column_statistics import ends
from .view import View

__all__ = ["MISSING", "Shades", "cell", "coloured", "columns", "in_block", "sheet_image"]

CELL, GAP, WIDTH = 64, 2, 1000
LARGEST = 128
NARROW = 360  # CSS pixels of a page on a telephone, which a block of images fits
MISSING = (196, 164, 120)  # tan, which is no shade of grey


@dataclass(frozen=True)
class Shades:
    """A map from values to shades, the same for every image of a page.

    Attributes:
        low, high: the values shown black and white.
        shape: height, width and channels.
    """

    low: float
    high: float
    shape: tuple[int, int, int]

    @staticmethod
    def of(view: View) -> Shades:
        """Return the map of the full range of the data's kind; for reals, of the range of the rows."""
        schema, preparation = view.run.schema, view.run.preparation
        height, width, channels = schema.shape
        low, high = 0.0, 1.0
        if schema.kind == "integers" and preparation.binarize is None:
            # a dequantised value lies in [v, v + 1)
            middle = 0.5 if preparation.dequantize else 0.0
            low, high = middle, (schema.levels or 256) - 1 + middle
        elif schema.kind == "real" and preparation.binarize is None and view.part is not None:
            own, mask = view.part.x, view.part.mask
            observed = own if mask is None else own[:][mask]
            low, high = ends(observed) if observed.size else (0.0, 1.0)
        return Shades(low, high if high > low else low + 1.0, (height, width, channels))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return values [N, ...] as bytes [N, H, W, 1 or 3]: of two channels the first, of four the first three.

        A missing value (NaN) makes its pixel `MISSING`, and the images coloured.
        """
        unit = np.clip((x.astype(np.float64) - self.low) / (self.high - self.low), 0, 1).reshape(-1, *self.shape)
        unit = unit[..., :3] if self.shape[2] >= 3 else unit[..., :1]
        missing = np.asarray(np.isnan(unit).any(-1))
        shades = np.rint(np.where(missing[..., None], 0, unit) * 255).astype(np.uint8)
        if missing.any():
            shades = coloured(shades)
            shades[missing] = MISSING
        return shades


def coloured(shades: np.ndarray) -> np.ndarray:
    """Return bytes [..., 1 or 3] with three channels."""
    return np.repeat(shades, 3, axis=-1) if shades.shape[-1] == 1 else shades.copy()


def cell(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return height and width of one image on the page, in CSS pixels.

    Whole multiples of its pixels: at least twice, and at least 64 CSS pixels, up to a size of 64; larger images as they
    are, or shrunk to 128.
    """
    largest = max(shape[:2])
    factor = max(-(-CELL // largest), 2) if largest <= CELL else min(LARGEST / largest, 1)
    return max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1)


def in_block(shape: tuple[int, int, int]) -> int:
    """Return the number of images side by side on a narrow page."""
    return max((NARROW + GAP) // (cell(shape)[1] + GAP), 1)


def columns(shape: tuple[int, int, int], most: int = 16) -> int:
    """Return the number of images side by side: whole blocks of them."""
    block = in_block(shape)
    wide = max(min((WIDTH + GAP) // (cell(shape)[1] + GAP), most), 1)
    return max(wide // block, 1) * block


def sheet_image(rows: list[np.ndarray]) -> Image.Image:
    """Return rows of images, each bytes [n, H, W, C], as one image; the gaps of 2 pixels are transparent."""
    height, width = cell((rows[0].shape[1], rows[0].shape[2], 1))
    n = max(map(len, rows))
    size = (n * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP)
    colour = any(row.shape[-1] == 3 for row in rows)
    rows = [coloured(row) for row in rows] if colour else rows
    canvas = Image.new("RGBA" if colour else "LA", size)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            tile = Image.fromarray(image if colour else image[..., 0])
            large = max(image.shape[:2]) > LARGEST
            tile = tile.resize((width, height), Image.Resampling.BOX if large else Image.Resampling.NEAREST)
            tile.putalpha(255)
            canvas.paste(tile, (j * (width + GAP), i * (height + GAP)))
    return canvas
