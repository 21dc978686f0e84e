"""Weights along training: when they are kept, and what the bound and its gap were at each of them."""

from __future__ import annotations

import math
from pathlib import Path

from ..core.errors import CorruptRunError
from .run_folder import CHECKPOINTS

__all__ = ["file_name", "kept_epochs", "moments"]


def moments(epochs: int, n: int) -> tuple[int, ...]:
    """The epochs, at most n of them, after which weights are kept: first, last, and evenly in the logarithm between.

    Example:
        >>> moments(100, 5)
        (1, 3, 10, 32, 100)
        >>> moments(3, 8), moments(100, 0), moments(100, 1)
        ((1, 2, 3), (), (100,))
    """
    if n < 2:
        return (epochs,) * n
    steps = [round(math.exp(math.log(epochs) * i / (n - 1))) for i in range(n)]
    return tuple(sorted(set(steps)))


def file_name(epoch: int) -> str:
    """Where the weights after an epoch are, within the run.

    Example:
        >>> file_name(12)
        'checkpoints/epoch-000012.safetensors'
    """
    return f"{CHECKPOINTS}/epoch-{epoch:06}.safetensors"


def kept_epochs(folder: Path) -> list[int]:
    """The epochs whose weights the run has kept, in order.

    Raises:
        CorruptRunError: a file among them is none of a run's.
    """
    found = []
    for path in sorted((folder / CHECKPOINTS).glob("epoch-*.safetensors")):
        digits = path.stem.removeprefix("epoch-")
        if not digits.isdecimal() or path.name != Path(file_name(int(digits))).name:
            raise CorruptRunError(f"{path} is not named as a checkpoint is", "Remove it, or give it back its name.")
        found.append(int(digits))
    return found
