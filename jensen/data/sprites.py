"""Sprites: small binary images made here from factors that are known, to judge what a representation tells apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SHAPES", "SPRITES", "Factors", "draw_sprites", "sprites"]

SHAPES = ("rectangle", "ellipse", "triangle")
SIDE = 16  # pixels
FINE = 4  # points along a pixel's side at which it is looked whether the shape covers it
SIZES, TURNS, PLACES = 4, 8, 8
ROWS = 4096  # of the 6,144 combinations
SEED = 0  # of which rows, and in which order


@dataclass(frozen=True)
class Factors:
    """What data were made from.

    Attributes:
        values: [N, F] int64, each column from 0.
        names: [F].
        ordered: [F], whether the numbers of a factor are an order (a size), or only names (a shape).
        counts: [F], how many values each has.
    """

    values: np.ndarray
    names: tuple[str, ...]
    ordered: tuple[bool, ...]
    counts: tuple[int, ...]

    def rows(self, index: np.ndarray) -> Factors:
        """The rows [M] of these numbers."""
        return Factors(self.values[index], self.names, self.ordered, self.counts)


NAMES = ("shape", "size", "rotation", "x", "y")
# a turn by half a circle leaves rectangles and ellipses as they are: angles are a circle, and no order
SPRITES = Factors(
    np.stack(np.meshgrid(*map(np.arange, (3, SIZES, TURNS, PLACES, PLACES)), indexing="ij"), -1).reshape(-1, 5),
    NAMES,
    (False, True, False, True, True),
    (3, SIZES, TURNS, PLACES, PLACES),
)


def draw_sprites(factors: np.ndarray) -> np.ndarray:
    """Images [N, 16, 16] of 0 and 1 from the numbers [N, 5] of shape, size, rotation, x and y.

    A pixel is 1 where the shape covers more than half of it. Half the length runs from 2.5 to 4.5 pixels and is twice
    half the width, the angle from 0 by steps of 22.5 degrees, the middle from pixel 4.5 to 11.5 (y from the top).

    Example:
        >>> image = draw_sprites(np.array([[0, 0, 0, 3, 3]]))[0]
        >>> image[6:10].sum(1)
        array([0, 5, 5, 0])
    """
    shape, size, turn, x, y = np.moveaxis(np.asarray(factors), -1, 0)[..., None, None]
    fine = (np.arange(SIDE * FINE) + 0.5) / FINE
    across, down = fine[None, None, :] - (x + 4.5), fine[None, :, None] - (y + 4.5)
    angle, half = np.pi * turn / TURNS, 2.5 + 2.0 * size / (SIZES - 1)
    along, beside = across * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - across * np.sin(angle)
    u, v = along / half, 2 * beside / half
    inside = np.select(
        [shape == 0, shape == 1],
        [np.maximum(abs(u), abs(v)) <= 1, u**2 + v**2 <= 1],
        (abs(u) <= 1) & (abs(v) <= (1 - u) / 2),  # the tip is at u = 1
    )
    cover = inside.reshape(len(inside), SIDE, FINE, SIDE, FINE).sum((2, 4))
    return (cover > FINE**2 / 2).astype(np.uint8)


def sprites() -> tuple[np.ndarray, Factors]:
    """The data set `sprites`: 4,096 images [N, 16, 16] in a random order that is always the same, and their factors."""
    index = np.random.default_rng(SEED).permutation(len(SPRITES.values))[:ROWS]
    factors = SPRITES.rows(index)
    return draw_sprites(factors.values), factors
