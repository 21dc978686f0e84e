"""The verbs of the command line, with a summary of each."""

from __future__ import annotations

__all__ = ["ARGUMENTS", "VERBS"]

VERBS = {
    "train": "train a recipe on data, and write a run",
    "resume": "continue a training that was interrupted, bit-identically",
    "evaluate": "estimate log p(x), with the kind of the number and its error",
    "calibrate": "test the calibration of q(z | x) on data from the model",
    "sample": "draw new data from a run",
    "traverse": "decode along a path through the latent space",
    "score": "say how likely rows are, and which entries are unlikely",
    "predict": "predict one column of a table from the others",
    "encode": "compute latent features of data",
    "reconstruct": "pass data through the latent space and back",
    "expression": "compute the normalised expression of cells, from counts",
    "differential": "find the genes that differ between two groups of cells",
    "impute": "draw missing entries given the observed ones",
    "fidelity": "measure how close samples are to data, without a density",
    "represent": "measure how well codes predict labels and factors",
    "doctor": "find the problems of a run, with causes and remedies",
    "compare": "test which of two models is better on the same rows",
    "verify": "repeat the recorded evaluation and compare every number",
    "rate-distortion": "draw a rate-distortion curve, from one training per weight",
    "gradients": "compare gradient estimators on a run: bias, noise and cost",
    "report": "write one page with numbers, pictures and findings",
    "runs": "list the runs in a folder, with their numbers",
    "export": "write encoder and decoder for other runtimes: ONNX, torch.export",
    "recipes": "list the recipes: models, publications and options",
    "data": "describe a data set: shape, kind, range, irregularities",
    "completion": "print the script that completes commands in a shell",
}

# arguments without a flag, and flags that must be given, as the usage line shows them
ARGUMENTS = {
    "train": "DATA",
    "resume": "RUN",
    "evaluate": "RUN [DATA]",
    "calibrate": "RUN",
    "sample": "RUN",
    "traverse": "RUN [DATA]",
    "score": "RUN [DATA]",
    "predict": "RUN DATA COLUMN",
    "encode": "RUN [DATA]",
    "reconstruct": "RUN [DATA]",
    "expression": "RUN [DATA]",
    "differential": "RUN DATA --groups COLUMN A B",
    "impute": "RUN [DATA]",
    "fidelity": "RUN [DATA]",
    "represent": "RUN [DATA]",
    "doctor": "RUN",
    "compare": "A B [DATA]",
    "verify": "RUN",
    "rate-distortion": "DATA --out FOLDER",
    "gradients": "RUN",
    "report": "RUN",
    "runs": "[FOLDER]",
    "export": "RUN",
    "recipes": "",
    "data": "SOURCE",
    "completion": "SHELL",
}
