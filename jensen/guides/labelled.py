"""A guide over classes that is told the class of some data."""

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
    """q(y | x) = conditional(x), where the class y is not known; where it is, that class for certain.

    What is known is the context of the batch: one-hot rows [B, C], zero where nothing is. With the class as a latent of
    the model, the ELBO of a datum of known class is then the bound on log p(x, y), and that of any other the bound on
    log p(x). (Not so `ImportanceWeighted` where the classes are enumerated: the guide cancels there, and with it what
    it knows, so that it is log p(x) for all.)

    Args:
        conditional: from x [B, D] to one of C classes.

    Source: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models", 2014.

    Raises:
        CompositionError: the conditional is not over classes.
    """

    def __init__(self, conditional: Conditional) -> None:
        super().__init__()
        if not isinstance(conditional.family, Categorical):
            raise CompositionError(f"{conditional.family.phrase} is not over classes", "Use Categorical(C).")
        self.conditional = conditional

    def logits(self, x: Tensor) -> Tensor:
        """log q(y | x) [B, C], whatever is known."""
        return torch.log_softmax(self.conditional.params(x), -1)

    def forward(self, batch: Batch) -> Distribution:
        logits = self.logits(batch.x)
        known = torch.zeros_like(logits) if batch.context is None else batch.context.to(logits)
        return Clamped(logits, known)

    @property
    def phrase(self) -> str:
        return f"{self.conditional.phrase} where no label is known"
