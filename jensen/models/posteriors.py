"""Exact posteriors: a registry of closed forms, in the manner of torch's `register_kl`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, OneHotCategorical

from ..core.batch import Batch
from ..core.errors import NoExactPosterior
from ..families import Categorical, Family, Gaussian
from .conditionals import Conditional, Linear, Table, Unconditional

__all__ = ["has_posterior", "posterior", "register_posterior"]

NUMBERS = 1 << 24  # densities of data under the components of a mixture, formed at once
_FORMS: dict[tuple[type, type], Callable[..., Distribution]] = {}


def register_posterior(prior: type[Family], likelihood: type[Conditional]) -> Callable[[Any], Any]:
    """Register a closed form of p(z | x): (prior, likelihood, batch) -> distribution over z, batch shape [B].

    Args:
        prior: the family of the prior.
        likelihood: the kind of conditional that the likelihood is.
    """

    def register(form: Callable[..., Distribution]) -> Callable[..., Distribution]:
        _FORMS[prior, likelihood] = form
        return form

    return register


def has_posterior(prior: Conditional, likelihood: Conditional) -> bool:
    """Return whether a closed form is registered for this pair."""
    if _pair(prior, likelihood) not in _FORMS:
        return False
    return not isinstance(likelihood, Linear | Table) or isinstance(prior, Unconditional)


def posterior(prior: Conditional, likelihood: Conditional, batch: Batch) -> Distribution:
    """Return p(z | x) by the registered closed form; batch shape [B].

    Raises:
        NoExactPosterior: there is none for this pair.
    """
    if not has_posterior(prior, likelihood):
        pair = f"a {type(prior.family).__name__} prior with a {type(likelihood).__name__} likelihood"
        raise NoExactPosterior(f"no closed form of p(z|x) is known for {pair}", "Use Amortized(...) as the guide.")
    return _FORMS[_pair(prior, likelihood)](prior, likelihood, batch)


def _pair(prior: Conditional, likelihood: Conditional) -> tuple[type, type]:
    """Return the key of a form: a likelihood that does not depend on z counts as an `Unconditional`."""
    return type(prior.family), Unconditional if likelihood.is_constant else type(likelihood)


@register_posterior(Gaussian, Linear)
def _linear_gaussian(prior: Conditional, likelihood: Linear, batch: Batch) -> Distribution:
    """Return N(m, S), S^-1 = V^-1 + W' Psi^-1 W, m = S (W' Psi^-1 (x - b) + V^-1 mu), V and mu the prior's.

    Where entries of x are missing, their rows of W, Psi and x - b are left out: S then differs between data.
    """
    family = prior.family
    mu, sd = family.loc_scale(prior.params(batch.context))  # pyright: ignore[reportAttributeAccessIssue]
    prior_precision = sd.square().reciprocal().expand(mu.shape)
    weighted = likelihood.W / likelihood.noise_variance[:, None]  # Psi^-1 W, [D, Z]
    residual = batch.x - likelihood.b
    if batch.mask is None:
        data_precision = likelihood.W.mT @ weighted
    else:
        residual = torch.where(batch.mask, residual, torch.zeros_like(residual))
        products = likelihood.W[:, :, None] * weighted[:, None, :]  # [D, Z, Z]
        data_precision = (batch.mask.to(products) @ products.flatten(1)).unflatten(-1, products.shape[1:])
    precision = torch.diag_embed(prior_precision) + data_precision
    chol = torch.linalg.cholesky(precision)
    pull = residual @ weighted + prior_precision * mu
    mean = torch.cholesky_solve(pull[..., None], chol)[..., 0]
    # precision = L L', so covariance = L^-T L^-1; its lower Cholesky factor comes from the flipped problem
    return MultivariateNormal(mean, scale_tril=_lower_of_inverse(precision), validate_args=False)


def _lower_of_inverse(precision: Tensor) -> Tensor:
    """Return the lower Cholesky factor of the inverse of a positive definite matrix, without forming the inverse."""
    flipped = torch.linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1).mT
    eye = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return torch.linalg.solve_triangular(flipped, eye, upper=False)


@register_posterior(Categorical, Table)
def _finite(prior: Conditional, likelihood: Table, batch: Batch) -> Distribution:
    """Return p(z = j | x), proportional to p(z = j) p(x | z = j): the responsibilities of a mixture."""
    n, x = len(likelihood.table), batch.x[:, None]
    mask = None if batch.mask is None else batch.mask[:, None]
    # row by row of the table: a one-hot of each class would be n^2 numbers; a program has no number of data yet
    many = n if torch.compiler.is_exporting() else NUMBERS // max(len(batch) * likelihood.family.size, 1)
    rows = max(many, 1)
    pieces = [likelihood.rows(i, i + rows) for i in range(0, n, rows)]
    log_lik = torch.cat([likelihood.family.log_prob(params, x, mask) for params in pieces], -1)  # [B, n]
    return OneHotCategorical(logits=log_lik + torch.log_softmax(prior.params(batch.context), -1), validate_args=False)


@register_posterior(Gaussian, Unconditional)
def _unused(prior: Conditional, likelihood: Conditional, batch: Batch) -> Distribution:
    """Return p(z | x) = p(z): the likelihood does not depend on z (a model without latents has Z = 0)."""
    return prior.family(prior.params(batch.context).expand(len(batch), -1))
