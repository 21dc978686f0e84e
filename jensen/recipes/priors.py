"""Models with learned priors."""

from __future__ import annotations

import torch

from ..core.rows import evenly_spaced
from ..families import Gaussian, Mixture
from ..flows import AffineCoupling, Stack
from ..models.conditionals import Unconditional
from ..models.model import LatentVariableModel
from ..models.priors import FlowPrior, VampPrior
from ..objectives import Distortion, Elbo, Rate
from ..training import Player, PriorClusters, check_clusters
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import gaussian_pair, play, warmed

__all__ = ["flow_prior", "mixture_prior", "vampprior"]


@recipe("vampprior", "Tomczak & Welling 2018", title="VampPrior VAE")
def vampprior(
    context: RecipeContext, nets: Nets, *, latent: int = 16, components: int = 200, warmup: int | None = None
) -> BuiltModel:
    """A VAE whose prior is the mixture of the guide's posteriors of learned pseudo-inputs."""
    model, guide = gaussian_pair(context, nets, latent)
    prior = VampPrior(guide, context.dim, components)
    prior.start_from(_pseudo_inputs(context, components))
    model = LatentVariableModel(prior, model.likelihood)
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


@recipe("mixture-prior", "Dilokthanakul et al. 2016; Jiang et al. 2017", title="VAE with a mixture prior")
def mixture_prior(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    components: int = 10,
    warmup: int | None = None,
    first: float = 0.1,
) -> BuiltModel:
    """A VAE whose prior is a learned mixture of Gaussians; its components cluster the data.

    The components are equal for the first part of the epochs, and then start from k-means of the codes.
    """
    check_clusters(components, len(context.rows))
    model, guide = gaussian_pair(context, nets, latent)
    model = LatentVariableModel(Unconditional(Mixture(Gaussian(latent), components), learn=True), model.likelihood)
    built = play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())
    epochs = max(context.epochs, 1)
    begin = min(round(first * epochs), epochs - 1)
    step, one_epoch = PriorClusters(guide, context.seed), (begin / epochs, (begin + 1) / epochs)
    start = Player(Elbo(), list(model.prior.parameters()), closed=step, during=one_epoch)
    return BuiltModel(model, guide, [*built.players, start])


@recipe("flow-prior", "Chen et al. 2017", title="VAE with a flow prior")
def flow_prior(
    context: RecipeContext, nets: Nets, *, latent: int = 16, flows: int = 4, warmup: int | None = None
) -> BuiltModel:
    """A VAE whose prior is a standard normal transformed by affine coupling flows."""
    model, guide = gaussian_pair(context, nets, latent)
    stack = Stack([AffineCoupling(latent, flip=bool(i % 2)) for i in range(flows)])
    model = LatentVariableModel(FlowPrior(Unconditional(Gaussian(latent)), stack), model.likelihood)
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


def _pseudo_inputs(context: RecipeContext, n: int) -> torch.Tensor:
    """Return training rows [n, D] as the model sees them, evenly spaced."""
    index = evenly_spaced(len(context.rows), n, context.rows.device, nearest=False, dtype=torch.float32)
    noise = torch.Generator(context.rows.device).manual_seed(context.seed)
    return context.rows.take(index, noise).x
