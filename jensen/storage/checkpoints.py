"""Checkpoints: weights that are kept along training, by their epochs."""

from __future__ import annotations

import math
from pathlib import Path

from ..core.errors import CorruptRunError
from .run_folder import CHECKPOINTS

__all__ = ["checkpoint_epochs", "file_name", "kept_epochs"]


def checkpoint_epochs(epochs: int, n: int) -> tuple[int, ...]:
    """Return at most n epochs after which weights are kept: the first, the last, and between evenly in the logarithm.

    Example:
        >>> checkpoint_epochs(100, 5)
        (1, 3, 10, 32, 100)
        >>> checkpoint_epochs(3, 8), checkpoint_epochs(100, 0), checkpoint_epochs(100, 1)
        ((1, 2, 3), (), (100,))
    """
    if n < 2:
        return (epochs,) * n
    steps = [round(math.exp(math.log(epochs) * i / (n - 1))) for i in range(n)]
    return tuple(sorted(set(steps)))


def file_name(epoch: int) -> str:
    """Return the path of the weights after an epoch, within the run.

    Example:
        >>> file_name(12)
        'checkpoints/epoch-000012.safetensors'
    """
    return f"{CHECKPOINTS}/epoch-{epoch:06}.safetensors"


def kept_epochs(folder: Path) -> list[int]:
    """Return the epochs whose weights a run has kept, in order.

    Raises:
        CorruptRunError: a file among them is not named as a checkpoint.
    """
    epochs = []
    for path in sorted((folder / CHECKPOINTS).glob("epoch-*.safetensors")):
        digits = path.stem.removeprefix("epoch-")
        if not digits.isdecimal() or path.name != Path(file_name(int(digits))).name:
            raise CorruptRunError(f"{path} is not named as a checkpoint", "Remove it, or give it back its name.")
        epochs.append(int(digits))
    return epochs
