"""Two players: the model maximises a bound on log p(x), the guide minimises the inclusive divergence KL(p || q)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from ..estimators.wake_sleep import DetachedSamples, FromModel
from ..families import Bernoulli, Family, Gaussian
from ..guides import Amortized
from ..models.conditionals import Given, Unconditional
from ..models.model import LatentVariableModel
from ..objectives import Elbo, ImportanceWeighted
from ..objectives.wake_sleep import Inclusive, SleepPhase
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import convolves, decoder, encoder, last

__all__ = ["reweighted_wake_sleep", "wake_sleep"]

Units = Literal["bits", "gaussian"]
# initial weight scales of the encoder's last and the decoder's first layer, in multiples of the usual ones
WEIGHT_SCALES = {"bits": (60.0, 5.0), "gaussian": (10.0, 1.0)}


@recipe("wake-sleep", "Hinton, Dayan, Frey & Neal 1995", title="Helmholtz machine (wake-sleep)")
def wake_sleep(
    context: RecipeContext, nets: Nets, *, latent: int = 12, units: Units = "bits", points: int = 1
) -> BuiltModel:
    """A Helmholtz machine: the model is trained on the ELBO, the guide on samples of the model."""
    model, guide = _pair(context, nets, latent, units)
    wake = Player(Elbo(), list(model.parameters()), DetachedSamples(points), context.optimizer)
    return BuiltModel(
        model, guide, [wake, Player(SleepPhase(), list(guide.parameters()), FromModel(), context.optimizer)]
    )


@recipe(
    "reweighted-wake-sleep", "Bornschein & Bengio 2015", title="Helmholtz machine (reweighted wake-sleep)", most=120
)
def reweighted_wake_sleep(
    context: RecipeContext, nets: Nets, *, latent: int = 12, units: Units = "bits", points: int = 10
) -> BuiltModel:
    """A Helmholtz machine trained with importance weights: a tighter bound, and a guide trained on the data."""
    model, guide = _pair(context, nets, latent, units)
    wake = Player(ImportanceWeighted(), list(model.parameters()), DetachedSamples(points), context.optimizer)
    return BuiltModel(
        model, guide, [wake, Player(Inclusive(), list(guide.parameters()), DetachedSamples(points), context.optimizer)]
    )


def _pair(context: RecipeContext, nets: Nets, latent: int, units: Units) -> tuple[LatentVariableModel, Amortized]:
    """Return a model of bits with learned probabilities, or of standard normal features, and a guide of that family."""
    family: Family = Bernoulli(latent) if units == "bits" else Gaussian(latent)
    model = LatentVariableModel(Unconditional(family, learn=units == "bits"), decoder(context, nets, latent))
    guide = Given(encoder(context, nets, family.size), family)
    if nets.hidden or nets.blocks or convolves(context, nets):  # affine maps need no other scale
        first = next(m for m in model.likelihood.modules() if isinstance(m, nn.Linear))
        _scale_weights(last(guide.net), first, latent, units)
    return model, Amortized(guide)


@torch.no_grad()
def _scale_weights(encoder_end: nn.Linear, decoder_start: nn.Linear, latent: int, units: Units) -> None:
    """Scale the initial weights so that codes depend on x, and reconstructions on codes, from the start.

    Where q = p(z) and p(x | z) = p(x), all gradients vanish: samples of the model say nothing about their z, and codes
    nothing about x. With the usual initial weights, networks start so near to this point that hundreds of steps do not
    leave it.
    """
    encoder_scale, decoder_scale = WEIGHT_SCALES[units]
    encoder_end.weight[:latent] *= encoder_scale  # of a Gaussian the locations alone
    decoder_start.weight *= decoder_scale
