"""The commitment of an encoder to its codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import CompositionError
from ..core.parts import part
from ..distributions import OneState
from ..models.draw import Draw
from .base import Objective

__all__ = ["Commitment"]


@part
@dataclass(frozen=True)
class Commitment(Objective):
    r"""\|h - e\|^2 [B], summed over codes and their components: h is the encoder's output, e its nearest codes.

    The codes are constants here. A penalty, no part of any bound, and not in nats; to be subtracted. It keeps the
    encoder's outputs near the codes, which follow them.

    Source: van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning", 2017.

    Raises:
        CompositionError: when called, if the guide does not round to codes.
    """

    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        if not isinstance(draw.guide, OneState):
            raise CompositionError(
                f"Commitment needs a guide that rounds to codes, not {type(draw.guide).__name__}",
                "Use Quantized(...) as the guide.",
            )
        return torch.square(draw.guide.h - draw.guide.value).sum(-1)

    def __str__(self) -> str:
        return "Commitment"
