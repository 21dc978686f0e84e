"""A guide over classes, some of which are observed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..distributions import Clamped
from ..families import Categorical
from ..models.conditionals import Conditional
from ..models.guide import Guide

__all__ = ["Labelled"]


@part
class Labelled(Guide):
    """q(y | x) = conditional(x) where the class y is not known, else the known class with probability one.

    Known classes are the context of the batch: one-hot rows [B, C], zero where the class is not known. With the class
    as a latent of the model, the ELBO of a datum of known class is then the bound on log p(x, y), and that of any other
    the bound on log p(x). (Not so `ImportanceWeighted` where the classes are enumerated: there the guide cancels, and
    the known classes with it, so that it is log p(x) for all.)

    Args:
        conditional: from x [B, D] to one of C classes.

    Source: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models", 2014.

    Raises:
        CompositionError: the conditional is not over classes.
    """

    def __init__(self, conditional: Conditional) -> None:
        super().__init__()
        if not isinstance(conditional.family, Categorical):
            raise CompositionError(
                f"the conditional must be over classes, got {conditional.family.phrase}", "Use Categorical(C)."
            )
        self.conditional = conditional

    def logits(self, x: Tensor) -> Tensor:
        """Return log q(y | x) [B, C] of the conditional, known classes ignored."""
        return torch.log_softmax(self.conditional.params(x), -1)

    def forward(self, batch: Batch) -> Distribution:
        logits = self.logits(batch.x)
        known = torch.zeros_like(logits) if batch.context is None else batch.context.to(logits)
        return Clamped(logits, known)

    @property
    def phrase(self) -> str:
        return f"{self.conditional.phrase} where no label is known"
