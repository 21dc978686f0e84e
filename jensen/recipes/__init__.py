"""Recipes: one typed function per model of the literature; the command line derives its flags from the signatures."""

from .autoencoders import autoencoder, beta_vae, iwae, vae
from .base import RECIPES, Made, Recipe, Setting, find, option_names
from .classical import factor_analysis, gaussian, gmm, ppca

__all__ = [
    "RECIPES",
    "Made",
    "Recipe",
    "Setting",
    "autoencoder",
    "beta_vae",
    "factor_analysis",
    "find",
    "gaussian",
    "gmm",
    "iwae",
    "option_names",
    "ppca",
    "vae",
]
