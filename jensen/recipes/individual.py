"""Guides that are fitted to each datum: by gradient steps, or along a path towards its posterior."""

from __future__ import annotations

from ..families import Gaussian
from ..guides import Hamiltonian
from ..guides.refined import PerDatum, Refined
from ..models.conditionals import Unconditional
from ..models.model import LatentVariableModel
from ..objectives import Distortion, Rate
from ..training import Optimizer, Player
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import decoder, gaussian_pair, play, warmed

__all__ = ["hamiltonian", "refined", "svi"]


@recipe("svi", "Hoffman et al. 2013", title="VAE without an encoder", epochs=100)
def svi(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    local_steps: int = 1,
    local_lr: float = 1.0,
    steps: int = 100,
) -> BuiltModel:
    """A VAE without an encoder: stochastic variational inference fits a Gaussian to each datum by gradient steps."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent))
    guide = PerDatum(model, Gaussian(latent), len(context.rows), steps)
    objective = -Distortion() - Rate()
    # Adagrad does not move rows of the table that are not in the batch, and has a learning rate per row
    local = Optimizer("Adagrad", local_lr, (("fused", False),))
    table = Player(objective, [guide.table], optimizer=local, steps=local_steps)
    return BuiltModel(model, guide, [table, Player(objective, list(model.parameters()), optimizer=context.optimizer)])


@recipe("refined", "Kim et al. 2018", title="semi-amortised VAE")
def refined(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    steps: int = 50,
    warmup: int | None = None,
    points: int = 1,
) -> BuiltModel:
    """A semi-amortised VAE: at evaluation, the guide is refined by gradient steps for each datum."""
    model, guide = gaussian_pair(context, nets, latent)
    objective = -Distortion() - warmed(context, 1.0, warmup) * Rate()
    return play(context, model, Refined(model, guide, steps, 0.05), objective, points)


@recipe("hamiltonian", "Salimans, Kingma & Welling 2015", title="VAE with a Hamiltonian guide", epochs=100)
def hamiltonian(
    context: RecipeContext, nets: Nets, *, latent: int = 16, leapfrog_steps: int = 4, warmup: int | None = None
) -> BuiltModel:
    """A VAE whose guide takes annealed leapfrog steps towards each posterior, trained as a part of the guide."""
    model, guide = gaussian_pair(context, nets, latent)
    objective = -Distortion() - warmed(context, 1.0, warmup) * Rate()
    return play(context, model, Hamiltonian(model, guide, leapfrog_steps), objective)
