"""Time the training of several seeds together against that of one, and print JSON.

    python benchmarks/many.py [--seeds 8] [--rows 12800] [--epochs 20] [--repeats 3] [--threads auto]

Each is timed in turn, from its first step to its last, recording of the joint program included; "least" is the fastest
of the repeats. The number of threads is chosen by training, for one and for all. The data are the same for all: random
bits.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch

import jensen
from jensen.core.batch import Rows
from jensen.core.random import drawing_from, stream
from jensen.training import Trainer
from jensen.training.lockstep import Lockstep

Parts = tuple[Any, ...]
Threads = int | Literal["auto"]
SHAPES = {"20-64-64-8": (20, 64, 8), "64-200-200-16": (64, 200, 16)}
BATCH = 128


def training(
    seed: int, data: Rows, sizes: tuple[int, int, int], epochs: int, threads: Threads
) -> tuple[Trainer, Parts]:
    """Return the trainer of one seed, and what it trains."""
    dim, width, latent = sizes
    with drawing_from(stream(seed, "init")):
        prior = jensen.Unconditional(jensen.Gaussian(latent))
        model = jensen.LatentVariableModel(prior, jensen.Given.mlp(latent, (width, width), jensen.Bernoulli(dim)))
        guide = jensen.Amortized.mlp(dim, (width, width), jensen.Gaussian(latent))
    players = [jensen.Player(jensen.Elbo(), [model, guide])]
    return Trainer(seed=seed, threads=threads), (model, guide, players, data, jensen.Budget(epochs, BATCH), None)


def together(several: list[tuple[Trainer, Parts]]) -> None:
    """Train all of them together."""
    Lockstep([trainer.loop(*parts) for trainer, parts in several]).run()


def seconds(work: Callable[[], object]) -> float:
    """Return the time that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, seeds: int, rows: int, epochs: int, repeats: int, threads: Threads) -> dict[str, object]:
    """Return the least seconds of one seed, and of all of them together."""
    sizes = SHAPES[name]
    x = torch.rand(rows, sizes[0], generator=torch.Generator().manual_seed(0))
    data = Rows((x < 0.3).float())
    one, many = [], []
    for _ in range(repeats):
        trainer, parts = training(0, data, sizes, epochs, threads)
        one.append(seconds(partial(trainer.fit, *parts)))
        several = [training(seed, data, sizes, epochs, threads) for seed in range(seeds)]
        many.append(seconds(partial(together, several)))
    ratio = min(many) / min(one)
    steps = math.ceil(rows / BATCH) * epochs
    return {"shape": name, "steps": steps, "one": min(one), "together": min(many), "ratio": ratio, "all": [one, many]}


def main() -> None:
    """Parse the arguments, and print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for flag, default in (("--seeds", 8), ("--rows", 12_800), ("--epochs", 20), ("--repeats", 3)):
        parser.add_argument(flag, type=int, default=default)
    parser.add_argument("--threads", default="auto", type=lambda text: text if text == "auto" else int(text))
    given = vars(parser.parse_args())
    print(json.dumps({**given, "shapes": [compare(name, **given) for name in SHAPES]}, indent=1))


if __name__ == "__main__":
    main()
