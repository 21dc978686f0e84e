"""The verbs, and what each does."""

from __future__ import annotations

__all__ = ["VERBS"]

VERBS = {
    "train": "train a recipe on data, and write a run",
    "evaluate": "estimate log p(x), and say what kind of number it is",
    "sample": "draw new data from a run",
    "encode": "latent features of data",
    "reconstruct": "data, through the latent space and back",
    "report": "one page with numbers, pictures and findings",
    "recipes": "the models that come ready, and where each was published",
    "data": "what a file is taken for: shape, kind, range, oddities",
}
