"""What keeping states costs: the share of a training's time, at default settings, in one run.

A perceptron VAE on images of 784 bits made from a seed. Every commit of a state, and every file of weights, is timed
where it happens, so that the share does not come from the difference of two noisy runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jensen.core.errors import InterruptedRun
from jensen.runs import job, train
from jensen.storage import recorder
from jensen.storage.training_state import TrainingStateKeeper
from jensen.training import Snapshot

SPENT: dict[str, list[float]] = {"states": [], "weights": [], "asking": [0.0]}


class Timed(TrainingStateKeeper):
    """A keeper that notes what each commit took, and what asking whether one is due took in all."""

    def due(self) -> bool:
        began = time.perf_counter()
        found = super().due()
        SPENT["asking"][0] += time.perf_counter() - began
        return found

    def keep(self, snapshot: Snapshot, *, last: bool = False) -> None:
        began = time.perf_counter()
        super().keep(snapshot, last=last)
        SPENT["states"].append(time.perf_counter() - began)


def timed(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with the time that it takes noted."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            SPENT["weights"].append(time.perf_counter() - began)

    return wrapped


def main() -> None:
    """Train, and print the shares."""
    words = argparse.ArgumentParser(description=main.__doc__)
    words.add_argument("--seconds", type=float, default=200.0, help="of training")
    words.add_argument("--hidden", type=int, nargs="+", default=[512, 512])
    words.add_argument("--folder", type=Path, help="on the disk to measure; by default a temporary one")
    words.add_argument("--json", type=Path, help="where the measurement goes")
    given = words.parse_args()
    x = (np.random.default_rng(0).random((12_800, 784)) < 0.13).astype(np.uint8)
    job.TrainingStateKeeper = Timed
    recorder.write_weights = timed(recorder.write_weights)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        until = time.monotonic() + given.seconds
        began = time.perf_counter()
        options = {"hidden": tuple(given.hidden), "latent": 32, "epochs": 1_000_000, "split": (0.9, 0.1, 0.0)}
        options |= {"patience": None}
        with contextlib.suppress(InterruptedRun):
            train.train(x, out=Path(name) / "run", should_stop=lambda: time.monotonic() > until, **options)
        whole = time.perf_counter() - began
        sizes = {p.name: p.stat().st_size for p in (Path(name) / "run").rglob("*.safetensors")}
    states = sum(SPENT["states"]) + SPENT["asking"][0]
    found = {
        "seconds": whole,
        "states": len(SPENT["states"]),
        "seconds_per_state": SPENT["states"],
        "share_of_states": states / whole,
        "files_of_weights": len(SPENT["weights"]),
        "share_of_weights": sum(SPENT["weights"]) / whole,
        "bytes": sizes,
        "load": os.getloadavg()[0],
    }
    print(f"{len(SPENT['states'])} states of {sizes.get('training.safetensors', 0):,} bytes in {whole:.0f} s:", end=" ")
    print(f"{found['share_of_states']:.3%} of the time; weights, for readers: {found['share_of_weights']:.3%}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(found["share_of_states"] > 0.01)


if __name__ == "__main__":
    main()
