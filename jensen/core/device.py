"""The device that numbers are computed on."""

from __future__ import annotations

import torch

from .errors import UsageError

__all__ = ["resolve_device"]


def resolve_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is the accelerator where there is one, else the CPU.

    Raises:
        UsageError: it cannot be used here.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(1, device=device).cpu()  # a device without memory, such as meta, fails here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"the device {name!r} cannot be used here", "Use --device cpu.") from error
    return device
