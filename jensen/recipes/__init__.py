"""Recipes: one typed function per model of the literature; the command line derives its flags from the signatures."""

from .autoencoders import autoencoder, beta_vae, iwae, vae
from .base import RECIPES, Made, Nets, Recipe, Setting, find, option_names
from .bounds import capacity, dreg, free_bits, renyi, sigma_vae, sticking_the_landing
from .classical import factor_analysis, gaussian, gmm, ppca
from .guides import full_covariance, iaf, low_rank, mixture_posterior, spline_posterior
from .ladders import ladder, very_deep
from .missing import miwae
from .priors import flow_prior, mixture_prior, vampprior
from .regularized import beta_tcvae, dip_vae, info_vae, wae_mmd

__all__ = [
    "RECIPES",
    "Made",
    "Nets",
    "Recipe",
    "Setting",
    "autoencoder",
    "beta_tcvae",
    "beta_vae",
    "capacity",
    "dip_vae",
    "dreg",
    "factor_analysis",
    "find",
    "flow_prior",
    "free_bits",
    "full_covariance",
    "gaussian",
    "gmm",
    "iaf",
    "info_vae",
    "iwae",
    "ladder",
    "low_rank",
    "miwae",
    "mixture_posterior",
    "mixture_prior",
    "option_names",
    "ppca",
    "renyi",
    "sigma_vae",
    "spline_posterior",
    "sticking_the_landing",
    "vae",
    "vampprior",
    "very_deep",
    "wae_mmd",
]
