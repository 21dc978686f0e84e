"""Variational autoencoders and their near relatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from ..conditionals import Given, Unconditional
from ..errors import UsageError
from ..estimators import Pathwise
from ..families import Family, Gaussian
from ..guides import Amortized, Deterministic
from ..model import LatentVariableModel
from ..nets import MLP, Chain, ConvDecoder, ConvEncoder, Standardize
from ..objectives import Distortion, ImportanceWeighted, Objective, Ramp, Rate
from ..training import Player
from .base import Made, Setting, recipe, start_from_mean

__all__ = ["autoencoder", "beta_vae", "iwae", "vae"]

NetName = Literal["mlp", "conv"]


def encoder(
    setting: Setting, outputs: int, net: NetName, hidden: Sequence[int], width: int, activation: str
) -> nn.Module:
    """Standardised inputs, then a net [B, D] -> [B, outputs]."""
    scale = setting.scale if setting.schema.kind == "integers" else setting.scale.new_ones(setting.dim)
    first = Standardize(setting.dim).set(setting.mean, scale)
    if net == "mlp":
        return Chain((first, MLP(setting.dim, outputs, hidden, activation)))
    return Chain((first, ConvEncoder(_image_shape(setting), outputs, width, activation)))


def decoder(
    setting: Setting, latent: int, family: Family, net: NetName, hidden: Sequence[int], width: int, activation: str
) -> Given:
    """p(x | z), started from the data's average."""
    outputs = family.size - family.shared
    if net == "mlp":
        layers = MLP(latent, outputs, tuple(hidden)[::-1], activation)
        last = layers.layers[-1]
        start_from_mean(last.bias, family, setting.mean)  # pyright: ignore[reportArgumentType]
        return Given(layers, family)
    return Given(ConvDecoder(latent, _image_shape(setting), outputs // setting.dim, width, activation), family)


def _image_shape(setting: Setting) -> tuple[int, int, int]:
    if not setting.schema.is_image:
        raise UsageError("--net conv needs images, and these data are a table", "Use --net mlp.")
    height, width, channels = setting.schema.shape
    return height, width, channels


def gaussian_pair(
    setting: Setting, latent: int, likelihood: str, net: NetName, hidden: Sequence[int], width: int, activation: str
) -> tuple[LatentVariableModel, Amortized]:
    """A standard normal prior, a decoder, and a diagonal Gaussian guide."""
    family = setting.likelihood(likelihood)
    q = Given(encoder(setting, 2 * latent, net, hidden, width, activation), Gaussian(latent))
    p = decoder(setting, latent, family, net, hidden, width, activation)
    return LatentVariableModel(Unconditional(Gaussian(latent)), p), Amortized(q)


def warmed(setting: Setting, weight: float, warmup: int | None) -> float | Ramp:
    """A weight that rises from 0 over the first `warmup` epochs; unless told otherwise a tenth of all, so that it ends.

    Fewer features are left unused than with the full weight at once (Bowman et al., 2016; Sonderby et al., 2016).
    """
    epochs = setting.epochs // 10 if warmup is None else warmup
    return Ramp(weight, epochs * setting.steps_per_epoch) if epochs else weight


def play(setting: Setting, model: LatentVariableModel, guide: nn.Module, objective: Objective, points: int) -> Made:
    """One player that trains everything."""
    everything = [*model.parameters(), *guide.parameters()]
    return Made(model, guide, [Player(objective, everything, Pathwise(points), setting.optimizer)])  # pyright: ignore[reportArgumentType]


@recipe("vae", "Kingma & Welling 2014")
def vae(
    setting: Setting,
    *,
    latent: int = 16,
    hidden: Sequence[int] = (200, 200),
    net: NetName = "mlp",
    width: int = 32,
    activation: str = "silu",
    likelihood: str = "auto",
    warmup: int | None = None,
    points: int = 1,
) -> Made:
    """A variational autoencoder: Gaussian prior and guide, the rate in closed form, its weight warmed up."""
    model, guide = gaussian_pair(setting, latent, likelihood, net, hidden, width, activation)
    return play(setting, model, guide, -Distortion() - warmed(setting, 1.0, warmup) * Rate(), points)


@recipe("beta-vae", "Higgins et al. 2017", keep="last")
def beta_vae(
    setting: Setting,
    *,
    latent: int = 16,
    beta: float = 4.0,
    hidden: Sequence[int] = (200, 200),
    net: NetName = "mlp",
    width: int = 32,
    activation: str = "silu",
    likelihood: str = "auto",
    warmup: int | None = None,
) -> Made:
    """A VAE whose rate weighs beta: above 1 it trades likelihood for simpler codes, below 1 it is no bound."""
    model, guide = gaussian_pair(setting, latent, likelihood, net, hidden, width, activation)
    return play(setting, model, guide, -Distortion() - warmed(setting, beta, warmup) * Rate(), 1)


@recipe("iwae", "Burda, Grosse & Salakhutdinov 2016")
def iwae(
    setting: Setting,
    *,
    latent: int = 16,
    points: int = 10,
    hidden: Sequence[int] = (200, 200),
    net: NetName = "mlp",
    width: int = 32,
    activation: str = "silu",
    likelihood: str = "auto",
) -> Made:
    """A VAE trained on the importance-weighted bound of `points` points per datum."""
    model, guide = gaussian_pair(setting, latent, likelihood, net, hidden, width, activation)
    return play(setting, model, guide, ImportanceWeighted(), points)


@recipe("autoencoder", "Rumelhart, Hinton & Williams 1986")
def autoencoder(
    setting: Setting,
    *,
    latent: int = 16,
    hidden: Sequence[int] = (200, 200),
    net: NetName = "mlp",
    width: int = 32,
    activation: str = "silu",
    likelihood: str = "auto",
) -> Made:
    """A plain autoencoder: a point for a code, the distortion alone; it forms no bound on log p(x)."""
    p = decoder(setting, latent, setting.likelihood(likelihood), net, hidden, width, activation)
    guide = Deterministic(encoder(setting, latent, net, hidden, width, activation))
    return play(setting, LatentVariableModel(Unconditional(Gaussian(latent)), p), guide, -Distortion(), 1)
