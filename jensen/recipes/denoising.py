"""Models whose guide sees corrupted data, and whose likelihood scores the clean ones."""

from __future__ import annotations

from typing import Literal

from ..core.errors import DataError, UsageError
from ..estimators.denoising import Corrupted, Corruption, GaussianNoise, Masking, SaltAndPepper
from ..estimators.reparameterized import Pathwise
from ..families import Gaussian
from ..guides import Deterministic
from ..models.conditionals import Unconditional
from ..models.model import LatentVariableModel
from ..objectives import Distortion, Rate
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import decoder, encoder, gaussian_pair, play, warmed

__all__ = ["denoising_autoencoder", "denoising_vae"]

Noise = Literal["masking", "gaussian", "salt-and-pepper"]


def _corruption(context: RecipeContext, noise: Noise, amount: float) -> Corruption:
    """Return the corruption of that name.

    The amount is a fraction of the features, or a standard deviation in units of the data's overall one.

    Raises:
        UsageError: the amount is not a fraction.
        DataError: salt and pepper need values with a range.
    """
    if noise == "gaussian":
        return GaussianNoise(amount * float(context.scale.square().mean().sqrt()))
    if not 0 <= amount <= 1:
        raise UsageError(
            f"--amount must be a fraction of the features, from 0 to 1, got {amount:g}", "Give a number from 0 to 1."
        )
    if noise == "masking":
        return Masking(amount)
    if context.schema.kind == "real":
        raise DataError(
            "salt and pepper are the ends of a range, and real values have no range",
            "Use --noise gaussian, or masking.",
        )
    return SaltAndPepper(amount, 0.0, (context.schema.levels or 2) - 1.0)


@recipe("denoising-autoencoder", "Vincent, Larochelle, Bengio & Manzagol 2008", title="denoising autoencoder")
def denoising_autoencoder(
    context: RecipeContext, nets: Nets, *, latent: int = 16, noise: Noise = "masking", amount: float = 0.25
) -> BuiltModel:
    """A deterministic autoencoder that reconstructs data from corrupted inputs; no bound on log p(x)."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent))
    guide = Deterministic(encoder(context, nets, latent))
    return play(context, model, guide, -Distortion(), Corrupted(Pathwise(), _corruption(context, noise, amount)))


@recipe("denoising-vae", "Im, Ahn, Memisevic & Bengio 2017", title="denoising VAE")
def denoising_vae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    noise: Noise = "masking",
    amount: float = 0.25,
    warmup: int | None = None,
) -> BuiltModel:
    """A VAE whose guide sees corrupted inputs in training; still a lower bound, and evaluated on clean data."""
    model, guide = gaussian_pair(context, nets, latent)
    estimator = Corrupted(Pathwise(), _corruption(context, noise, amount))
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate(), estimator)
