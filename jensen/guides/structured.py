"""A guide whose second group of latents is given the first."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.parts import part
from ..core.precision import applied
from ..core.shapes import broadcast_shapes
from ..distributions import Chained
from ..models.conditionals import Conditional
from ..models.guide import Guide

__all__ = ["Structured"]


@part
class Structured(Guide):
    r"""z = [y, z'] with :math:`q(z|x) = q(y|x)\, q(z'|x, y)`: for latents of which some are classes.

    Args:
        first: q(y | x).
        then: from [x, y], [..., B, D + Y], to a distribution over z'.
        features: of x, [B, D] -> [B, F], which `then` takes in place of x: computed once for all y.

    Source: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models", 2014.

    Example:
        >>> from jensen.models.conditionals import Given
        >>> from jensen.families import Categorical, Gaussian
        >>> from jensen.guides import Amortized
        >>> from torch import nn
        >>> first = Amortized(Given(nn.Linear(5, 3), Categorical(3)))
        >>> guide = Structured(first, Given(nn.Linear(8, 4), Gaussian(2)))
        >>> guide(Batch(torch.zeros(6, 5))).event_shape
        torch.Size([5])
    """

    def __init__(self, first: Guide, then: Conditional, features: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.then, self.features = first, then, features

    def forward(self, batch: Batch) -> Distribution:
        x = batch.x if self.features is None else applied(self.features, batch.x)

        def then(y: Tensor) -> Distribution:
            shape = broadcast_shapes(x.shape[:-1], y.shape[:-1])
            return self.then(torch.cat([x.expand(*shape, -1), y.expand(*shape, -1)], -1))

        return Chained(self.first(batch), then, self.then.family.dim)

    @property
    def phrase(self) -> str:
        return f"{self.first.phrase}, then {self.then.phrase}"

    @property
    def has_density(self) -> bool:
        return self.first.has_density and self.then.has_density

    @property
    def scores_any_point(self) -> bool:
        return self.first.scores_any_point
