"""Games: models that learn from a critic, which learns to tell what they make from what there is."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from ..core.errors import UsageError
from ..families import Gaussian, Implicit
from ..guides import Amortized, Deterministic, FromPrior
from ..models.conditionals import Given, Unconditional
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..nets import MLP, ConvEncoder, Critic, Standardize
from ..objectives import (
    Discriminate,
    Distortion,
    FeatureDistortion,
    GeneratorLoss,
    GradientPenalty,
    LogRatio,
    Objective,
    Rate,
)
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import decoder, dense, encoder, features, gaussian_pair, image_shape

__all__ = ["adversarial_autoencoder", "factor_vae", "gan", "vae_gan"]

WIDTH = 128  # features that a critic sees last, where no hidden layer says how many
BETAS = (0.5, 0.99)  # a long memory of gradients makes players circle (Radford et al., 2016)


def _critic(context: RecipeContext, nets: Nets) -> Critic:
    """Of data: centred, and divided by one number, since pixels that hardly vary would give the model away."""
    width = nets.hidden[-1] if nets.hidden else WIDTH
    if nets.net == "mlp":
        body: nn.Module = dense(nets, context.dim, width)
    else:
        body = ConvEncoder(image_shape(context), width, nets.width, nets.activation, nets.blocks)
    size = context.scale.square().mean().sqrt().expand_as(context.scale)
    return Critic(body, width, Standardize(context.dim).set(context.mean, size), nets.activation)


def _code_critic(nets: Nets, latent: int) -> Critic:
    width = nets.hidden[-1] if nets.hidden else WIDTH
    return Critic(MLP(latent, width, tuple(nets.hidden), nets.activation), width, None, nets.activation)


def _player(context: RecipeContext, objective: Objective, *modules: nn.Module) -> Player:
    """One side of a game."""
    mine = list(dict.fromkeys(p for m in modules for p in m.parameters()))
    chosen = context.optimizer
    if chosen.name in ("Adam", "AdamW"):
        chosen = replace(chosen, options=(*chosen.options, ("betas", BETAS)))
    return Player(objective, mine, optimizer=chosen)


def _sampler(context: RecipeContext, nets: Nets, latent: int) -> LatentVariableModel:
    """A standard normal prior, and a decoder whose output is the datum itself, within the range of the data."""
    if nets.likelihood != "auto":
        raise UsageError(f"--likelihood {nets.likelihood}: this recipe's likelihood has no density", "Leave it out.")
    top = {"binary": 1.0, "integers": float((context.schema.levels or 2) - 1)}.get(context.schema.kind)
    family = Implicit(context.dim, *((None, None) if top is None else (0.0, top)))
    return LatentVariableModel(Unconditional(Gaussian(latent)), Given(features(context, nets, latent, family), family))


@recipe("gan", "Goodfellow et al. 2014", keep="last", most=200)
def gan(context: RecipeContext, nets: Nets, *, latent: int = 16, penalty: float = 1.0) -> BuiltModel:
    """A generator that learns to fool a critic, held steady by a gradient penalty (R1): samples, and no density."""
    model, critic = _sampler(context, nets, latent), _critic(context, nets)
    judge = Discriminate(critic) - 0.5 * penalty * GradientPenalty(critic)
    players = [_player(context, judge, critic), _player(context, GeneratorLoss(critic), model.likelihood)]
    return BuiltModel(model, FromPrior(model.prior), players, [critic])


@recipe("vae-gan", "Larsen et al. 2016", keep="last", most=100)
def vae_gan(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    weight: float = 0.1,
    penalty: float = 1.0,
    share: float | None = None,
) -> BuiltModel:
    """A GAN with an encoder: codes tell x as a critic sees it, at the price of their rate, and no pixel is scored.

    A smaller penalty is for starts from a VAE (`init_from`), with share 0.5 and weight 0.01: see docs/sharpness.md.
    """
    model, critic = _sampler(context, nets, latent), _critic(context, nets)
    guide = Amortized(Given(encoder(context, nets, 2 * latent), Gaussian(latent)))
    alike = FeatureDistortion(critic, share)
    judge = 0.5 * Discriminate(critic) + 0.5 * Discriminate(critic, "prior") - 0.5 * penalty * GradientPenalty(critic)
    fool = 0.5 * GeneratorLoss(critic) + 0.5 * GeneratorLoss(critic, "prior")
    players = [
        _player(context, -alike - Rate(), guide),
        _player(context, fool - weight * alike, model.likelihood),
        _player(context, judge, critic),
    ]
    return BuiltModel(model, guide, players, [critic])


@recipe("adversarial-autoencoder", "Makhzani et al. 2016", keep="last", most=180)
def adversarial_autoencoder(
    context: RecipeContext, nets: Nets, *, latent: int = 16, penalty: float = 1.0
) -> BuiltModel:
    """An autoencoder whose codes, all together, learn to pass a critic for points of the prior."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent))
    guide: Guide = Deterministic(encoder(context, nets, latent))
    critic = _code_critic(nets, latent)
    judge = Discriminate(critic, "codes") - 0.5 * penalty * GradientPenalty(critic, "codes")
    players = [
        Player(-Distortion(), [*model.parameters(), *guide.parameters()], optimizer=context.optimizer),
        _player(context, judge, critic),
        _player(context, GeneratorLoss(critic, "codes"), guide),
    ]
    return BuiltModel(model, guide, players, [critic])


@recipe("factor-vae", "Kim & Mnih 2018", keep="last", most=200)
def factor_vae(context: RecipeContext, nets: Nets, *, latent: int = 16, gamma: float = 10.0) -> BuiltModel:
    """A VAE that pays gamma for what its features tell of one another, as a critic of shuffled codes measures it."""
    model, guide = gaussian_pair(context, nets, latent)
    critic = _code_critic(nets, latent)
    mine = [*model.parameters(), *guide.parameters()]
    players = [
        Player(-Distortion() - Rate() - gamma * LogRatio(critic), mine, optimizer=context.optimizer),
        _player(context, Discriminate(critic, "features"), critic),
    ]
    return BuiltModel(model, guide, players, [critic])
