"""The search for numbers that are not finite, with few looks at the device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["REMEDY", "first_nonfinite", "is_finite"]

REMEDY = "Lower --lr, set --clip 10, or look at the data for extreme values."


def is_finite(tensor: Tensor) -> bool:
    """Return whether every entry is finite."""
    return bool(tensor.isfinite().all())


@torch.no_grad()
def first_nonfinite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with an entry that is not finite; None, after one look, if there is none.

    Example:
        >>> first_nonfinite({"a": torch.ones(2), "b": torch.tensor([1.0, torch.inf])})
        'b'
    """
    floating = {name: t for name, t in tensors.items() if t.is_floating_point() and t.numel()}
    if not floating:
        return None
    device = next(iter(floating.values())).device
    # a sum of finite numbers may overflow: only then is each tensor looked at by itself
    if is_finite(torch.stack([t.sum().to(device, torch.float32) for t in floating.values()])):
        return None
    return next((name for name, t in floating.items() if not is_finite(t)), None)
