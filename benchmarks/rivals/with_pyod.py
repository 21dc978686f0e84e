"""Scores of a detector of the package pyod with its defaults: python with_pyod.py ECOD ROWS.npz OUT.npy.

ROWS.npz holds the arrays train and test; OUT.npy has a score for each test row, the higher the odder.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version

import numpy as np
from pyod.models.ecod import ECOD

DETECTORS = {"ECOD": ECOD}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector", choices=list(DETECTORS))
    parser.add_argument("rows")
    parser.add_argument("out")
    options = parser.parse_args()
    with np.load(options.rows) as arrays:
        train, test = arrays["train"], arrays["test"]
    began = time.monotonic()
    np.save(options.out, DETECTORS[options.detector]().fit(train).decision_function(test))
    print(json.dumps({"seconds": round(time.monotonic() - began, 1), "pyod": version("pyod")}))


if __name__ == "__main__":
    main()
