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
    r"""\|h - e\|^2 [B], summed over codes and their numbers, of what was rounded to the codes e, which are constants.

    A penalty, no part of any bound, and not in nats; to be subtracted. It keeps the encoder from running away from the
    codes, which follow it.

    Source: van den Oord, Vinyals & Kavukcuoglu, "Neural discrete representation learning", 2017.

    Raises:
        CompositionError: when called, if the guide does not round to codes.
    """

    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        if not isinstance(draw.guide, OneState):
            raise CompositionError(
                f"a commitment is to codes, and {type(draw.guide).__name__} has none",
                "Use Quantized(...) as the guide.",
            )
        return torch.square(draw.guide.h - draw.guide.value).sum(-1)

    def __str__(self) -> str:
        return "Commitment"
