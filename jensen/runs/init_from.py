"""A training that starts from the weights of another run."""

from __future__ import annotations

from pathlib import Path

import torch

from ..core.errors import UsageError
from ..core.modules import joined, named_tensors
from .run import load

__all__ = ["take_over"]


def take_over(module: torch.nn.Module, folder: Path) -> str:
    """Start from another run's weights, where names and shapes agree; return how many did, in words.

    Raises:
        UsageError: none of what is trained agrees.
    """
    other = load(folder)
    theirs, mine = named_tensors(joined(other.model, other.guide)), named_tensors(module)
    common = [n for n, t in mine.items() if n in theirs and theirs[n].shape == t.shape]
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    if not trained & set(common):
        raise UsageError(f"no weights of {folder} fit this model", "Give --init-from a run of the same shape.")
    with torch.no_grad():
        for name in common:
            mine[name].copy_(theirs[name])
    return f"{len(common)} of {len(mine)} tensors start from {folder}"
