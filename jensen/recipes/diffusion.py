"""Diffusions: ladders of latents as large as the data, whose guide adds noise and is not learned."""

from __future__ import annotations

from typing import Literal

from ..core.errors import UsageError
from ..core.validation import require_above
from ..models.diffused import Diffused, DiffusionPrior
from ..models.model import LatentVariableModel
from ..objectives import Distortion, NoiseError, Rate
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, recipe
from .chains import (
    chain_code,
    chain_of,
    fitted_likelihood,
    last_noise,
    latent_chain,
    schedule_of,
    trained,
)
from .networks import decoder, encoder, warmed

__all__ = ["conditional_diffusion", "ddpm", "diffusion", "latent_diffusion"]

LOUDEST = 3.0  # noise of the codes, of which the last noise is a multiple
Scheduled = Literal["linear", "cosine", "learned"]
Predicted = Literal["velocity", "noise", "data"]


@recipe("diffusion", "Kingma, Salimans, Poole & Ho 2021", title="variational diffusion model", columns="auto")
def diffusion(
    context: RecipeContext,
    nets: Nets,
    *,
    levels: int | None = None,
    noise_schedule: Scheduled = "linear",
    predicts: Predicted = "velocity",
) -> BuiltModel:
    """A diffusion trained on its bound: noise is added to x in continuous time, or in `levels`, and taken off again."""
    code = chain_code(context)
    chain = chain_of(context, nets, code, schedule_of(noise_schedule, last_noise(context)), levels, predicts)
    likelihood = fitted_likelihood(context, nets, context.likelihood(nets.likelihood), code, chain)
    return trained(context, chain, code, likelihood, -Distortion() - Rate())


@recipe("ddpm", "Ho, Jain & Abbeel 2020", title="denoising diffusion", columns="auto")
def ddpm(
    context: RecipeContext,
    nets: Nets,
    *,
    levels: int = 1000,
    noise_schedule: Scheduled = "cosine",
    predicts: Predicted = "noise",
) -> BuiltModel:
    """A diffusion trained on the error of its noise at all levels alike: no bound, though it is measured by one."""
    code = chain_code(context)
    chain = chain_of(context, nets, code, schedule_of(noise_schedule, last_noise(context)), levels, predicts)
    likelihood = fitted_likelihood(context, nets, context.likelihood(nets.likelihood), code, chain)
    return trained(context, chain, code, likelihood, -Distortion() - NoiseError())


@recipe("conditional-diffusion", "Ho & Salimans 2022", title="conditional diffusion", labels="context")
def conditional_diffusion(
    context: RecipeContext,
    nets: Nets,
    *,
    levels: int | None = None,
    noise_schedule: Scheduled = "linear",
    predicts: Predicted = "velocity",
) -> BuiltModel:
    """A diffusion of x given its label or labels; a tenth of the rows train without them, so samples can be guided."""
    code = chain_code(context)
    times = schedule_of(noise_schedule, last_noise(context))
    chain = chain_of(context, nets, code, times, levels, predicts, context.classes)
    likelihood = fitted_likelihood(context, nets, context.likelihood(nets.likelihood), code, chain)
    return trained(context, chain, code, likelihood, -Distortion() - Rate())


@recipe("latent-diffusion", "Vahdat, Kreis & Kautz 2021; Rombach et al. 2022", title="latent diffusion")
def latent_diffusion(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    noise: float = 0.3,
    first: float = 1.0,
    warmup: int | None = None,
) -> BuiltModel:
    """A VAE whose prior is a diffusion of the codes, trained together; or the prior alone after the `first` part."""
    _check_latent(noise, first)
    chain = latent_chain(nets, latent, schedule_of("linear", noise))
    model = LatentVariableModel(DiffusionPrior(chain), decoder(context, nets, latent))
    guide = Diffused(chain, encoder(context, nets, latent))
    bound, optimizer = -Distortion() - warmed(context, 1.0, warmup) * Rate(), context.optimizer
    both = list(dict.fromkeys([*model.parameters(), *guide.parameters()]))
    if first == 1:
        return BuiltModel(model, guide, [Player(bound, both, optimizer=optimizer)])
    one = Player(bound, both, optimizer=optimizer, during=(0.0, first))
    two = Player(-Rate(), list(chain.parameters()), optimizer=optimizer, during=(first, 1.0))
    return BuiltModel(model, guide, [one, two])


def _check_latent(noise: float, first: float) -> None:
    """Refuse noise of the codes, or a part of the epochs, outside its range."""
    if not 0 < first <= 1:
        what = f"--first must be a fraction above 0, and at most 1, got {first:g}"
        raise UsageError(what, "Give the fraction of the epochs in which encoder and decoder are trained, such as 0.7.")
    require_above(0, noise=noise)
    if noise > LOUDEST:
        raise UsageError(f"--noise must be at most {LOUDEST:g}, got {noise:g}", "Give one such as 0.3.")
