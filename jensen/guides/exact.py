"""The exact posterior as a guide: the evidence is then exact too."""

from __future__ import annotations

import torch
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.parts import part
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..models.posteriors import has_posterior, posterior

__all__ = ["Exact"]


@part
class Exact(Guide):
    """q(z | x) = p(z | x) in closed form: every objective becomes the exact evidence.

    Args:
        model: one whose prior and likelihood have a registered posterior.

    Raises:
        NoExactPosterior: at once, if they have none.
    """

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        if not has_posterior(model.prior, model.likelihood):
            posterior(model.prior, model.likelihood, Batch(torch.zeros(0, 0)))  # raises with the remedy
        self.model = model

    def forward(self, batch: Batch) -> Distribution:
        return self.model.posterior(batch)

    @property
    def phrase(self) -> str:
        return "the exact posterior"

    @property
    def is_exact(self) -> bool:
        return True
