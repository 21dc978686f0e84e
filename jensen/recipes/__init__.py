"""Recipes: one typed function per model of the literature; the command line derives its flags from the signatures."""

from .autoencoders import autoencoder, beta_vae, iwae, vae
from .base import RECIPES, Made, Nets, Recipe, Setting, find, option_names
from .classical import factor_analysis, gaussian, gmm, ppca
from .ladders import ladder, very_deep
from .missing import miwae

__all__ = [
    "RECIPES",
    "Made",
    "Nets",
    "Recipe",
    "Setting",
    "autoencoder",
    "beta_vae",
    "factor_analysis",
    "find",
    "gaussian",
    "gmm",
    "iwae",
    "ladder",
    "miwae",
    "option_names",
    "ppca",
    "vae",
    "very_deep",
]
