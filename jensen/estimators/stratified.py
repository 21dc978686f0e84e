"""Stratified points: equally many from every component of a mixture guide, weighted by the component."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.distributions import MixtureSameFamily

from ..core.annotations import Steps
from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..models.draw import Draw, place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .base import PointsPerDatum, WeightedSamples

__all__ = ["Stratified"]


@part
@dataclass(frozen=True)
class Stratified(PointsPerDatum, WeightedSamples):
    r"""k reparameterised points from each of the C components of a mixture guide.

    .. math:: z_{jk} \sim q_j(z|x), \qquad e^{l_{jk}} = \pi_j(x) / k

    Means over the draw are unbiased, the weights' gradient passes through the measure, and the choice of a component
    adds no noise; the importance-weighted bound of C k points stays a bound.

    Args:
        k: points per component and datum.

    Source: Morningstar, Vikram, Ham, Gallagher & Dillon, "Automatic differentiation variational inference with
    mixtures", 2021.
    """

    k: Steps = 1

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        if not (isinstance(q, MixtureSameFamily) and q.component_distribution.has_rsample):
            raise CompositionError(
                f"stratified points are for a mixture of real components, not {type(q).__name__}", "Use Pathwise(k)."
            )
        z, _ = place(q.component_distribution, self.k, generator, rows=1)  # [k, B, C, Z]
        measure = q.mixture_distribution.logits.log_softmax(-1) - math.log(self.k)  # [B, C]
        measure = measure.T.expand(self.k, -1, -1)  # [k, C, B]
        return weigh(model, q, z.transpose(1, 2).flatten(0, 1), batch, measure.flatten(0, 1))
