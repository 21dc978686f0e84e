"""Two players: the model climbs a bound while awake, the guide goes down the inclusive divergence."""

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
from .networks import decoder, encoder, last

__all__ = ["reweighted_wake_sleep", "wake_sleep"]

Units = Literal["bits", "gaussian"]
LOUD = {"bits": (60.0, 5.0), "gaussian": (10.0, 1.0)}  # how loud codes are said, and heard, at first: times the usual


@recipe("wake-sleep", "Hinton, Dayan, Frey & Neal 1995")
def wake_sleep(
    context: RecipeContext, nets: Nets, *, latent: int = 12, units: Units = "bits", points: int = 1
) -> BuiltModel:
    """The Helmholtz machine: awake the model climbs the ELBO, asleep the guide learns to read the model's dreams."""
    model, guide = _pair(context, nets, latent, units)
    wake = Player(Elbo(), list(model.parameters()), DetachedSamples(points), context.optimizer)
    return BuiltModel(
        model, guide, [wake, Player(SleepPhase(), list(guide.parameters()), FromModel(), context.optimizer)]
    )


@recipe("reweighted-wake-sleep", "Bornschein & Bengio 2015", most=120)
def reweighted_wake_sleep(
    context: RecipeContext, nets: Nets, *, latent: int = 12, units: Units = "bits", points: int = 10
) -> BuiltModel:
    """Wake-sleep by importance weights: a tighter bound for the model, and a guide that learns from the data."""
    model, guide = _pair(context, nets, latent, units)
    wake = Player(ImportanceWeighted(), list(model.parameters()), DetachedSamples(points), context.optimizer)
    return BuiltModel(
        model, guide, [wake, Player(Inclusive(), list(guide.parameters()), DetachedSamples(points), context.optimizer)]
    )


def _pair(context: RecipeContext, nets: Nets, latent: int, units: Units) -> tuple[LatentVariableModel, Amortized]:
    """Bits that are on with learned probabilities, or standard normal features; a guide of the same kind."""
    family: Family = Bernoulli(latent) if units == "bits" else Gaussian(latent)
    model = LatentVariableModel(Unconditional(family, learn=units == "bits"), decoder(context, nets, latent))
    guide = Given(encoder(context, nets, family.size), family)
    if nets.hidden or nets.blocks or nets.net == "conv":  # affine maps are loud as they are
        _awake(last(guide.net), next(m for m in model.likelihood.modules() if isinstance(m, nn.Linear)), latent, units)
    return model, Amortized(guide)


@torch.no_grad()
def _awake(says: nn.Linear, hears: nn.Linear, latent: int, units: Units) -> None:
    """Let codes be a random map of x that says something from the start, and is heard.

    Where q = p(z) and p(x | z) = p(x), no gradient moves guide or model from one another: dreams tell nothing of the z
    that they came from, and codes nothing of x. Nets as they usually begin are so near to it that hundreds of steps
    do not lead away.
    """
    said, heard = LOUD[units]
    says.weight[:latent] *= said  # of a Gaussian the locations alone
    hears.weight *= heard
