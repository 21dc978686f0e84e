"""Who looks on while training steps, and whether all numbers are finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..core.batch import Batch
from ..models.draw import Draw
from .events import Measures
from .players import Player

__all__ = ["Watch", "first_bad"]


class Watch:
    """Is told of every step, and of what happens in it; this one does nothing.

    Attributes:
        quiet: nothing is told to listeners, nor kept: these steps have been made before.
    """

    quiet = False

    def before(self, epoch: int, batch: Batch, noise: torch.Generator) -> None:
        """A step is about to be made on this batch."""

    def valued(self, player: Player, draw: Draw, value: Tensor) -> None:
        """What the player climbs has this value [B]."""

    def graded(self, player: Player) -> None:
        """Its gradient has been found."""

    def after(self) -> None:
        """A step has been made, or a new epoch begins."""

    def ended(self, train: Measures) -> None:
        """An epoch is over, and its measures are finite."""


@torch.no_grad()
def first_bad(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with an entry that is not finite; one look at the device where there is none.

    Example:
        >>> first_bad({"a": torch.ones(2), "b": torch.tensor([1.0, torch.inf])})
        'b'
    """
    floating = {k: t for k, t in tensors.items() if t.is_floating_point() and t.numel()}
    if not floating:
        return None
    device = next(iter(floating.values())).device
    # a sum of finite numbers may overflow, which a closer look tells apart
    if bool(torch.stack([t.sum().to(device, torch.float32) for t in floating.values()]).isfinite().all()):
        return None
    return next((k for k, t in floating.items() if not bool(t.isfinite().all())), None)
