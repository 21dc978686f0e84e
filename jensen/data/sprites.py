"""Sprites: small grey images generated from known factors, to measure disentanglement."""

from __future__ import annotations

import numpy as np

from .factors import Factors

__all__ = ["LEVELS", "SHAPES", "SPRITES", "draw_sprites", "sprites"]

SHAPES = ("rectangle", "ellipse", "triangle")
SIDE = 16  # pixels
FINE = 4  # sample points along a side of a pixel
LEVELS = FINE**2 + 1
# in pixels: the first position, and half the length of the smallest and the largest shape, whose corners stay inside
FIRST, LEAST, MOST = 4.5, 2.5, 4.0
SIZES, TURNS, PLACES = 4, 8, 8
ROWS = 4096  # of the 6,144 combinations
SEED = 0  # of the choice and the order of rows

NAMES = ("shape", "size", "rotation", "x", "y")
# rectangles and ellipses are invariant to half a turn, so angles form a circle and have no order
SPRITES = Factors(
    np.stack(np.meshgrid(*map(np.arange, (3, SIZES, TURNS, PLACES, PLACES)), indexing="ij"), -1).reshape(-1, 5),
    NAMES,
    (False, True, False, True, True),
    (3, SIZES, TURNS, PLACES, PLACES),
)


def _templates() -> np.ndarray:
    """Return all shapes, sizes and rotations in the upper left position, as points per pixel [3, 4, 8, 16, 16]."""
    shape, size, turn = (i[..., None, None] for i in np.indices((len(SHAPES), SIZES, TURNS)))
    fine = (np.arange(SIDE * FINE) + 0.5) / FINE - FIRST
    angle, half = np.pi * turn / TURNS, LEAST + (MOST - LEAST) * size / (SIZES - 1)
    u = (fine * np.cos(angle) + fine[:, None] * np.sin(angle)) / half
    v = (fine[:, None] * np.cos(angle) - fine * np.sin(angle)) / half * 2
    covers = (np.maximum(abs(u), abs(v)) <= 1, u**2 + v**2 <= 1, (abs(u) <= 1) & (abs(v) <= (1 - u) / 2))
    inside = np.choose(shape, covers)
    return inside.reshape(*inside.shape[:3], SIDE, FINE, SIDE, FINE).sum((-3, -1)).astype(np.uint8)


def draw_sprites(factors: np.ndarray) -> np.ndarray:
    """Return images [N, 16, 16] of the levels 0 to 16 from the numbers [N, 5] of shape, size, rotation, x and y.

    The level of a pixel is the number of its 4 x 4 points that the shape covers. Half the length is from 2.5 to 4
    pixels, and twice half the width; angles are multiples of 22.5 degrees, and centres are from pixel 4.5 to 11.5.

    Example:
        >>> draw_sprites(np.array([[0, 0, 0, 3, 3]]))[0, 5:10, 4:11]
        array([[ 0,  0,  0,  0,  0,  0,  0],
               [ 0, 12, 12, 12, 12, 12,  0],
               [ 0, 16, 16, 16, 16, 16,  0],
               [ 0, 12, 12, 12, 12, 12,  0],
               [ 0,  0,  0,  0,  0,  0,  0]], dtype=uint8)
    """
    shape, size, turn, x, y = np.asarray(factors).T
    drawn, images = _templates()[shape, size, turn], np.zeros((len(factors), SIDE, SIDE), np.uint8)
    for right in range(PLACES):
        for down in range(PLACES):
            here = (x == right) & (y == down)
            images[here, down:, right:] = drawn[here, : SIDE - down, : SIDE - right]
    return images


def sprites() -> tuple[np.ndarray, Factors]:
    """Return the data set `sprites`: 4,096 images [N, 16, 16] in a fixed random order, and their factors."""
    index = np.random.default_rng(SEED).permutation(len(SPRITES.values))[:ROWS]
    factors = SPRITES.rows(index)
    return draw_sprites(factors.values), factors
