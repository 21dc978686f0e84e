"""A run as pictures see it: its rows that were not trained on, their codes and labels, and its epochs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..core.batch import Rows
from ..core.errors import CompositionError, DataError
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..data import UNKNOWN
from ..evaluate.quantity import Quantity
from ..families import Categorical
from ..models.descents import Descent, chain_prior, with_descent
from ..models.diffusion import SAMPLING_STEPS
from ..models.model import LatentVariableModel
from ..runs.data import Source, Targets
from ..runs.evaluation import Part
from ..runs.players import term_names
from ..runs.run import Run

__all__ = ["View", "history", "view_of"]

MOST_ENCODED = 2000
PICTURED_STEPS = 64
MATCHING = {"GeneratorLoss", "MMD"}  # objectives that match codes, or samples, to the prior


@dataclass(frozen=True)
class View:
    """A run with what its pictures are drawn from; each is computed once.

    Attributes:
        run: the run.
        part: rows that were not trained on; None where they cannot be read.
        epochs: the measures of each epoch, in the data's own units.
        stopped: the event that ended training; None where there is none.
    """

    run: Run
    part: Part | None
    epochs: list[dict[str, Any]]
    stopped: dict[str, Any] | None

    @classmethod
    def without_rows(cls, run: Run) -> View:
        """Return what is seen of a run without reading any rows."""
        return View(run, None, *history(run))

    @property
    def quantity(self) -> Quantity:
        """The quantity that all numbers are of."""
        return self.run.quantity

    @property
    def log_px(self) -> str:
        """The name of that quantity: log p(x), or log p(x | label) of a conditional model."""
        return str(self.quantity)

    @property
    def latent(self) -> str:
        """The kind of latent: "none", "classes" or "features"."""
        if self.run.model.latent == 0:
            return "none"
        return "classes" if isinstance(self.run.model.prior.family, Categorical) else "features"

    @property
    def classes(self) -> int:
        """The number of latent features, the first ones, that code a class known of some rows."""
        return self.run.class_features

    @property
    def holed(self) -> bool:
        """True if entries are missing in the training data or in `part`."""
        return self.run.holed or (self.part is not None and self.part.mask is not None)

    def originals(self, index: np.ndarray) -> np.ndarray:
        """Return rows of `part` [M, D] in float64, NaN where they are missing: bits where the model is of bits."""
        if self.part is None:
            return np.zeros((0, self.run.schema.size))
        x = self.part.x[index]
        if self.run.preparation.binarize is not None:
            batch = self.part.rows.take(torch.as_tensor(index).to(self.run.device))
            x = self.run.shaped(batch.x).reshape(x.shape)
        mask = True if self.part.mask is None else self.part.mask[index]
        return np.where(mask, x.astype(np.float64), np.nan)

    @property
    def normalised(self) -> bool:
        """True if guide and likelihood have densities, so that there is a bound."""
        return self.run.guide.bounds(self.run.model)

    @property
    def samples(self) -> bool:
        """True if training matched codes to the prior, so that samples at points from the prior are meaningful."""
        return self.normalised or not MATCHING.isdisjoint(term_names(self.run.spec))

    @property
    def chain_steps(self) -> int | None:
        """The steps in which pictures take the noise of a diffusion off; None of other models.

        They are at most 64, since each is a pass of its network.
        """
        prior = chain_prior(self.run.model)
        return None if prior is None else min(prior.diffusion.levels or SAMPLING_STEPS, PICTURED_STEPS)

    @property
    def drawing(self) -> LatentVariableModel:
        """The model that pictures are sampled from: of a diffusion, in `chain_steps`."""
        steps = self.chain_steps
        return self.run.model if steps is None else with_descent(self.run.model, Descent(steps))

    @property
    def kept(self) -> dict[str, Any] | None:
        """The measures of the epoch whose weights were kept."""
        number = self.stopped["kept_epoch"] if self.stopped else None
        return next((e for e in reversed(self.epochs) if number in (None, e["epoch"])), None)

    @cached_property
    def shown(self) -> Rows | None:
        """Up to 2,000 evenly spaced rows that were not trained on."""
        return None if self.part is None else self.part.rows.subset(self.index(MOST_ENCODED))

    @cached_property
    def codes(self) -> np.ndarray | None:
        """The means of q(z | x) [M, Z] of the rows `shown`."""
        if self.shown is None or self.latent == "none" or not self.run.guide.infers:
            return None
        return latents.encode(self.run.model, self.run.guide, self.shown).double().cpu().numpy()

    @cached_property
    def labels(self) -> np.ndarray | None:
        """The names of the classes [M] of the rows `shown`."""
        if self.part is None or self.part.labels is None:
            return None
        names = self.run.schema.classes
        numbers = self.part.labels[evenly_spaced(len(self.part.rows), MOST_ENCODED).numpy()]
        are_named = names is not None and numbers.min() >= UNKNOWN and numbers.max() < len(names)
        class_names = (names[i] if are_named and names else str(i) for i in numbers)
        return np.array(["?" if i == UNKNOWN else name for i, name in zip(numbers, class_names, strict=True)])

    @cached_property
    def rates(self) -> np.ndarray | None:
        """The rate of each latent feature [Z], in nats; None where q or p does not factorise over features."""
        if self.shown is None or self.latent != "features" or not self.run.guide.infers:
            return None
        try:
            return latents.rate_per_feature(self.run.model, self.run.guide, self.shown)[0].double().cpu().numpy()
        except CompositionError:
            return None

    def index(self, most: int) -> torch.Tensor:
        """Return the numbers of at most `most` rows of `part`, evenly spaced."""
        n = 0 if self.part is None else len(self.part.rows)
        return evenly_spaced(n, most, self.run.device)

    def stream(self, name: str) -> torch.Generator:
        """Return the random stream of one figure, equal in every report of the run."""
        return stream(0, f"report:{name}", self.run.device)

    @property
    def held_out(self) -> int:
        """The number of rows that were not trained on."""
        return 0 if self.part is None else len(self.part.rows)


def view_of(run: Run | View, data: Source | None = None, labels: Targets | None = None) -> View:
    """Return what pictures of a run are drawn from: of other rows than its own test rows, where `data` are given.

    Raises:
        DataError: the rows that are given cannot be read, or are of other data.
    """
    if isinstance(run, View):
        return run
    try:
        part = run.part("test") if data is None else run.chosen(data, 0, False, labels)
    except DataError:  # own rows that are gone: what needs them says so
        if data is not None:
            raise
        part = None
    return View(run, part, *history(run))


def history(run: Run) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the measures of the epochs, and the event that ended training."""
    lines = run.metrics
    epochs = [_epoch(line) for line in lines if line["event"] == "epoch"]
    stopped = [line for line in lines if line["event"] == "stopped"]
    return epochs, stopped[-1] if stopped else None


def _epoch(line: dict[str, Any]) -> dict[str, Any]:
    def part(m: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if m is None else {"bound": m["bound"], "rate": m["rate"], "distortion": m["distortion"]}

    return {"epoch": line["epoch"], "train": part(line["train"]), "valid": part(line["valid"]), "beta": line["beta"]}
