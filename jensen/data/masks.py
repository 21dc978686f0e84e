"""Masks of entries to hide, as the command line names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.errors import DataError, UsageError
from .arrays import read_npy
from .formats import file_format
from .lines import split_names
from .schema import Schema

__all__ = ["parse_mask"]

SIDES = ("right", "left", "top", "bottom")


def parse_mask(text: str, schema: Schema, n: int) -> np.ndarray:
    """Return a mask [N, D] or [1, D], True for entries to hide.

    Args:
        text: `right`, `left`, `top`, `bottom`, `rect:r0,c0,r1,c1`, columns of a table by name, or a file. A rectangle
            is rows r0 to r1 - 1, from 0, and columns likewise. A file is an image of the size of a datum, white where
            to hide, or a .npy array of the shape of one datum or of all of them, not 0 where to hide.
        schema: of the data.
        n: N, the number of data.

    Raises:
        UsageError: the text is none of these, or the data are not images.
        DataError: the file has another shape.
    """
    if text in SIDES or text.startswith("rect:"):
        if not schema.is_image:
            raise UsageError(f"--mask {text} is for images, and these data are a table", "Give --mask a .npy file.")
        height, width, channels = schema.shape
        r0, c0, r1, c1 = _rectangle(text, height, width)
        hidden = np.zeros((height, width, channels), dtype=bool)
        hidden[r0:r1, c0:c1] = True
    elif schema.names is not None and not Path(text).exists() and set(split_names(text)) <= set(schema.names):
        hidden = np.array([name in split_names(text) for name in schema.names])
    else:
        hidden = _mask_file(text, schema, n)
    if not hidden.any():
        raise UsageError(f"--mask {text} hides nothing", "Give a mask with an entry to hide.")
    return hidden.reshape(-1, schema.size)


def _rectangle(text: str, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the first row and column of a rectangle, and those after the last.

    Raises:
        UsageError: the text is not a rectangle within the image.
    """
    sides = {
        "right": (0, width // 2, height, width),
        "left": (0, 0, height, width - width // 2),
        "top": (0, 0, height - height // 2, width),
        "bottom": (height // 2, 0, height, width),
    }
    if text in sides:
        return sides[text]
    try:
        r0, c0, r1, c1 = (int(number) for number in text.removeprefix("rect:").split(","))
    except ValueError as error:
        raise UsageError(f"--mask {text} is not a rectangle", "Give four numbers: --mask rect:0,4,8,8.") from error
    if not (0 <= r0 < r1 <= height and 0 <= c0 < c1 <= width):
        raise UsageError(
            f"--mask {text} is not within images of {height}x{width}",
            f"Give rows from 0 to {height} and columns from 0 to {width}: --mask rect:0,{width // 2},{height},{width}.",
        )
    return r0, c0, r1, c1


def _mask_file(text: str, schema: Schema, n: int) -> np.ndarray:
    """Return the mask in a file, of the shape of one datum or of all of them.

    Raises:
        UsageError: there is no such file.
        DataError: it has another shape.
    """
    path = Path(text)
    if not path.is_file():
        others = f"{', '.join(SIDES)} or rect:r0,c0,r1,c1" if schema.names is None else "names of columns"
        raise UsageError(f"there is no file {text} for --mask", f"Give one, or {others}.")
    if path.suffix.lower() == ".npy":
        file_format(path)  # refuses other formats
        hidden = read_npy(path).x[:] != 0
    else:
        from .images import read_bits  # Pillow is imported for images only

        hidden = read_bits(path)
    shapes = {schema.shape, (schema.size,), (n, *schema.shape), (n, schema.size)}
    if schema.is_image:
        shapes |= {schema.shape[:2], (n, *schema.shape[:2])}
    if hidden.shape not in shapes:
        shape = schema.shape[:2] if schema.is_image and schema.shape[2] == 1 else schema.shape
        raise DataError(
            f"the mask {text} has the shape {hidden.shape}, and a datum {shape}", f"Give {shape}, or {(n, *shape)}."
        )
    if schema.is_image and hidden.shape[-2:] == schema.shape[:2] and hidden.ndim < 4 and hidden.shape != schema.shape:
        hidden = np.repeat(hidden[..., None], schema.shape[2], axis=-1)
    return hidden
