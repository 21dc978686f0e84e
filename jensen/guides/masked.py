"""A guide that takes the mask of observed entries."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.parts import part
from ..models.conditionals import Conditional
from ..models.guide import Guide

__all__ = ["Masked"]


@part
class Masked(Guide):
    """q(z | x_observed, mask) = conditional([x, mask - 1]): where everything is observed, the mask adds nothing.

    Args:
        conditional: from [B, 2 D], the data (filled where they are missing) and 0 where observed, -1 where not.

    Source: Collier, Nazabal & Williams, "VAEs in the presence of missing data", 2020.
    """

    def __init__(self, conditional: Conditional) -> None:
        super().__init__()
        self.conditional = conditional

    def net_input(self, batch: Batch) -> Tensor:
        """Return the input of the conditional: [x, mask - 1], [B, 2 D]."""
        mask = torch.zeros_like(batch.x) if batch.mask is None else batch.mask.to(batch.x) - 1
        return torch.cat([batch.x, mask], -1)

    def forward(self, batch: Batch) -> Distribution:
        return self.conditional(self.net_input(batch))

    @property
    def phrase(self) -> str:
        return f"{self.conditional.phrase} that sees the mask"
