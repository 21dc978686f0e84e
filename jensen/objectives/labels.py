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
    """log q(y | x) of the class y that is known, and 0 where none is: a classifier's log-likelihood, in nats.

    The bound of a datum of known class does not train q(y | x), which it has no use for: this term does (Kingma et al.,
    2014).

    Raises:
        CompositionError: when it is read, if the guide has no classes that can be known.
    """

    needs_likelihood: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        q = draw.guide.first if isinstance(draw.guide, Chained) else draw.guide
        if not isinstance(q, Clamped):
            raise CompositionError("Classification needs a guide that is told classes", "Use Labelled(...) first.")
        return torch.where(q.known > 0, q.free.logits, 0.0).sum(-1)

    def __str__(self) -> str:
        return "Classification"
