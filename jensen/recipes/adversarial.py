"""Adversarial models: a critic learns to tell samples of two distributions apart, and the model learns from it."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from ..core.errors import UsageError
from ..families import Gaussian, Implicit
from ..guides import Amortized, Deterministic, FromPrior
from ..models.conditionals import Given, Unconditional
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..nets import MLP, Critic, Standardize
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
from .networks import conv_encoder, convolves, decoder, dense, encoder, features, gaussian_pair

__all__ = ["adversarial_autoencoder", "factor_vae", "gan", "vae_gan"]

WIDTH = 128  # features of a critic's last layer, if no hidden layer sets their number
BETAS = (0.5, 0.99)  # of Adam: a long average of gradients makes players circle (Radford et al., 2016)


def _critic(context: RecipeContext, nets: Nets) -> Critic:
    """Return a critic of data, which are centred and divided by one number.

    Divided by their own scales, pixels that hardly vary would betray every sample of the model.
    """
    width = nets.hidden[-1] if nets.hidden else WIDTH
    if convolves(context, nets):
        body: nn.Module = conv_encoder(context, nets, width)
    else:
        body = dense(nets, context.dim, width)
    size = context.scale.square().mean().sqrt().expand_as(context.scale)
    return Critic(body, width, Standardize(context.dim).set(context.mean, size), nets.activation)


def _code_critic(nets: Nets, latent: int) -> Critic:
    """Return a critic of codes."""
    width = nets.hidden[-1] if nets.hidden else WIDTH
    return Critic(MLP(latent, width, tuple(nets.hidden), nets.activation), width, None, nets.activation)


def _player(context: RecipeContext, objective: Objective, *modules: nn.Module) -> Player:
    """Return a player that trains these modules adversarially."""
    parameters = list(dict.fromkeys(p for m in modules for p in m.parameters()))
    optimizer = context.optimizer
    if optimizer.name in ("Adam", "AdamW"):
        optimizer = replace(optimizer, options=(*optimizer.options, ("betas", BETAS)))
    return Player(objective, parameters, optimizer=optimizer)


def _sampler(context: RecipeContext, nets: Nets, latent: int) -> LatentVariableModel:
    """Return a standard normal prior, and a decoder whose output is the datum itself, within the range of the data."""
    if nets.likelihood != "auto":
        raise UsageError(
            f"--likelihood must be auto, got {nets.likelihood}: the likelihood of this recipe has no density",
            "Leave --likelihood out.",
        )
    top = {"binary": 1.0, "integers": float((context.schema.levels or 2) - 1)}.get(context.schema.kind)
    family = Implicit(context.dim, *((None, None) if top is None else (0.0, top)))
    return LatentVariableModel(Unconditional(Gaussian(latent)), Given(features(context, nets, latent, family), family))


@recipe("gan", "Goodfellow et al. 2014", title="GAN", keep="last", most=200)
def gan(context: RecipeContext, nets: Nets, *, latent: int = 16, penalty: float = 1.0) -> BuiltModel:
    """A generator trained against a critic with gradient penalty (R1): it can be sampled, and has no density."""
    model, critic = _sampler(context, nets, latent), _critic(context, nets)
    criticism = Discriminate(critic) - 0.5 * penalty * GradientPenalty(critic)
    players = [_player(context, criticism, critic), _player(context, GeneratorLoss(critic), model.likelihood)]
    return BuiltModel(model, FromPrior(model.prior), players, [critic])


@recipe("vae-gan", "Larsen et al. 2016", title="VAE-GAN", keep="last", most=100)
def vae_gan(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    weight: float = 0.1,
    penalty: float = 1.0,
    share: float | None = None,
) -> BuiltModel:
    """A GAN with an encoder: reconstructions are compared in a critic's features instead of pixels.

    Started from a VAE (`init_from`), use a smaller penalty, share 0.5 and weight 0.01: see docs/sharpness.md.
    """
    model, critic = _sampler(context, nets, latent), _critic(context, nets)
    guide = Amortized(Given(encoder(context, nets, 2 * latent), Gaussian(latent)))
    distortion, penalised = FeatureDistortion(critic, share), 0.5 * penalty * GradientPenalty(critic)
    criticism = 0.5 * Discriminate(critic) + 0.5 * Discriminate(critic, "prior") - penalised
    generation = 0.5 * GeneratorLoss(critic) + 0.5 * GeneratorLoss(critic, "prior")
    players = [
        _player(context, -distortion - Rate(), guide),
        _player(context, generation - weight * distortion, model.likelihood),
        _player(context, criticism, critic),
    ]
    return BuiltModel(model, guide, players, [critic])


@recipe("adversarial-autoencoder", "Makhzani et al. 2016", title="adversarial autoencoder", keep="last", most=180)
def adversarial_autoencoder(
    context: RecipeContext, nets: Nets, *, latent: int = 16, penalty: float = 1.0
) -> BuiltModel:
    """An autoencoder whose codes are matched to the prior by a critic; no bound on log p(x)."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent))
    guide: Guide = Deterministic(encoder(context, nets, latent))
    critic = _code_critic(nets, latent)
    criticism = Discriminate(critic, "codes") - 0.5 * penalty * GradientPenalty(critic, "codes")
    players = [
        Player(-Distortion(), [*model.parameters(), *guide.parameters()], optimizer=context.optimizer),
        _player(context, criticism, critic),
        _player(context, GeneratorLoss(critic, "codes"), guide),
    ]
    return BuiltModel(model, guide, players, [critic])


@recipe("factor-vae", "Kim & Mnih 2018", title="FactorVAE", keep="last", most=200)
def factor_vae(context: RecipeContext, nets: Nets, *, latent: int = 16, gamma: float = 10.0) -> BuiltModel:
    """A VAE with weight gamma on the total correlation, estimated by a critic that sees shuffled codes."""
    model, guide = gaussian_pair(context, nets, latent)
    critic = _code_critic(nets, latent)
    parameters = [*model.parameters(), *guide.parameters()]
    players = [
        Player(-Distortion() - Rate() - gamma * LogRatio(critic), parameters, optimizer=context.optimizer),
        _player(context, Discriminate(critic, "features"), critic),
    ]
    return BuiltModel(model, guide, players, [critic])
