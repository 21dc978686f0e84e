"""Means of p(x | z) in few operations: sums over many levels or points are one broadcast, not a loop in the graph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from ..core.errors import CompositionError
from ..distributions import (
    Choice,
    DiscretizedLogistic,
    FeatureMixture,
    Heaped,
    LinkedNormal,
    LogitNormal,
    LogNormal,
    OrderedLogistic,
)
from ..distributions.numbers import LOG_2PI
from ..families import Columns, Family
from ..models.conditionals import Conditional
from .likelihoods import features_of, unwrapped

__all__ = ["level_means", "logit_normal_means", "mean_of"]

MOST_LEVELS = 1024  # of integers whose mean is a sum over levels
AT_ONCE = 16  # levels that are summed at once
POINTS = 40  # to either side, of the trapezoidal rule: those of `LogitNormal`


def level_means(loc: Tensor, scale: Tensor, levels: int) -> Tensor:
    """Return the means [...] of discretised logistics: sums over levels, some at once.

    Raises:
        CompositionError: there are too many levels.
    """
    if levels > MOST_LEVELS:
        raise CompositionError(
            f"the mean of {levels:,} levels is a sum over all of them, and a graph has at most {MOST_LEVELS:,}",
            "Train with --dequantize, or on data of fewer levels.",
        )
    edges = torch.arange(levels - 1, dtype=loc.dtype, device=loc.device) * (2 / (levels - 1)) - 1 + 1 / (levels - 1)
    parts = edges.split(AT_ONCE)
    return sum(
        (torch.sigmoid((loc.unsqueeze(-1) - edge) / scale.unsqueeze(-1)).sum(-1) for edge in parts),
        torch.zeros_like(loc),
    )


def logit_normal_means(loc: Tensor, scale: Tensor) -> Tensor:
    """Return the means [...] of logit-normal variables as `LogitNormal` does: by the trapezoidal rule, in double."""
    loc, scale = loc.to(torch.float64).unsqueeze(-1), scale.to(torch.float64).unsqueeze(-1)
    points = torch.arange(-POINTS, POINTS + 1, dtype=torch.float64, device=loc.device)
    z, t = 0.25 * points, 0.7 * points
    weight, mass = 0.25 * torch.exp(-0.5 * (z.square() + LOG_2PI)), 0.7 * torch.sigmoid(t) * torch.sigmoid(-t)
    near = (weight * torch.sigmoid(loc + scale.clamp_max(1.0) * z)).sum(-1)
    far = (mass * torch.special.ndtr((loc - t) / scale.clamp_min(1.0))).sum(-1)
    return torch.where(scale.squeeze(-1) < 1, near, far).clamp(0, 1)


def mean_of(likelihood: Conditional, params: Tensor) -> Tensor:
    """Return the mean of p(x | z) [B, D], in the model's space: of mixed columns numbers and the most probable levels.

    Raises:
        CompositionError: it has no closed form.
    """
    family = likelihood.family
    if isinstance(family, Columns):
        groups = [_column_points(f, p) for f, p in zip(family.families, family.split(params), strict=True)]
        joined = torch.cat(groups, -1)
        places = [column for group in family.places for column in group]
        order = torch.tensor([places.index(column) for column in range(family.dim)])
        return joined.index_select(-1, order)
    distribution = likelihood.at(params)
    base = unwrapped(distribution)
    if isinstance(base, DiscretizedLogistic):
        return level_means(base.loc, base.scale, base.levels)
    if isinstance(distribution, Independent):
        return _mean(base)
    try:
        return distribution.mean
    except NotImplementedError as error:
        raise CompositionError(
            f"the mean of {family.phrase} has no closed form", "Train with another likelihood: --likelihood."
        ) from error


def _column_points(family: Family, params: Tensor) -> Tensor:
    """Return the mean, or the most probable level, of each column [B, D_g] of a group."""
    features = features_of(family, params)
    if isinstance(features, Choice | OrderedLogistic):
        return features.probs.argmax(-1).to(params.dtype)
    if isinstance(features, Bernoulli):
        return (features.logits > 0).to(params.dtype)
    return _mean(features)


def _mean(features: Distribution) -> Tensor:
    """Return the means [..., D] of the distributions of features."""
    if isinstance(features, FeatureMixture):
        return (features.logits.softmax(-1) * _mean(features.base)).sum(-1)
    if isinstance(features, Heaped):
        weights = features.logs.exp()
        return weights[..., 0] * _mean(features.rest) + (weights[..., 1:] * features.heaps).sum(-1)
    if isinstance(features, LogitNormal):
        return logit_normal_means(features.loc, features.scale).to(features.loc.dtype)
    if isinstance(features, LinkedNormal):
        loc, scale, mean = features.loc, features.scale, features.loc
        if features.is_positive is not None:
            mean = torch.where(features.is_positive, LogNormal(loc, scale, False).mean, mean)
        if features.is_unit is not None:
            mean = torch.where(features.is_unit, logit_normal_means(loc, scale).to(loc.dtype), mean)
        return mean
    return features.mean
