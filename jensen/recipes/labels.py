"""Models that learn from labels: as a context that they are conditioned on, or as a latent known for some rows."""

from __future__ import annotations

import math
from typing import Literal

import torch

from ..estimators.by_group import ByGroup
from ..estimators.enumeration import Enumerate
from ..estimators.reparameterized import Pathwise
from ..families import Categorical, Gaussian, Grouped
from ..guides import Amortized, Labelled, Structured
from ..models.conditionals import Conditional, Given, Unconditional
from ..models.model import LatentVariableModel
from ..nets import MLP, AppendContext, Chain, Experts, Standardize
from ..objectives import Classification, Distortion, Rate
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import conv_encoder, convolves, dense, encoder, family_of, features, play, standardized, warmed

__all__ = ["conditional", "frequencies", "label_scale", "semi_supervised"]


@recipe("conditional", "Sohn, Lee & Yan 2015", title="conditional VAE", labels="context", batches=True, most=100)
def conditional(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    decoders: Literal["each", "shared"] = "each",
    learned_prior: bool = False,
    warmup: int | None = 0,
) -> BuiltModel:
    """A VAE of x given its label or labels, which the guide sees; classes have decoders of their own, or share one."""
    c, family = context.classes, family_of(context, nets)
    prior: Conditional = Unconditional(Gaussian(latent))
    if learned_prior:
        prior = Given(dense(nets, c, 2 * latent), Gaussian(latent))
    if decoders == "each" and context.conditions is None:
        body = Experts.copies(c, features(context, nets, latent, family), last=True)
    else:
        body = Chain((label_scale(context, latent), features(context, nets, latent + c, family)))
    p = Given(body, family, context=True)
    model = LatentVariableModel(prior, p, frequencies(context))
    guide = Amortized(Given(_labelled_encoder(context, nets, 2 * latent), Gaussian(latent)), context=True)
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


@recipe(
    "semi-supervised",
    "Kingma, Rezende, Mohamed & Welling 2014",
    title="semi-supervised VAE (M2)",
    labels="partial",
    keep="last",
    most=80,
)
def semi_supervised(
    context: RecipeContext, nets: Nets, *, latent: int = 16, weight: float = 10.0, warmup: int | None = None
) -> BuiltModel:
    """A semi-supervised VAE (M2): the class is a latent, known for some rows, which train the classifier q(y | x)."""
    c, both = context.classes, Grouped((Categorical(context.classes), Gaussian(latent)))
    family, width = family_of(context, nets), nets.hidden[-1] if nets.hidden else context.dim
    body = Experts.copies(c, features(context, nets, latent, family))
    model = LatentVariableModel(Unconditional(both), Given(body, family))
    classifier = Labelled(Given(encoder(context, nets, c), Categorical(c)))
    heads = Experts.copies(c, MLP(width, 2 * latent, (width,), nets.activation), last=True)
    guide = Structured(classifier, Given(heads, Gaussian(latent)), encoder(context, nets, width))
    objective = -Distortion() - warmed(context, 1.0, warmup) * Rate() + weight * Classification()
    return play(context, model, guide, objective, ByGroup((Enumerate(), Pathwise())))


def frequencies(context: RecipeContext) -> Unconditional:
    """Return the distribution of the classes among the labelled training rows; of several labels, independent of each
    other, with names as frequent as there, and numbers normal with their mean and standard deviation."""
    several = context.conditions
    if several is not None:
        families = tuple(Categorical(len(n)) if n else Gaussian(1) for n in several.counts)
        starts = [torch.tensor(n).double().div(sum(n)).log() if n else torch.zeros(2) for n in several.counts]
        prior = Unconditional(families[0] if len(families) == 1 else Grouped(families))
        with torch.no_grad():
            prior.value.copy_(torch.cat(starts))
        return prior
    prior = Unconditional(Categorical(context.classes))
    counts = torch.tensor([float(n) for n in context.labels.counts] if context.labels else [])
    with torch.no_grad():
        prior.value.copy_(torch.where(counts > 0, (counts / counts.sum()).log(), -math.inf))
    return prior


def _labelled_encoder(context: RecipeContext, nets: Nets, outputs: int) -> Chain:
    """Return a network of [x, label], [B, D + C] -> [B, outputs]; convolutions see x alone, dense layers the label."""
    first, scale = standardized(context), label_scale(context, context.dim)
    d = context.dim
    scale.set(torch.cat([first.mean, scale.mean[d:]]), torch.cat([first.scale, scale.scale[d:]]))
    if not convolves(context, nets):
        return Chain((scale, dense(nets, d + context.classes, outputs)))
    width = nets.hidden[-1] if nets.hidden else outputs
    body = AppendContext(conv_encoder(context, nets, width), d)
    return Chain((scale, body, MLP(width + context.classes, outputs, (width,), nets.activation)))


def label_scale(context: RecipeContext, before: int) -> Standardize:
    """Return a map [..., before + C] -> [..., before + C] that standardises the label.

    Unscaled, the indicator of one class in ten is a weak input beside z, and a latent that has once encoded the class
    is slow to lose it.
    """
    several = context.conditions
    share = frequencies(context)().mean.detach().clamp(1e-3, 1 - 1e-3)
    mean, scale = share, (share * (1 - share)).sqrt()
    if several is not None:  # numbers are standardised already
        names = torch.cat([torch.full((size,), bool(n)) for size, n in zip(several.sizes, several.counts, strict=True)])
        mean, scale = torch.where(names, mean, 0.0), torch.where(names, scale, 1.0)
    blank = torch.zeros(before)
    return Standardize(before + len(share)).set(torch.cat([blank, mean]), torch.cat([blank + 1, scale]))
