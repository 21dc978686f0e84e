"""Grids of images as PNG: no smoothing, gaps of two pixels, one map of values to grey for all images."""

from __future__ import annotations

import io
import math

import numpy as np

from ..data import Schema
from ..runs.run import Run

__all__ = ["data_range", "grid", "model_range", "painted", "pairs", "png", "scaled", "strips"]

GAP = 2
SIDE = 48  # pixels that smaller images are enlarged to, about
SMALL = 64  # pixels of the images that are enlarged at least twice: on most screens fewer cannot be seen
BACKGROUND = 255
UNKNOWN = (196, 164, 120)  # tan, to differ from all shades of grey


def data_range(schema: Schema, x: np.ndarray) -> tuple[float, float]:
    """Return the values of black and white: those of the kind of data, or the extremes of x for reals outside 0..1."""
    if schema.kind == "integers":
        return 0.0, (schema.levels or 2) - 1.0
    low, high = float(x.min()), float(x.max())
    return (0.0, 1.0) if schema.kind == "binary" or (low >= 0 and high <= 1) else (low, high)


def model_range(run: Run, x: np.ndarray) -> tuple[float, float]:
    """Return the values of black and white in the output of a model; of reals, those of data x."""
    if run.preparation.binarize:
        return 0.0, 1.0
    low, high = data_range(run.schema, x)
    noise = 0.5 if run.preparation.dequantize else 0.0  # the mean of the uniform noise
    return low + noise, high + noise


def scaled(x: np.ndarray, between: tuple[float, float]) -> np.ndarray:
    """Return values as 0..1, by one map for all images."""
    low, high = between
    return np.clip((x - low) / max(high - low, 1e-12), 0.0, 1.0)


def _tile(x: np.ndarray) -> np.ndarray:
    """Return cells [M, H, W, C] side by side, enlarged, with gaps between them."""
    side = max(x.shape[1:3])
    factor = max(2 if side <= SMALL else 1, round(SIDE / side))
    large = x.repeat(factor, axis=1).repeat(factor, axis=2)
    padded = np.pad(large, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=BACKGROUND)
    return np.concatenate(list(padded), axis=1)


def _colours(x: np.ndarray) -> np.ndarray:
    """Return images of any channels with 1 or 3 of them."""
    return x if x.shape[-1] in (1, 3) else x[..., :3] if x.shape[-1] > 3 else x.mean(-1, keepdims=True)


def _bytes(x: np.ndarray) -> np.ndarray:
    """Return images of 0..1 as bytes."""
    return np.rint(_colours(x) * 255).astype(np.uint8)


def _stack(rows: list[np.ndarray]) -> np.ndarray:
    """Return rows of cells [M, H, W, C] as one picture, the last row filled up."""
    width = len(rows[0])
    filled = [np.concatenate([r, np.full((width - len(r), *r.shape[1:]), BACKGROUND, np.uint8)]) for r in rows]
    return np.concatenate([_tile(r) for r in filled], axis=0)[:-GAP, :-GAP]


def painted(above: np.ndarray, *below: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return all images in colours of 0..1, [N, H, W, 3]; unknown pixels (NaN) of the first are tan."""
    unknown = np.isnan(above).any(-1)
    first, *others = (np.broadcast_to(_colours(x), (*x.shape[:-1], 3)).copy() for x in (above, *below))
    first[unknown] = np.array(UNKNOWN) / 255
    return first, *others


def grid(x: np.ndarray) -> np.ndarray:
    """Return images [N, H, W, C] of 0..1 as one picture, about as wide as high."""
    cells, across = _bytes(x), math.ceil(math.sqrt(len(x)))
    return _stack([cells[i : i + across] for i in range(0, len(cells), across)])


def pairs(*kinds: np.ndarray, across: int = 16) -> np.ndarray:
    """Return one picture of images of 0..1: each of the first kind directly above that of the second, and so on."""
    rows = [_bytes(x) for x in kinds]
    starts = range(0, len(rows[0]), min(across, len(rows[0])))
    return _stack([row[i : i + across] for i in starts for row in rows])


def strips(x: np.ndarray) -> np.ndarray:
    """Return images [R, M, H, W, C] of 0..1 as one picture of R rows of M."""
    return _stack([_bytes(row) for row in x])


def png(picture: np.ndarray) -> bytes:
    """Return a picture [H, W, 1 or 3] of bytes as a PNG file."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(content, format="PNG")
    return content.getvalue()
