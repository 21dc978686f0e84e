"""What every contestant shares: the shapes, the arguments, the data, the clock and the line of JSON that it ends with.

This file imports NumPy and the standard library alone, so that it works in every environment.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

__all__ = [
    "FEATURES",
    "LEARNING_RATE",
    "SHAPES",
    "Clock",
    "Plan",
    "Shape",
    "binary_images",
    "data",
    "peak_mib",
    "start",
]

SIDE = 28
FEATURES = SIDE * SIDE
LEARNING_RATE = 1e-3
FACTORS = 12  # of the simulated bits
MARGIN = 0.01  # a Bernoulli decoder starts at the mean of the data, kept this far from 0 and 1


@dataclass(frozen=True)
class Shape:
    """A model: sizes, likelihood, and the length of an epoch, which makes the timed epochs last some seconds.

    Attributes:
        features: D, of a datum.
        hidden: sizes of the encoder's hidden layers; the decoder has them backwards. None for convolutions.
        latent: Z.
        likelihood: "bernoulli", or "gaussian" with a location and a scale per feature from the decoder.
        steps: optimiser steps per epoch; the data are `steps * batch` rows, so that no batch is smaller.
        epochs: epochs that are timed.
        width: channels at the finest level of convolutions; they double with each halving of the image.
    """

    features: int
    hidden: tuple[int, ...]
    latent: int
    likelihood: str
    steps: int
    epochs: int
    width: int = 0

    @property
    def outputs(self) -> int:
        """Parameters of the likelihood of one datum."""
        return self.features * (2 if self.likelihood == "gaussian" else 1)

    @property
    def sides(self) -> list[int]:
        """Sides of the image at the levels of convolutions, from the finest to at most 4."""
        sides = [SIDE]
        while sides[-1] > 4:
            sides.append((sides[-1] + 1) // 2)
        return sides

    @property
    def channels(self) -> list[int]:
        """Channels at these levels."""
        return [self.width * 2**level for level in range(len(self.sides))]


SHAPES = {
    "table": Shape(20, (64, 64), 8, "gaussian", steps=200, epochs=20),
    "bits": Shape(64, (200, 200), 16, "bernoulli", steps=100, epochs=15),
    "mlp": Shape(FEATURES, (512, 512), 32, "bernoulli", steps=100, epochs=8),
    "conv": Shape(FEATURES, (), 32, "bernoulli", steps=20, epochs=4, width=16),
}


@dataclass(frozen=True)
class Plan:
    """How a contestant trains; numbers of 0 stand for the shape's own.

    Attributes:
        shape: one of `SHAPES`.
        features: D.
        steps: optimiser steps per epoch.
        batch: data per step.
        warmup: epochs that are not timed (compilation, caches, the allocator, the choice of threads).
        epochs: epochs that are timed.
        threads: processor threads; 0 leaves the choice to the contestant.
        points: K, latent points per datum, for jensen alone.
        seed: of training; the data are always the same.
        precision: of float32 matrix products, for the contestants that have a choice.
    """

    shape: str = "mlp"
    features: int = 0
    steps: int = 0
    batch: int = 128
    warmup: int = 2
    epochs: int = 0
    threads: int = 0
    points: int = 1
    seed: int = 0
    precision: str = "float32"

    @property
    def model(self) -> Shape:
        shape = SHAPES[self.shape]
        return replace(
            shape,
            features=self.features or shape.features,
            steps=self.steps or shape.steps,
            epochs=self.epochs or shape.epochs,
        )

    @property
    def rows(self) -> int:
        return self.model.steps * self.batch

    @property
    def all_epochs(self) -> int:
        return self.warmup + self.model.epochs

    @staticmethod
    def from_command_line() -> Plan:
        parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
        for option in fields(Plan):
            choices = {"shape": SHAPES, "precision": ("float32", "fast")}.get(option.name)
            kind = str if choices else int
            parser.add_argument(f"--{option.name}", type=kind, choices=choices, default=option.default)
        return Plan(**vars(parser.parse_args()))


def data(plan: Plan) -> np.ndarray:
    """Simulated rows [N, D]: bits (uint8), images of bits, or standardised reals (float32)."""
    shape = plan.model
    if shape.likelihood == "gaussian":
        return real_table(plan.rows, shape.features, 0)
    if shape.features == FEATURES:
        return binary_images(plan.rows, 0)
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal((FACTORS, shape.features))
    logits = rng.standard_normal((plan.rows, FACTORS)) @ loadings + rng.standard_normal(shape.features)
    return (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)


def real_table(rows: int, features: int, seed: int) -> np.ndarray:
    """A table of reals [rows, features] (float32): a curved map of five factors, and noise; standardised."""
    rng = np.random.default_rng(seed)
    factors = np.tanh(rng.standard_normal((rows, 5)) @ rng.standard_normal((5, 16)))
    x = factors @ rng.standard_normal((16, features)) + 0.5 * rng.standard_normal((rows, features))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def binary_images(rows: int, seed: int) -> np.ndarray:
    """Static binary images [rows, 784] of 0 and 1 (uint8): sums of smooth bumps, as sparse as MNIST's digits."""
    rng = np.random.default_rng(seed)
    grid = np.arange(SIDE)
    centre = rng.uniform(6, SIDE - 7, size=(24, 2))
    bump = np.exp(-((grid - centre[..., None]) ** 2) / (2 * 2.5**2))  # [24, 2, 28]
    maps = (bump[:, 0, :, None] * bump[:, 1, None, :]).reshape(24, FEATURES)
    logits = 6.0 * rng.standard_normal((rows, 24)) @ maps - 4.0
    return (rng.random((rows, FEATURES)) < 1 / (1 + np.exp(-logits))).astype(np.uint8)


def start(shape: Shape, mean: np.ndarray) -> np.ndarray:
    """The first values of a dense decoder's last bias [D]: the mean of the data, or its logit. jensen starts there."""
    if shape.likelihood == "gaussian":
        return mean
    mean = mean.clip(MARGIN, 1 - MARGIN)
    return np.log(mean) - np.log1p(-mean)


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

    def report(self, versions: Sequence[Any], **facts: Any) -> None:
        """Print the result, with these facts, as the last line of standard output."""
        warmup = self.plan.warmup
        if warmup < 1 or len(self.ends) != self.plan.all_epochs:
            raise SystemExit(f"{len(self.ends)} epochs ended, {warmup} of them to warm up: nothing to time")
        result = {
            "data_per_second": self.plan.rows * self.plan.model.epochs / (self.ends[-1] - self.ends[warmup - 1]),
            "loss": None if np.isnan(self.loss) else self.loss,
            "peak_mib": peak_mib(),
            "versions": {module.__name__: str(module.__version__) for module in versions},
            **facts,
        }
        sys.stderr.flush()
        print(json.dumps(result), flush=True)
