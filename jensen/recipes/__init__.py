"""Recipes: one typed function per model of the literature; the command line derives its flags from the signatures."""

from .adversarial import adversarial_autoencoder, factor_vae, gan, vae_gan
from .autoencoders import autoencoder, beta_vae, iwae, vae
from .autoregressive import made, pixel_vae, pixelcnn
from .base import RECIPES, BuiltModel, Nets, Recipe, RecipeContext, find, option_flag, option_names, recipe
from .bounds import capacity, dreg, free_bits, renyi, sigma_vae, sticking_the_landing
from .classical import factor_analysis, gaussian, gmm, ppca
from .counts import count_vae
from .denoising import denoising_autoencoder, denoising_vae
from .diffusion import conditional_diffusion, ddpm, diffusion, latent_diffusion
from .discrete import categorical, fsq, gumbel, vq_vae
from .guides import full_covariance, iaf, low_rank, mixture_posterior, spline_posterior
from .individual import hamiltonian, refined, svi
from .labels import conditional, semi_supervised
from .ladders import ladder, very_deep
from .missing import miwae
from .priors import flow_prior, mixture_prior, vampprior
from .regularized import beta_tcvae, dip_vae, info_vae, wae_mmd
from .staged import two_stage
from .tables import table, table_gmm
from .wakesleep import reweighted_wake_sleep, wake_sleep

# in the order of a textbook, not of the files' names
_ORDER = (
    *(
        "autoencoders",
        "bounds",
        "priors",
        "guides",
        "individual",
        "ladders",
        "diffusion",
        "likelihoods",
        "counts",
        "missing",
    ),
    *(
        "tables",
        "denoising",
        "staged",
        "regularized",
        "discrete",
        "autoregressive",
        "labels",
        "wakesleep",
        "adversarial",
    ),
    "classical",
)
for _recipe in sorted(RECIPES.values(), key=lambda r: _ORDER.index(r.make.__module__.rpartition(".")[2])):
    RECIPES[_recipe.name] = RECIPES.pop(_recipe.name)

__all__ = [
    "RECIPES",
    "BuiltModel",
    "Nets",
    "Recipe",
    "RecipeContext",
    "adversarial_autoencoder",
    "autoencoder",
    "beta_tcvae",
    "beta_vae",
    "capacity",
    "categorical",
    "conditional",
    "conditional_diffusion",
    "count_vae",
    "ddpm",
    "denoising_autoencoder",
    "denoising_vae",
    "diffusion",
    "dip_vae",
    "dreg",
    "factor_analysis",
    "factor_vae",
    "find",
    "flow_prior",
    "free_bits",
    "fsq",
    "full_covariance",
    "gan",
    "gaussian",
    "gmm",
    "gumbel",
    "hamiltonian",
    "iaf",
    "info_vae",
    "iwae",
    "ladder",
    "latent_diffusion",
    "low_rank",
    "made",
    "miwae",
    "mixture_posterior",
    "mixture_prior",
    "option_flag",
    "option_names",
    "pixel_vae",
    "pixelcnn",
    "ppca",
    "recipe",
    "refined",
    "renyi",
    "reweighted_wake_sleep",
    "semi_supervised",
    "sigma_vae",
    "spline_posterior",
    "sticking_the_landing",
    "svi",
    "table",
    "table_gmm",
    "two_stage",
    "vae",
    "vae_gan",
    "vampprior",
    "very_deep",
    "vq_vae",
    "wae_mmd",
    "wake_sleep",
]
