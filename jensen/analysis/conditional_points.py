"""Latent points by which p(x_A) is one sum for every set A of columns: conditionals of the joint follow from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Independent

from ..core.batch import Batch
from ..core.errors import CompositionError, NotNormalised
from ..core.random import drawing_from
from ..estimators.enumeration import bit_states, class_states
from ..evaluate.exact import number_of_states
from ..evaluate.importance import NUMBERS, widest
from ..families import Bernoulli, OneHots
from ..models.draw import place
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .gibbs import likelihood_at

__all__ = [
    "JointPoints",
    "check_conditionals",
    "column_terms",
    "hidden",
    "is_enumerable",
    "joint_points",
    "terms_and_values",
    "without_each",
]

MOST_STATES = 1 << 12  # of a finite latent, all of which are in memory for each datum


@dataclass(frozen=True)
class JointPoints:
    r"""K latent points for each of B data, with which, for every set A of columns,

    .. math:: p(x_A) \approx \sum_k e^{b_k} \prod_{d \in A} p(x_d \mid z_k)

    Attributes:
        z: [K, B, Z], or [K, 1, Z] where they are the same for all data.
        base: b, [K, B] or [K, 1], in double precision.
        is_exact: True if the sum has no error: z runs over all states.
    """

    z: Tensor
    base: Tensor
    is_exact: bool = False


def check_conditionals(model: LatentVariableModel, guide: Guide) -> None:
    """Refuse models in which a column cannot be conditioned on others.

    Raises:
        NotNormalised: p(x | z) or q(z | x) has no density.
        CompositionError: columns depend on each other given z, or q(z | x) is one point.
    """
    if not model.likelihood.has_density:
        raise NotNormalised(
            "this model only samples: p(x|z) has no density by which columns could be conditioned on",
            "Train a recipe with a density, such as vae.",
        )
    like = next(iter(model.parameters()))
    usual = model.usual
    p = likelihood_at(model, like.new_zeros(1, 1, model.latent), None if usual is None else usual[None])
    if not (model.likelihood.family.factorises and isinstance(p, Independent)):  # and not position by position
        raise CompositionError(
            f"features of {model.likelihood.family.phrase} depend on each other given z, so that one has no"
            " distribution of its own there",
            "Train with a likelihood that factorises over features, such as that of recipe miwae.",
        )
    if is_enumerable(model):
        return
    if guide.samples_rate:
        raise CompositionError(
            "a diffusion only estimates log p(z), so it has no weights by which to condition some columns on others",
            "Draw missing entries: jensen impute RUN; or train --recipe table or vae.",
        )
    if not guide.has_density:
        raise NotNormalised(
            "a deterministic encoder has no density q(z|x), so its points cannot be weighted",
            "Train a recipe with a density, such as vae.",
        )
    if guide.is_certain:
        raise CompositionError(
            f"points are weighted by the noise in q(z|x), and there is none in {guide.phrase}", "Train a vae."
        )


def is_enumerable(model: LatentVariableModel) -> bool:
    """Return whether the latent has so few states that all of them can be the points."""
    states = number_of_states(model)
    return model.latent == 0 or (states is not None and states <= MOST_STATES)


def hidden(batch: Batch, mask: Tensor, fill: Tensor) -> Batch:
    """Return the data [B, D] of which no more is observed than this mask says; `fill` [D] is in the other places."""
    mask = mask.expand(batch.x.shape)
    mask = mask if batch.mask is None else mask & batch.mask
    return replace(batch, x=torch.where(mask, batch.x, fill.to(batch.x)), mask=mask)


@torch.no_grad()
def joint_points(
    model: LatentVariableModel,
    guide: Guide,
    batch: Batch,
    masks: Sequence[Tensor],
    fill: Tensor,
    k: int,
    generator: torch.Generator | None = None,
) -> JointPoints:
    r"""Return points for the sets A of columns that these masks say, and for their subsets with less accuracy.

    Of a finite latent they are all states. Else they are drawn, in equal numbers, from the guide given each set and
    from the prior, and weighted by the density of the mixture of all of these, q(z):
    :math:`b_k = \log p(z_k) - \log q(z_k) - \log K`. A point that one proposal misses is within reach of another, and
    no weight exceeds the number of proposals times p(x_A | z).

    Under an exact guide the points are of the first set alone, for which all weights are equal.

    Args:
        model: with a likelihood that factorises; see `check_conditionals`.
        guide: proposes points.
        batch: [B, D], all that is known.
        masks: [D] or [B, D] each, True for columns in the set.
        fill: [D] the guide's input in place of a column that is not.
        k: points per datum, K, rounded down to a multiple of the number of proposals.
        generator: of the points.

    Source: Veach & Guibas, "Optimally combining sampling techniques for Monte Carlo rendering", 1995 (the balance
    heuristic); Owen & Zhou, "Safe and effective importance sampling", 2000.
    """
    if is_enumerable(model):
        z = _states(model, batch.x)[:, None]
        return JointPoints(z, model.prior.log_prob(z, batch.context).double().expand(len(z), -1), is_exact=True)
    if masks and (guide.is_exact or not guide.scores_any_point):
        q = guide(hidden(batch, masks[0], fill))
        z = place(q, k, generator)[0]
        return JointPoints(z, (model.prior.log_prob(z, batch.context) - q.log_prob(z)).double() - math.log(k))
    proposals = [guide(hidden(batch, mask, fill)) for mask in masks]
    each = max(k // (len(proposals) + 1), 1)
    prior = model.prior(batch.context)
    with drawing_from(generator):
        of_prior = prior.sample((each, len(batch)) if prior.batch_shape == () else (each,))
    z = torch.cat([*(place(q, each, generator)[0] for q in proposals), of_prior])
    log_prior = model.prior.log_prob(z, batch.context).double()
    log_sum = log_prior
    for q in proposals:
        log_sum = torch.logaddexp(log_sum, q.log_prob(z).double())
    return JointPoints(z, log_prior - log_sum - math.log(each))


def _states(model: LatentVariableModel, like: Tensor) -> Tensor:
    """Return all states [S, Z] of a finite latent; the only one of none."""
    family, n = model.prior.family, number_of_states(model) or 1
    if model.latent == 0:
        return like.new_zeros(1, 0)
    if isinstance(family, OneHots):
        return class_states(family.groups, family.classes, 0, n, like)
    if isinstance(family, Bernoulli):
        return bit_states(model.latent, 0, n, like)
    return torch.eye(n, dtype=like.dtype, device=like.device)


def column_terms(model: LatentVariableModel, points: JointPoints, batch: Batch) -> Tensor:
    """Return log p(x_d | z_k) [K, B, D] of the observed entries, 0 of others, in double precision."""
    return terms_and_values(model, points, batch, None)[0]


@torch.no_grad()
def terms_and_values(
    model: LatentVariableModel, points: JointPoints, batch: Batch, of_params: Callable[[Tensor], Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Return the terms of `column_terms`, and values of the parameters of p(x | z_k) [K, B, S], from one pass of the
    network.

    Args:
        model, points, batch: as for `column_terms`.
        of_params: from parameters [..., P] to values [..., S]; None for none.
    """
    at_once = max(NUMBERS // widest(model) // points.z.shape[1], 1)
    pieces, values = [], []
    for z in points.z.split(at_once):
        params = model.likelihood_params(z, batch.context)
        pieces.append(model.likelihood.family.terms(params, batch.x).double().expand(len(z), *batch.x.shape))
        own = params.new_zeros(0) if of_params is None else of_params(params)
        values.append(own.expand(len(z), points.z.shape[1], -1))
    terms = torch.cat(pieces)
    return (terms if batch.mask is None else torch.where(batch.mask, terms, 0.0)), torch.cat(values)


def without_each(terms: Tensor) -> Tensor:
    """Return the sums [..., D] of terms [..., D] over all columns but one, for each: without subtraction, so that one
    that is infinite is no NaN elsewhere.

    Example:
        >>> without_each(torch.tensor([1.0, 2.0, -torch.inf])).tolist()
        [-inf, -inf, 3.0]
    """
    zero = torch.zeros_like(terms[..., :1])
    before = torch.cat([zero, terms[..., :-1]], -1).cumsum(-1)
    after = torch.cat([terms[..., 1:], zero], -1).flip(-1).cumsum(-1).flip(-1)
    return before + after
