"""The log-likelihood of known labels under the guide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import CompositionError
from ..core.parts import part
from ..distributions import Chained, Clamped
from ..models.draw import Draw
from .base import Objective

__all__ = ["Classification"]


@part
@dataclass(frozen=True)
class Classification(Objective):
    """log q(y | x) of the known class y, and 0 where the class is unknown: a classifier's log-likelihood, in nats.

    The bound of a datum of known class does not contain q(y | x), and so does not train it: this term does (Kingma et
    al., 2014).

    Raises:
        CompositionError: when called, if the guide does not take known classes.
    """

    needs_likelihood: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        q = draw.guide.first if isinstance(draw.guide, Chained) else draw.guide
        if not isinstance(q, Clamped):
            raise CompositionError("Classification needs a guide that takes known classes", "Use Labelled(...) first.")
        return torch.where(q.known > 0, q.free.logits, 0.0).sum(-1)

    def __str__(self) -> str:
        return "Classification"
