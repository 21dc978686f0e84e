"""The size that the images of a folder have in common, and how others are brought to it: cropped or stretched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..core.errors import DataError
from ..core.wording import plural
from .selection import Fit

__all__ = ["Header", "Resize", "common_size"]

SIDE = 32  # pixels of the squares that images of different sizes become


@dataclass(frozen=True)
class Header:
    """The header of an image, read before its pixels.

    Attributes:
        path: of the file.
        size: height and width, after rotation.
        family: "bits", "grey", "grey16" or "colour".
    """

    path: Path
    size: tuple[int, int]
    family: str


@dataclass(frozen=True)
class Resize:
    """A conversion of images to one size, by area averaging.

    Attributes:
        size: height and width of the result.
        fit: "crop" scales each image until it covers the result, and keeps the centre; "stretch" scales height and
            width by themselves, so that all of it is kept and proportions are not.

    Example:
        >>> Resize((2, 2)).box((2, 4)), Resize((2, 2)).box((8, 8)), Resize((2, 2), "stretch").box((2, 4))
        ((1.0, 0.0, 3.0, 2.0), None, None)
    """

    size: tuple[int, int]
    fit: Fit = "crop"

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
        """Return the part of an image that is kept: left, upper, right and lower end, in its pixels; None for all.

        Args:
            size: height and width of the image.
        """
        (height, width), (h, w) = size, self.size
        if self.fit == "stretch" or width * h == height * w:
            return None
        across, down = min(height * w / h, float(width)), min(width * h / w, float(height))
        left, upper = (width - across) / 2, (height - down) / 2
        return left, upper, min(left + across, float(width)), min(upper + down, float(height))

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return an image of this size; one that has it stays as it is."""
        height, width = self.size
        if image.size == (width, height):
            return image
        return image.resize((width, height), Image.Resampling.BOX, self.box((image.height, image.width)))


def common_size(
    headers: list[Header], size: tuple[int, int] | None, fit: Fit, guess: bool, notes: list[str]
) -> tuple[tuple[int, int], Resize | None]:
    """Return height and width of all images, and their conversion; None if they stay as they are.

    Images of different sizes become squares of `SIDE` pixels, or of fewer where most are smaller.

    Args:
        headers: of the images.
        size: that was asked for.
        fit: see `Resize`.
        guess: whether a size may be chosen.
        notes: to which what is done is added, with the other choice.

    Raises:
        DataError: they differ, and no size is given or to be guessed.
    """
    first = headers[0]
    other = next((h for h in headers if h.size != first.size), None)
    if size is None and other is None:
        return first.size, None
    (h, w), (i, j) = first.size, (other or first).size
    if size is None and not guess:
        raise DataError(
            f"images differ in size: {first.path} is {h}x{w} and {(other or first).path} is {i}x{j} (height x width)",
            "Resize all of them to the size of the images that the model was trained on.",
        )
    to = Resize(size or _square(headers), fit)
    resized = sum(h.size != to.size for h in headers)
    how = f"resized to {to.size[0]}x{to.size[1]} by area averaging{_proportions(headers, to)}"
    if size is None:
        seen = f"images differ in size ({h}x{w} and {i}x{j}, for example)"
        notes.append(f"{seen}: all are {how}; another size: --size H,W")
    elif resized:
        notes.append(f"{plural(resized, 'image')} {how}")
    return to.size, to


def _proportions(headers: list[Header], to: Resize) -> str:
    """Return what becomes of images of other proportions, and the other choice; empty where there are none."""
    crop = Resize(to.size, "crop")
    others = sum(crop.box(h.size) is not None for h in headers)
    if not others:
        return ""
    some = "" if others == len(headers) else f" {others:,} of them"
    if to.fit == "crop":
        return f",{some} cropped to the centre (--resize stretch keeps all of each, without its proportions)"
    return f",{some} without regard to their proportions (--resize crop keeps them, and the centre)"


def _square(headers: list[Header]) -> tuple[int, int]:
    """Return a square for images of different sizes: of SIDE pixels, or of the largest multiple of 4 that half of the
    images reach in both directions."""
    smaller = sorted(min(h.size) for h in headers)
    reached = smaller[len(smaller) // 2]
    side = min(SIDE, reached // 4 * 4 or reached)
    return side, side
