"""Augmentation of the images of training batches: mirrored, moved and cropped at random, pixel by pixel.

Each step takes every pixel of the result from one pixel of the image, so that whole numbers stay whole, labels stay
theirs, and which pixels are missing moves along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..core.errors import UsageError
from .preparation import Preparation
from .schema import Schema

__all__ = ["Augmentation", "augmentation_of"]

Kind = Literal["flip", "shift", "crop"]
FARTHEST = 8  # a shift is by an eighth of the side at most
LEAST = 0.8  # share of each side that a crop keeps at least


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Random changes of the images [B, D] of a batch, drawn for each of them.

    "crop" takes a window of at least 80 % of each side and enlarges it by nearest neighbours; "shift" moves it by whole
    pixels, at most an eighth of each side, and repeats its edges; "flip" mirrors it, left to right, with
    probability 1/2. They are done in this order.

    Attributes:
        kinds: those that are done.
        shape: height, width and channels.
        center, scale: of the preparation of the rows, [] or [D], in float64: pixels are moved in the data's own units.

    Example:
        >>> move = Augmentation(("flip",), (1, 3, 1))
        >>> x = torch.tensor([[1, 2, 3]]).expand(64, 3)
        >>> sorted({tuple(row.tolist()) for row in move(x, (), torch.Generator().manual_seed(0))[0]})
        [(1, 2, 3), (3, 2, 1)]
    """

    kinds: tuple[Kind, ...]
    shape: tuple[int, int, int]
    center: np.ndarray | None = None
    scale: np.ndarray | None = None

    def __call__(
        self, x: Tensor, masks: Sequence[Tensor | None], generator: torch.Generator | None
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return rows [B, D] and masks [B, D] of them, moved alike."""
        pixels = self.pixels(len(x), x.device, generator)
        center, scale = (None if v is None else torch.as_tensor(v, device=x.device) for v in (self.center, self.scale))
        values = x if scale is None else x * scale.to(x)
        values = values if center is None else values + center.to(x)
        values = values.gather(1, pixels)
        values = values if center is None else values - center.to(x)
        values = values if scale is None else values / scale.to(x)
        return values, [None if mask is None else mask.gather(1, pixels) for mask in masks]

    def pixels(self, n: int, device: torch.device | str, generator: torch.Generator | None) -> Tensor:
        """Return the numbers [n, D] of the entries of an image that become those of the result, drawn for n images."""
        height, width, channels = self.shape
        down, right = (torch.arange(side, device=device).expand(n, side) for side in (height, width))
        draw = _Draw(n, device, generator)
        if "flip" in self.kinds:
            mirrored = draw.whole(0, 1)
            right = torch.where(mirrored == 1, width - 1 - right, right)
        if "shift" in self.kinds:
            down, right = (_moved(places, side, draw) for places, side in ((down, height), (right, width)))
        if "crop" in self.kinds:
            down, right = (_window(places, side, draw) for places, side in ((down, height), (right, width)))
        whole = down[:, :, None, None] * width + right[:, None, :, None]
        return (whole * channels + torch.arange(channels, device=device)).flatten(1)

    @property
    def note(self) -> str:
        """A note for the user on what the numbers of such a training are of."""
        return (
            f"trained on augmented rows ({', '.join(self.kinds)}): the bound is of the rows as they are; only the"
            " training curve is of augmented ones"
        )


@dataclass(frozen=True)
class _Draw:
    """Draws for each of n images: [n, 1]."""

    n: int
    device: torch.device | str
    generator: torch.Generator | None

    def whole(self, low: int, high: int) -> Tensor:
        """Return uniform whole numbers from low to high, both included."""
        return torch.randint(low, high + 1, (self.n, 1), generator=self.generator, device=self.device)

    def unit(self) -> Tensor:
        """Return uniform numbers from 0 to 1."""
        return torch.rand((self.n, 1), generator=self.generator, device=self.device)


def _moved(places: Tensor, side: int, draw: _Draw) -> Tensor:
    """Return places [n, S] along a side of an image that is moved, and whose edges are repeated."""
    most = side // FARTHEST
    return (places + draw.whole(-most, most)).clamp(0, side - 1)


def _window(places: Tensor, side: int, draw: _Draw) -> Tensor:
    """Return places [n, S] along a side of an image of which a window is enlarged to all of it."""
    share = LEAST + (1 - LEAST) * draw.unit()
    start = (1 - share) * side * draw.unit()
    return (start + (places + 0.5) * share).floor().long().clamp(0, side - 1)


def augmentation_of(
    asked: str | Sequence[str] | None, schema: Schema | None, preparation: Preparation | None = None
) -> Augmentation | None:
    """Return the augmentation that an option describes: "flip,shift", or a list; None without one.

    Args:
        asked: names, which commas separate in a text.
        schema: of the data; None checks the names alone.
        preparation: of the rows that are augmented.

    Raises:
        UsageError: a name is no kind of augmentation, the data are no images, or these are too small for a shift.
    """
    if asked is None:
        return None
    names = asked.split(",") if isinstance(asked, str) else list(asked)
    names = [str(name).strip() for name in names]
    unknown = [name for name in names if name not in get_args(Kind)]
    if unknown or not names:
        what = f"--augment takes flip, shift and crop, got {', '.join(map(repr, unknown)) or 'nothing'}"
        raise UsageError(what, "Give some of them: --augment flip,shift; or leave it out.")
    if schema is None:
        return None
    if not schema.is_image:
        what = f"--augment mirrors and moves images, and these are rows of {schema.size} columns"
        raise UsageError(what, "Leave --augment out; images in an array have the shape [N, H, W] or [N, H, W, C].")
    height, width, channels = schema.shape
    if "shift" in names and max(height, width) < FARTHEST:
        what = f"a shift is by an eighth of the side at most, which is no pixel of images of {height}x{width}"
        raise UsageError(what, "Leave shift out of --augment.")
    kinds = tuple(kind for kind in get_args(Kind) if kind in names)
    own = Preparation() if preparation is None else preparation
    return Augmentation(kinds, (height, width, channels), own.center, own.scale)
