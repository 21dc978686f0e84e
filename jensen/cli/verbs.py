"""The verbs, and what each does."""

from __future__ import annotations

__all__ = ["VERBS"]

VERBS = {
    "train": "train a recipe on data, and write a run",
    "resume": "go on with a training that was stopped, to the same bits",
    "evaluate": "estimate log p(x), and say what kind of number it is",
    "calibrate": "whether q(z | x) is as sure as it should be, on data the model makes",
    "sample": "draw new data from a run",
    "encode": "latent features of data",
    "reconstruct": "data, through the latent space and back",
    "impute": "draw what is missing, given what is observed",
    "fidelity": "how near samples are to data, where no density says it",
    "represent": "what codes tell of labels and factors, beside chance",
    "doctor": "what is wrong with a run, why, and what to do",
    "compare": "which of two models is better on the same rows, and how surely",
    "verify": "whether the recorded evaluation comes out again",
    "rate-distortion": "what a nat of code buys: one training per weight of the rate",
    "gradients": "which gradient estimator suits a run's model: bias, noise and cost of each",
    "report": "one page with numbers, pictures and findings",
    "recipes": "the models that come ready, and where each was published",
    "data": "what a file is taken for: shape, kind, range, oddities",
}
