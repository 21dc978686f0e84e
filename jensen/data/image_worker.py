"""The process that decodes images for `image_rows`: it reads requests from stdin, and writes pixels to stdout."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from .image_sizes import Header, Resize
from .images import pixels_of

__all__ = ["decode", "serve"]


def decode(asked: dict[str, Any]) -> np.ndarray:
    """Return the pixels [N, H, W, C] of the images of a request.

    Raises:
        DataError: an image is damaged, or has other pixels than its header says.
    """
    to = asked["resize"]
    resize = None if to is None else Resize(tuple(to["size"]), to["fit"])
    rows = []
    for path, size, family in asked["files"]:
        pixels = pixels_of(Header(Path(path), tuple(size), family), asked["target"], resize, Counter())
        if list(pixels.shape) != list(asked["shape"]):
            raise DataError(f"{path} is damaged (its pixels do not match its header)")
        rows.append(pixels)
    return np.stack(rows)


def serve() -> None:
    """Answer requests until there are no more; an interrupt is the business of the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        try:
            pixels, error = decode(json.loads(line)), None
        except DataError as refusal:
            pixels, error = None, refusal.what
        sys.stdout.buffer.write(json.dumps({"error": error}).encode() + b"\n")
        if pixels is not None:
            sys.stdout.buffer.write(np.ascontiguousarray(pixels).tobytes())
        sys.stdout.buffer.flush()
