"""Rows drawn by TVAE or CTGAN of the package ctgan, with its defaults: python with_ctgan.py MODEL TRAIN.csv OUT.csv.

Missing entries of levels are a level of their own, which is what the package does with text; numbers must be complete.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version

import ctgan
import numpy as np
import pandas as pd
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=["TVAE", "CTGAN"])
    parser.add_argument("train")
    parser.add_argument("out")
    parser.add_argument("--levelled", nargs="*", default=[])
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002 the package draws from the global stream
    frame = pd.read_csv(options.train, keep_default_na=False)
    model = getattr(ctgan, options.model)(epochs=options.epochs)
    began = time.monotonic()
    model.fit(frame, options.levelled)
    seconds = time.monotonic() - began
    model.sample(options.rows).to_csv(options.out, index=False)
    print(json.dumps({"seconds": round(seconds, 1), "ctgan": version("ctgan"), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
