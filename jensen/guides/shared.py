"""Guides that do not depend on x: the prior itself, and one distribution for all data."""

from __future__ import annotations

from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.parts import part
from ..models.conditionals import Conditional, Unconditional
from ..models.guide import Guide

__all__ = ["FromPrior", "Shared"]


@part
class FromPrior(Guide):
    """q(z | x) = p(z), so that the points of a draw are the prior's: the guide of a model without an encoder (a GAN).

    Args:
        prior: of the model.
    """

    def __init__(self, prior: Conditional) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, batch: Batch) -> Distribution:
        prior = self.prior(batch.context)
        return prior.expand((len(batch),)) if prior.batch_shape == () else prior

    @property
    def phrase(self) -> str:
        return "the prior (no encoder)"

    @property
    def infers(self) -> bool:
        return False


@part
class Shared(Guide):
    """q(z), one distribution for all data: a baseline without x.

    Args:
        conditional: its parameters do not depend on x.
    """

    def __init__(self, conditional: Unconditional) -> None:
        super().__init__()
        self.conditional = conditional

    def forward(self, batch: Batch) -> Distribution:
        params = self.conditional.params()
        return self.conditional.family(params.expand(len(batch), *params.shape))

    @property
    def phrase(self) -> str:
        return f"one {self.conditional.family.phrase} for all data"
