r"""The draw: K weighted latent points per datum, with all their log-densities. Objectives read nothing else.

With a log-measure :math:`l` for which :math:`\sum_k e^{l_k} = 1`, and
:math:`\log w_k = \log p(x|z_k) + \log p(z_k) - \log q(z_k|x)`, every quantity of the field is one of two reductions:

    E_q[f]    ~  sum_k exp(l_k) f_k              ELBO, rate, distortion, ...
    log p(x)  ~  logsumexp_k(l_k + log w_k)      importance-weighted bounds, evaluation, exact sums

| placement                              | l_k                       | log p(x) is                   |
|----------------------------------------|---------------------------|-------------------------------|
| Monte Carlo                            | -log K                    | the IWAE-K bound              |
| enumeration of a finite z              | log q(z_k | x)            | exact                         |
| Gauss-Hermite about the guide          | log of the rule's weights | exact to the rule's order     |
| any, if the guide is the posterior     | any                       | exact: log w_k is constant    |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence

from ..core.batch import Batch
from ..core.random import drawing_from, normal_like_rows
from ..core.shapes import Groups, Latents, PerDatum, Points
from ..distributions.normal_terms import normal_rate
from .ladder import shared_walk
from .model import LatentVariableModel
from .walks import Walk

__all__ = ["Draw", "closed_rate", "place", "weigh"]

T = TypeVar("T")


def _computed_once(f: Callable[[Any], T]) -> cached_property[T]:
    """Return a property that is computed once, on first access, with gradients if the draw was made with them."""

    def compute(draw: Draw) -> T:
        with torch.set_grad_enabled(draw.differentiable):
            return f(draw)

    compute.__doc__ = f.__doc__
    return cached_property(compute)


@dataclass(frozen=True)
class Draw:
    """K weighted points for each of B data.

    Terms are computed on first access: a closed-form rate needs neither the prior's nor the guide's density at the
    points. A draw must therefore be read before the parameters change.

    Attributes:
        batch: the data.
        z: [K, B, Z] the points.
        noise: [K, B, Z] the standard normal noise of the points, where they were made from it.
        guide: q(z | x), as a distribution.
        model: the model at whose parameters the densities are taken.
        likelihood_params: the parameters of p(x | z), of a shape that broadcasts to [K, B, P].
        log_lik: [K, B] log p(x | z); NaN where the likelihood only samples.
        measure: [K, B] or [], the l above, where it is not the guide's.
        enumerated: z runs over all states, and the measure is the guide's.
        mass: q is a point mass, whose log-density is not formed (it is recorded as 0).
        differentiable: whether gradients were being recorded.
        walk: a pass through what model and guide share, with its densities; None elsewhere.
        frozen: z -> log q(z | x) at the guide's current parameters as constants, for estimators that need it.
        offset: [K, B] l - log q(z | x), where it is known directly and not as a difference; None elsewhere.
    """

    batch: Batch
    z: Latents
    noise: Latents | None
    guide: Distribution
    model: LatentVariableModel
    likelihood_params: Tensor
    log_lik: Points
    measure: Tensor | None
    enumerated: bool
    mass: bool
    differentiable: bool
    walk: Walk | None = None
    frozen: Callable[[Tensor], Tensor] | None = None
    offset: Tensor | None = None

    @_computed_once
    def log_prior(self) -> Groups:
        """log p(z) [K, B, G], by group."""
        if self.walk is not None:
            return self.walk.log_prior
        z = self.z[:, :1] if self.enumerated else self.z  # the states are the same for every datum
        return self.model.prior.log_prob(z, self.batch.context).expand_as(self.log_lik)[..., None]

    @_computed_once
    def log_guide(self) -> Groups:
        """log q(z | x) [K, B, G], by group."""
        if self.walk is not None:
            return self.walk.log_prob
        return (torch.zeros_like(self.log_lik) if self.mass else self.guide.log_prob(self.z))[..., None]

    @_computed_once
    def log_measure(self) -> Points:
        """The log-measure l [K, B]."""
        if self.enumerated:
            return self.log_guide.sum(-1)
        measure = self.log_lik.new_full((), -math.log(len(self.z))) if self.measure is None else self.measure
        return measure.expand_as(self.log_lik)

    @_computed_once
    def log_offset(self) -> Points:
        """l - log q(z | x) [K, B]; exactly zero for an enumeration, also where q is zero."""
        if self.enumerated:
            return torch.zeros_like(self.log_lik)
        return self.log_measure - self.log_guide.sum(-1) if self.offset is None else self.offset

    @_computed_once
    def likelihood(self) -> Distribution:
        """The likelihood p(x | z) at the points."""
        return self.model.likelihood.at(self.likelihood_params)

    @_computed_once
    def prior(self) -> Distribution:
        """The prior p(z)."""
        return self.model.prior(self.batch.context)

    @property
    def log_weight(self) -> Points:
        """The log-weights log w [K, B]."""
        return self.log_lik + (self.log_prior - self.log_guide).sum(-1)

    @_computed_once
    def distortion(self) -> PerDatum:
        """The distortion -E_q[log p(x | z)] [B]."""
        return -self.mean(self.log_lik)

    @_computed_once
    def rate(self) -> PerDatum:
        """The rate KL(q(z | x) || p(z)) [B], in closed form where torch has one, else by the draw's points.

        On a ladder it is in closed form for each rung, given the points above.
        """
        if self.walk is not None:
            return self.mean(self.walk.rate.sum(-1))
        exact = closed_rate(self.guide, self.prior, len(self.batch))
        return self.mean((self.log_guide - self.log_prior).sum(-1)) if exact is None else exact

    def mean(self, f: Points) -> PerDatum:
        """Return E_q[f] [B] of values [K, B]; points of measure zero do not count, even if f is not finite there."""
        if self.noise is not None:  # Monte Carlo: equal weights, none of them zero
            return f.squeeze(0) if len(f) == 1 else f.mean(0)
        counts = self.log_measure > -torch.inf
        kept = torch.where(counts, f, torch.zeros_like(f))
        return (torch.where(counts, self.log_measure, 0.0).exp() * counts * kept).sum(0)

    @_computed_once
    def log_evidence(self) -> PerDatum:
        """The estimate log sum_k exp(l_k) w_k [B]; the guide cancels before it is exponentiated."""
        return torch.logsumexp(self.log_lik + self.log_prior.sum(-1) + self.log_offset, 0)


def _normal_features(p: Distribution) -> Normal | None:
    """Return the normal distributions of independent features; None of any other distribution."""
    if not isinstance(p, Independent) or p.reinterpreted_batch_ndims != 1:
        return None
    return p.base_dist if type(p.base_dist) is Normal else None


_NO_CLOSED_FORM: set[tuple[type, ...]] = set()


def closed_rate(guide: Distribution, prior: Distribution, b: int) -> Tensor | None:
    """Return KL(guide || prior) [B] by torch's registry of closed forms; None where it has none."""
    first, second = _normal_features(guide), _normal_features(prior)
    if first is not None and second is not None and guide.event_shape == prior.event_shape:
        return normal_rate(first.loc, first.scale, second.loc, second.scale).expand(b)
    pair = tuple(type(d) for p in (guide, prior) for d in (p, getattr(p, "base_dist", p)))
    if pair in _NO_CLOSED_FORM:
        return None
    if isinstance(getattr(prior, "base_dist", prior), Bernoulli):
        prior = prior.expand(guide.batch_shape)  # torch's closed form of this pair does not broadcast
    try:
        return kl_divergence(guide, prior).expand(b)
    except NotImplementedError:
        _NO_CLOSED_FORM.add(pair)
        return None


def place(
    guide: Distribution, k: int, generator: torch.Generator | None, rows: int = -2
) -> tuple[Tensor, Tensor | None]:
    """Draw K samples [K, B, Z] of a guide, reparameterised where it is; return them with their normal noise, if any.

    Args:
        guide: to draw from.
        k: samples per datum.
        generator: of the noise.
        rows: the axis of the samples that counts data.
    """
    if isinstance(guide, Independent) and isinstance(guide.base_dist, Normal):
        loc, scale = guide.base_dist.loc, guide.base_dist.scale
        noise = normal_like_rows((k, *loc.shape), rows, loc, generator)
        return torch.addcmul(loc, scale, noise), noise
    with drawing_from(generator):
        return (guide.rsample if guide.has_rsample else guide.sample)((k,)), None


def weigh(
    model: LatentVariableModel,
    guide: Distribution,
    z: Tensor,
    batch: Batch,
    log_measure: Tensor | None = None,
    noise: Tensor | None = None,
    *,
    enumerated: bool = False,
    mass: bool = False,
) -> Draw:
    """Return the draw of these points, by which every density of an objective is evaluated.

    Args:
        guide: q(z | x), batch shape [B].
        z: [K, B, Z].
        log_measure: [K, B]; None means Monte Carlo, -log K.
        enumerated: z runs over all states, and the measure is the guide's.
        mass: q is a point mass, whose log-density is not formed.
    """
    # the states are the same for every datum: one pass of the network serves all data
    same_states = enumerated and not model.likelihood.sees_context
    shared = shared_walk(model, guide, z)
    walk, params = shared or (None, model.likelihood_params(z[:, :1] if same_states else z, batch.context))
    params = model.likelihood.adapted(params, batch.x, batch.mask)
    if model.likelihood.has_density:
        log_lik = model.likelihood.scored_batch(params, batch).expand(z.shape[:2])
    else:  # NaN in place of a density; objectives that would read it are refused before
        log_lik = z.new_full(z.shape[:2], torch.nan)
    return Draw(
        batch=batch,
        z=z,
        noise=noise,
        guide=guide,
        model=model,
        likelihood_params=params,
        log_lik=log_lik,
        measure=log_measure,
        enumerated=enumerated,
        mass=mass,
        differentiable=torch.is_grad_enabled(),
        walk=walk,
    )
