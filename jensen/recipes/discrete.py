"""Models with discrete latents: quantised codes, and classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import nn

from ..estimators.enumeration import Enumerate
from ..estimators.reparameterized import Pathwise
from ..estimators.score import Score
from ..families import Family, OneHots
from ..guides import Amortized, Quantized
from ..models.autoregressive import over_codes
from ..models.codebooks import Codebook, CodePrior, Codes, Lattice
from ..models.conditionals import Given, Unconditional
from ..models.model import LatentVariableModel
from ..nets import Chain, FromGrid, ToGrid
from ..objectives import Commitment, Distortion, Objective, Rate
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import convolves, decoder, encoder, family_of, features, image_shape, play, standardized, warmed

__all__ = ["categorical", "fsq", "gumbel", "vq_vae"]

LARGEST = 7  # side of a grid of codes
CODES = 0.6  # share of the training for the codes; what remains is for their prior

Grid = int | tuple[int, int]  # the number of codes in a row, or (h, w)


def _nets(
    context: RecipeContext, nets: Nets, latent: int, size: int, family: Family
) -> tuple[nn.Module, nn.Module, Grid]:
    """Return encoder, decoder, and the layout of the codes."""
    if not convolves(context, nets):
        return encoder(context, nets, latent * size), features(context, nets, latent * size, family), latent
    shape, planes = image_shape(context), (family.size - family.shared) // context.dim
    halvings = max(1, math.ceil(math.log2(max(shape[:2]) / LARGEST)))
    width, activation, blocks = nets.width, nets.activation, max(nets.blocks or 0, 1)
    down = ToGrid(shape, size, halvings, width, activation, blocks)
    up = FromGrid(size, shape, planes, halvings, width, activation, blocks)
    return Chain((standardized(context), down)), up, down.size


def _coded(context: RecipeContext, nets: Nets, latent: int, codes: Codes, more: Objective | None = None) -> BuiltModel:
    """Train the codes first, under the initial prior, and then the prior over codes that no longer change."""
    family = family_of(context, nets)
    q, p, grid = _nets(context, nets, latent, codes.width, family)
    groups = grid if isinstance(grid, int) else math.prod(grid)
    prior = CodePrior(codes, groups, over_codes(grid, codes.n))
    model, guide = LatentVariableModel(prior, Given(p, family)), Quantized(q, codes, groups)
    bound = -Distortion() - Rate()
    both = [*model.likelihood.parameters(), *guide.parameters()]
    learn = Player(bound if more is None else bound - more, both, Pathwise(), context.optimizer, during=(0.0, CODES))
    over = Player(-Rate(), list(prior.parameters()), Pathwise(), context.optimizer, during=(CODES, 1.0))
    return BuiltModel(model, guide, [learn, over])


@recipe("vq-vae", "van den Oord, Vinyals & Kavukcuoglu 2017", title="VQ-VAE", epochs=60)
def vq_vae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    codes: int = 64,
    code_size: int = 4,
    commitment: float = 0.25,
) -> BuiltModel:
    """A vector-quantised VAE: `latent` codes (a grid with --net conv), then an autoregressive prior of them."""
    return _coded(context, nets, latent, Codebook(codes, code_size), commitment * Commitment())


@recipe("fsq", "Mentzer et al. 2024", title="FSQ-VAE", epochs=60)
def fsq(context: RecipeContext, nets: Nets, *, latent: int = 16, levels: Sequence[int] = (5, 5, 3)) -> BuiltModel:
    """Finite scalar quantisation: latents are rounded to a few levels each, then an autoregressive prior of them."""
    return _coded(context, nets, latent, Lattice(levels))


def _classes(context: RecipeContext, nets: Nets, q: OneHots) -> tuple[LatentVariableModel, Amortized]:
    """Return a learned prior of independent classes with a decoder of their one-hots, and a guide of this family."""
    prior = Unconditional(OneHots(q.groups, q.classes), learn=True)
    model = LatentVariableModel(prior, decoder(context, nets, q.dim))
    return model, Amortized(Given(encoder(context, nets, q.size), q))


@recipe(
    "categorical", "Mnih & Rezende 2016; Kool, van Hoof & Welling 2019", title="VAE with categorical latents", most=150
)
def categorical(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 2,
    classes: int = 10,
    gradient: Literal["enumerate", "score"] = "enumerate",
    points: int = 8,
    warmup: int | None = None,
) -> BuiltModel:
    """A VAE with a few categorical latents: all states are enumerated, or `points` are drawn for a score gradient."""
    model, guide = _classes(context, nets, OneHots(latent, classes))
    objective = -Distortion() - warmed(context, 1.0, warmup) * Rate()
    return play(context, model, guide, objective, Enumerate() if gradient == "enumerate" else Score(points))


@recipe("gumbel", "Jang, Gu & Poole 2017; Maddison, Mnih & Teh 2017", title="Gumbel-softmax VAE")
def gumbel(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    classes: int = 8,
    temperature: float = 0.7,
    hard: bool = True,
    warmup: int | None = None,
) -> BuiltModel:
    """A VAE with many categorical latents and the biased Gumbel-softmax gradient; `hard` is straight-through."""
    model, guide = _classes(context, nets, OneHots(latent, classes, temperature, hard))
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())
