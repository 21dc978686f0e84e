"""Surrogates: values whose gradient is an estimator's own, and densities with the guide's parameters as constants."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.func import functional_call

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..models.draw import Draw
from ..models.guide import Guide
from ..objectives import Objective, weighted
from .base import GradientEstimator

__all__ = ["frozen_density", "require_density", "require_scores", "surrogate_value"]


class _Scorer(nn.Module):
    """A module that computes log q(z | x), so that the guide's parameters can be replaced by constants."""

    def __init__(self, guide: Guide) -> None:
        super().__init__()
        self.guide = guide

    def forward(self, batch: Batch, z: Tensor) -> Tensor:
        return self.guide(batch).log_prob(z)


def frozen_density(guide: Guide, q: Distribution, batch: Batch) -> Callable[[Tensor], Tensor]:
    """Return z -> log q(z | x) [K, B] with the guide's parameters as constants, so that gradients pass through z alone.

    A diagonal Gaussian is detached; any other guide is run again with its parameters detached, also those that it
    shares with the model, and must score points that this second run did not draw.

    Raises:
        CompositionError: when called, if the guide cannot score such points.
    """
    if isinstance(q, Independent) and isinstance(q.base_dist, Normal):
        base = Normal(q.base_dist.loc.detach(), q.base_dist.scale.detach(), validate_args=False)
        return Independent(base, 1, validate_args=False).log_prob
    scorer = _Scorer(guide)
    constants = {name: p.detach() for name, p in scorer.named_parameters()}

    def log_prob(z: Tensor) -> Tensor:
        try:
            return functional_call(scorer, constants, (batch, z))
        except (NotImplementedError, CompositionError) as error:
            raise CompositionError(
                f"{guide.phrase} cannot score a point that it did not just make", "Use Pathwise(k)."
            ) from error

    return log_prob


def require_density(estimator: GradientEstimator, guide: Guide) -> None:
    """Refuse a guide whose log q(z | x) cannot be differentiated.

    Raises:
        CompositionError: it has no density, or no noise.
    """
    if not guide.has_density:
        raise CompositionError(
            f"{estimator} differentiates log q(z|x), which {type(guide).__name__} does not have", "Use Pathwise()."
        )
    if guide.is_certain:
        raise CompositionError(
            f"{estimator} needs noise in q(z|x), and there is none in {guide.phrase}", "Use Pathwise()."
        )


def require_scores(guide: Guide) -> None:
    """Refuse a guide that can only score points that it has just made.

    Raises:
        CompositionError: naming the guide.
    """
    if not guide.scores_any_point:
        raise CompositionError(f"{guide.phrase} cannot score a point that it did not just make", "Use Pathwise(k).")


def surrogate_value(objective: Objective, draw: Draw, surrogate: Callable[[Objective, Draw], Tensor]) -> Tensor:
    """Return [B] with the objective's value and the gradient of its terms' surrogates."""
    value = objective(draw)
    if not (torch.is_grad_enabled() and draw.differentiable):
        return value
    parts = [weighted(weight, surrogate(term, draw)) for weight, term in objective.terms]
    total = sum(parts[1:], parts[0]) if parts else value
    return value.detach() + (total - total.detach())
