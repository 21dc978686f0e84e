"""What every contestant shares: the arguments, the data, the clock and the line of JSON that it ends with.

This file imports NumPy and the standard library alone, so that it works in every environment.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["FEATURES", "HIDDEN", "LATENT", "LEARNING_RATE", "Clock", "Plan", "binary_images", "peak_mib"]

SIDE = 28
FEATURES = SIDE * SIDE
HIDDEN = (512, 512)
LATENT = 32
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Plan:
    """How a contestant trains.

    Attributes:
        steps: optimiser steps per epoch; the data are `steps * batch` rows, so that no batch is smaller.
        batch: data per step.
        warmup: epochs that are not timed (compilation, caches, the allocator).
        epochs: epochs that are timed.
        threads: processor threads.
        seed: of the data and of training.
        precision: of float32 matrix products, for the contestants that have a choice.
    """

    steps: int = 100
    batch: int = 128
    warmup: int = 2
    epochs: int = 8
    threads: int = 2
    seed: int = 0
    precision: str = "float32"

    @property
    def rows(self) -> int:
        return self.steps * self.batch

    @property
    def all_epochs(self) -> int:
        return self.warmup + self.epochs

    @staticmethod
    def add_numbers(parser: argparse.ArgumentParser) -> None:
        """The options that say how much work a contestant does."""
        for name in ("steps", "batch", "warmup", "epochs", "threads", "seed"):
            parser.add_argument(f"--{name}", type=int, default=getattr(Plan, name), help="default %(default)s")

    @staticmethod
    def from_command_line() -> Plan:
        parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
        Plan.add_numbers(parser)
        parser.add_argument("--precision", choices=("float32", "fast"), default="float32")
        return Plan(**vars(parser.parse_args()))


def binary_images(rows: int, seed: int) -> np.ndarray:
    """Static binary images [rows, 784] of 0 and 1 (uint8): sums of smooth bumps, as sparse as MNIST's digits."""
    rng = np.random.default_rng(seed)
    grid = np.arange(SIDE)
    centre = rng.uniform(6, SIDE - 7, size=(24, 2))
    bump = np.exp(-((grid - centre[..., None]) ** 2) / (2 * 2.5**2))  # [24, 2, 28]
    maps = (bump[:, 0, :, None] * bump[:, 1, None, :]).reshape(24, FEATURES)
    logits = 6.0 * rng.standard_normal((rows, 24)) @ maps - 4.0
    return (rng.random((rows, FEATURES)) < 1 / (1 + np.exp(-logits))).astype(np.uint8)


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


@dataclass
class Clock:
    """Told the end of every epoch; counts from the end of the last warm-up epoch to the end of the last epoch."""

    plan: Plan
    ends: list[float] = field(default_factory=list)
    loss: float = float("nan")

    def tick(self, loss: float) -> None:
        """An epoch is over, with this mean loss, in nats per datum."""
        self.ends.append(time.perf_counter())
        self.loss = loss

    def report(self, versions: Sequence[Any]) -> None:
        """Print the result as the last line of standard output."""
        warmup = self.plan.warmup
        if warmup < 1 or len(self.ends) != self.plan.all_epochs:
            raise SystemExit(f"{len(self.ends)} epochs ended, {warmup} of them to warm up: nothing to time")
        result = {
            "data_per_second": self.plan.rows * self.plan.epochs / (self.ends[-1] - self.ends[warmup - 1]),
            "epoch_seconds": [b - a for a, b in zip(self.ends[:-1], self.ends[1:], strict=True)],
            "loss": self.loss,
            "peak_mib": peak_mib(),
            "versions": {module.__name__: str(module.__version__) for module in versions},
        }
        sys.stderr.flush()
        print(json.dumps(result), flush=True)
