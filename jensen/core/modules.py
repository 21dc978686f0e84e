"""Modules as named tensors, in the names that weights and training states have on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["joined", "named_tensors", "unchanged_buffers"]


def joined(model: nn.Module, guide: nn.Module) -> nn.ModuleDict:
    """Return model and guide as one module; what both hold appears once, under the model."""
    return nn.ModuleDict({"model": model, "guide": guide})


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name, each once.

    Example:
        >>> shared = nn.Linear(2, 1)
        >>> list(named_tensors(joined(nn.Sequential(shared), nn.Sequential(shared))))
        ['model.0.weight', 'model.0.bias']
    """
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@contextmanager
def unchanged_buffers(module: nn.Module) -> Iterator[nn.Module]:
    """A scope after which buffers and modes are restored, so that running averages count nothing within it."""
    modes = {m: m.training for m in module.modules()}
    held = [(b, b.detach().clone()) for b in module.buffers()]
    try:
        yield module
    finally:
        with torch.no_grad():
            for buffer, value in held:
                buffer.copy_(value)
        for each, mode in modes.items():
            each.training = mode
