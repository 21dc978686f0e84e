"""Models that learn from labels: as what they are conditioned on, or as a latent that is known of some rows."""

from __future__ import annotations

import math

import torch

from ..conditionals import Conditional, Given, Unconditional
from ..estimators import Enumerate, Pathwise
from ..families import Categorical, Gaussian, Grouped
from ..grouped import ByGroup
from ..guides import Amortized, Labelled, Structured
from ..model import LatentVariableModel
from ..nets import MLP, Chain, Standardize
from ..objectives import Classification, Distortion, Rate
from .base import Made, Nets, Setting, recipe
from .networks import decoder, dense, encoder, features, play, standardized, warmed

__all__ = ["conditional", "semi_supervised"]


@recipe("conditional", "Sohn, Lee & Yan 2015", labels="context")
def conditional(
    setting: Setting,
    nets: Nets,
    *,
    latent: int = 16,
    learned_prior: bool = False,
    warmup: int | None = 0,
) -> Made:
    """A VAE of x given its label: likelihood and guide see the label (with --learned-prior true, the prior too)."""
    c, family = setting.classes, setting.likelihood(nets.likelihood)
    prior: Conditional = Unconditional(Gaussian(latent))
    if learned_prior:
        prior = Given(dense(nets, c, 2 * latent), Gaussian(latent))
    body = Chain((_label_scale(setting, latent), features(setting, nets, latent + c, family)))
    p = Given(body, family, context=True)
    model = LatentVariableModel(prior, p, frequencies(setting))
    guide = Amortized(Given(_told(setting, nets, 2 * latent), Gaussian(latent)), context=True)
    return play(setting, model, guide, -Distortion() - warmed(setting, 1.0, warmup) * Rate())


@recipe("semi-supervised", "Kingma, Rezende, Mohamed & Welling 2014", labels="partial", keep="last")
def semi_supervised(
    setting: Setting, nets: Nets, *, latent: int = 16, weight: float = 10.0, warmup: int | None = None
) -> Made:
    """M2: the class is a latent that is known of some rows; these teach the classifier q(y | x), by that weight."""
    c, both = setting.classes, Grouped((Categorical(setting.classes), Gaussian(latent)))
    model = LatentVariableModel(Unconditional(both), decoder(setting, nets, c + latent))
    width = nets.hidden[-1] if nets.hidden else setting.dim
    read = Labelled(Given(encoder(setting, nets, c), Categorical(c)))
    then = Given(MLP(width + c, 2 * latent, (width,), nets.activation), Gaussian(latent))
    guide = Structured(read, then, encoder(setting, nets, width))
    aim = -Distortion() - warmed(setting, 1.0, warmup) * Rate() + weight * Classification()
    return play(setting, model, guide, aim, ByGroup((Enumerate(), Pathwise())))


def frequencies(setting: Setting) -> Unconditional:
    """How frequent each class is among the training rows."""
    made = Unconditional(Categorical(setting.classes))
    counts = torch.tensor([float(n) for n in setting.labels.counts] if setting.labels else [])
    with torch.no_grad():
        made.value.copy_(torch.where(counts > 0, (counts / counts.sum()).log(), -math.inf))
    return made


def _told(setting: Setting, nets: Nets, outputs: int) -> Chain:
    """A dense net of [x, label] [B, D + C], x standardised."""
    first, scale = standardized(setting), _label_scale(setting, setting.dim)
    d = setting.dim
    scale.set(torch.cat([first.mean, scale.mean[d:]]), torch.cat([first.scale, scale.scale[d:]]))
    return Chain((scale, dense(nets, d + setting.classes, outputs)))


def _label_scale(setting: Setting, before: int) -> Standardize:
    """[..., before + C] -> the same, the label standardised: a class in ten is otherwise a faint signal beside z, and a
    latent that has learned the class once is slow to forget it."""
    share = frequencies(setting)().mean.detach().clamp(1e-3, 1 - 1e-3)
    blank, c = torch.zeros(before), len(share)
    return Standardize(before + c).set(torch.cat([blank, share]), torch.cat([blank + 1, (share * (1 - share)).sqrt()]))
