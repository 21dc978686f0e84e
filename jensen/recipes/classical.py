"""Classical models with exact log p(x), as recipes like the deep ones."""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch

from ..core.errors import UsageError
from ..core.rows import evenly_spaced
from ..estimators.enumeration import Enumerate
from ..estimators.reparameterized import Pathwise
from ..families import Categorical, FullGaussian, Gaussian
from ..guides import Exact
from ..models.conditionals import Linear, Table, Unconditional
from ..models.model import LatentVariableModel
from ..objectives import Elbo, ImportanceWeighted
from ..training import (
    ClosedStep,
    FactorAlternation,
    FactorEM,
    GaussianMaximum,
    MixtureEM,
    Player,
    PrincipalComponents,
    check_clusters,
    component_params,
    kmeans,
)
from .base import BuiltModel, RecipeContext, recipe

__all__ = ["factor_analysis", "gaussian", "gmm", "ppca"]

Fit = Literal["closed", "em", "gradient"]
Covariance = Literal["diag", "full", "tied", "spherical"]


def _step(fit: str, **steps: ClosedStep) -> ClosedStep | None:
    """Return the closed-form step of that name, None for "gradient".

    Raises:
        UsageError: the model has no such step.
    """
    if fit != "gradient" and fit not in steps:
        choices = ", ".join([*steps, "gradient"])
        raise UsageError(f"--fit must be one of {choices}, got {fit}", f"Choose from {choices}.")
    return steps.get(fit)


@recipe("gaussian", "Gauss 1809", title="diagonal Gaussian", density=True, keep="last", epochs=300)
def gaussian(context: RecipeContext, *, fit: Literal["closed", "gradient"] = "closed") -> BuiltModel:
    """One Gaussian with a variance per feature and no latents: maximum likelihood in closed form."""
    p = Unconditional(Gaussian(context.dim, floor=context.learned_floor()), learn=True)
    model = LatentVariableModel(Unconditional(Gaussian(0)), p)
    closed = _step(fit, closed=GaussianMaximum())
    return BuiltModel(model, Exact(model), [Player(Elbo(), [p.value], Pathwise(1), context.optimizer, closed=closed)])


@recipe("gmm", "Dempster, Laird & Rubin 1977", title="Gaussian mixture", density=True, keep="last", epochs=300)
def gmm(
    context: RecipeContext,
    *,
    components: int = 10,
    covariance: Covariance = "diag",
    fit: Literal["em", "gradient"] = "em",
) -> BuiltModel:
    """A mixture of Gaussians, initialised by k-means: exact log p(x) by enumeration."""
    check_clusters(components, len(context.rows))
    prior = Unconditional(Categorical(components), learn=True)
    p = Table(_component(covariance, context.dim, context.learned_floor()), components)
    model = LatentVariableModel(prior, p)
    _start_from_kmeans(p, context)
    learned, closed = [prior.value, *p.parameters()], _step(fit, em=MixtureEM())
    player = Player(ImportanceWeighted(), learned, Enumerate(), context.optimizer, closed=closed)
    return BuiltModel(model, Exact(model), [player])


def _component(covariance: str, dim: int, floor: float) -> Gaussian | FullGaussian:
    """Return the family of the components of a mixture.

    Raises:
        UsageError: there is no such covariance.
    """
    if covariance in ("full", "tied"):
        return FullGaussian(dim, "each" if covariance == "full" else "shared", floor)
    if covariance not in get_args(Covariance):
        choices = ", ".join(get_args(Covariance))
        raise UsageError(f"--covariance must be one of {choices}, got {covariance}", f"Choose from {choices}.")
    return Gaussian(dim, "one" if covariance == "spherical" else "each", floor)


@recipe(
    "ppca",
    "Tipping & Bishop 1999",
    title="probabilistic PCA model",
    density=True,
    standardize="global",
    keep="last",
    epochs=300,
)
def ppca(context: RecipeContext, *, latent: int = 16, fit: Fit = "closed") -> BuiltModel:
    """Probabilistic principal component analysis: linear decoder, one noise variance, exact log p(x)."""
    return _linear_model(context, latent, "shared", _step(fit, closed=PrincipalComponents(), em=FactorEM()))


@recipe(
    "factor-analysis",
    "Joreskog 1967; Rubin & Thayer 1982",
    title="factor analysis model",
    density=True,
    keep="last",
    epochs=1000,
)
def factor_analysis(context: RecipeContext, *, latent: int = 16, fit: Fit = "closed") -> BuiltModel:
    """Factor analysis: linear decoder, a noise variance per feature; `--fit closed` alternates two exact steps."""
    return _linear_model(context, latent, "feature", _step(fit, closed=FactorAlternation(), em=FactorEM()))


def _linear_model(
    context: RecipeContext, latent: int, noise: Literal["shared", "feature"], closed: ClosedStep | None
) -> BuiltModel:
    """Return a linear Gaussian model, started at the data's mean, with its exact posterior.

    Raises:
        UsageError: there are not fewer latents than features.
    """
    if latent >= context.dim:
        raise UsageError(
            f"--latent must be below the data's {context.dim} features, got {latent}",
            f"Give --latent {context.dim - 1} or less.",
        )
    floor = context.learned_floor() if noise == "feature" else context.shared_floor()
    p = Linear(latent, context.dim, noise, floor)
    p.assign(p.W.detach(), context.mean, p.noise_variance.detach())
    model = LatentVariableModel(Unconditional(Gaussian(latent)), p)
    return BuiltModel(
        model, Exact(model), [Player(Elbo(), list(p.parameters()), Pathwise(1), context.optimizer, closed=closed)]
    )


def _start_from_kmeans(table: Table, context: RecipeContext) -> None:
    """Start each component at a k-means cluster of a subsample, with the pooled covariance within clusters."""
    n, k = len(context.rows), len(table.table)
    index = evenly_spaced(n, 20_000, context.rows.device, nearest=False, dtype=torch.float32)
    x = context.rows.take(index).x.double().cpu()
    centres, labels = kmeans(x, k, context.seed)
    away, family = x - centres[labels], cast("Gaussian | FullGaussian", table.family)
    spread = away.mT @ away / len(x) if isinstance(family, FullGaussian) else away.square().mean(0)
    start, own = component_params(family, centres.double(), spread).to(table.table), table.table.shape[1]
    with torch.no_grad():
        table.table.copy_(start[:, :own])
        if table.free is not None:
            table.free.copy_(start[0, own:])
