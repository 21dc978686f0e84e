"""The facts of a report, read once from a run; nothing is trained, and nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..analysis.doctor import Diagnosis
from ..core.batch import Rows
from ..core.errors import CompositionError, DataError
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..data import UNKNOWN
from ..evaluate import choose
from ..evaluate.quantity import Quantity
from ..families import Categorical
from ..runs.checkpoint_bounds import CheckpointCurve
from ..runs.evaluate import assembled
from ..runs.players import term_names
from ..runs.run import Evaluation, Part, Run
from ..storage.checkpoints import kept_epochs
from ..storage.files import digest
from ..storage.run_folder import EVALUATION, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record

__all__ = ["Facts", "gather", "kept", "of_these_weights"]

POINTS = 1000  # importance points per datum, where the report has to evaluate by itself
MOST_EVALUATED = 1000
MOST_ENCODED = 2000
MOST_FOLLOWED, FOLLOWED_POINTS = 100, 200  # rows, and points per datum, at every checkpoint
MATCHING = {"GeneratorLoss", "MMD"}  # objectives that match codes, or samples, to the prior


@dataclass(frozen=True)
class Facts:
    """A run with everything that its report shows.

    Attributes:
        run: the run.
        examples: True if data may be shown.
        part: rows that were not trained on; None where they cannot be read.
        missing: the reason why they cannot be read.
        evaluation: the content of evaluation.json, or a quick evaluation; None without data.
        stored: True if it comes from evaluation.json.
        notes: on the evaluation.
        epochs: the measures of each epoch, in the data's own units.
        stopped: the event that ended training; None where there is none.
        diagnosis: of the doctor; None where the data cannot be read.
    """

    run: Run
    examples: bool
    part: Part | None
    missing: str | None
    evaluation: dict[str, Any] | None
    stored: bool
    notes: tuple[str, ...]
    epochs: list[dict[str, Any]]
    stopped: dict[str, Any] | None
    diagnosis: Diagnosis | None = None

    @property
    def quantity(self) -> Quantity:
        """The quantity that all numbers are of."""
        return self.run.quantity

    @property
    def log_px(self) -> str:
        """The name of that quantity: log p(x), or log p(x | label) of a conditional model."""
        return str(self.quantity)

    @property
    def measures(self) -> dict[str, Any]:
        """The measures of the doctor, by name."""
        return {} if self.diagnosis is None else self.diagnosis.measures

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

    @cached_property
    def active(self) -> np.ndarray | None:
        """True for each latent feature [Z] whose mean of q(z | x) has a variance above 0.01 (Burda et al., 2016).

        None of classes.
        """
        if self.codes is None or self.latent != "features" or len(self.codes) < 2:
            return None
        if "active" in self.measures:  # of training rows, so that page and doctor agree
            return np.array(self.measures["active"])
        return latents.are_active(torch.from_numpy(self.codes[:, self.classes :])).numpy()

    @cached_property
    def weights(self) -> np.ndarray | None:
        """The probabilities [Z] of the components of a mixture."""
        if self.latent != "classes":
            return None
        return self.run.model.prior().mean.detach().double().cpu().numpy().reshape(-1)

    @property
    def components(self) -> float | None:
        """The effective number of components: the exponential of the entropy of their weights."""
        if self.weights is None:
            return None
        w = self.weights[self.weights > 0]
        return float(np.exp(-(w * np.log(w)).sum()))

    @cached_property
    def along(self) -> CheckpointCurve | None:
        """The bound and its gap at every checkpoint, on a few rows; None without at least two of them."""
        if self.part is None or not self.normalised or not kept_epochs(self.run.path):
            return None
        curve = self.run.along(self.part, rows_at_most=MOST_FOLLOWED, k=FOLLOWED_POINTS)
        return curve if len(curve.stages) > 1 else None

    @property
    def parameters(self) -> int:
        """The number of trained parameters; those that model and guide share count once."""
        modules = torch.nn.ModuleDict({"model": self.run.model, "guide": self.run.guide})
        return sum(p.numel() for p in modules.parameters() if p.requires_grad)

    def index(self, most: int) -> torch.Tensor:
        """Return the numbers of at most `most` rows of `part`, evenly spaced."""
        n = 0 if self.part is None else len(self.part.rows)
        return evenly_spaced(n, most, self.run.device)

    def stream(self, name: str) -> torch.Generator:
        """Return the random stream of one figure, equal in every report of the run."""
        return stream(0, f"report:{name}", self.run.device)


def kept(path: Path, kind: type[Any], command: str) -> dict[str, Any] | None:
    """Return the record that a command wrote to this file; None where there is none.

    Raises:
        CorruptRunError: the file is damaged.
    """
    if not path.exists():
        return None
    return read_record(path, kind, f"Delete it, or run {command} again.")


def of_these_weights(run: Run, path: Path, kind: type[Any], command: str) -> dict[str, Any] | None:
    """Return the record, if it is of the weights that the run has now."""
    record = kept(path, kind, command)
    return record if record and record["weights_sha256"] == digest(run.path / WEIGHTS) else None


def gather(run: Run, examples: bool) -> Facts:
    """Read everything that a report needs, and evaluate the run if there is no evaluation of its weights."""
    try:
        part, missing = run.part("test"), None
    except DataError as error:
        part, missing = None, error.what
    stored = _stored(run)
    evaluation, notes = (stored, tuple(stored.get("notes") or ())) if stored else (None, ())
    if evaluation is None and part is not None and run.model.likelihood.has_density:
        evaluation = _evaluate(run, part).to_dict()
        notes = tuple(evaluation["notes"])
    epochs, stopped = _history(run)
    diagnosis = None if part is None else _diagnosis(run)
    return Facts(run, examples, part, missing, evaluation, stored is not None, notes, epochs, stopped, diagnosis)


def _diagnosis(run: Run) -> Diagnosis | None:
    try:
        return run.doctor()
    except (CompositionError, DataError):
        return None


def _stored(run: Run) -> dict[str, Any] | None:
    """Return the content of evaluation.json; None if it is of earlier weights, before the run was trained further."""
    record = kept(run.path / EVALUATION, EvaluationRecord, "jensen evaluate RUN")
    sha256 = ((record or {}).get("replay") or {}).get("weights_sha256")  # earlier versions did not record it
    return record if sha256 in (None, digest(run.path / WEIGHTS)) else None


def _evaluate(run: Run, part: Part) -> Evaluation:
    """Return a quick evaluation of at most 1,000 rows with K = 1000, which is shown and not kept."""
    if len(part.rows) <= MOST_EVALUATED:
        return run.evaluate(k=POINTS)
    first = part.first(MOST_EVALUATED)
    estimate = choose(run.model, run.guide, "auto", POINTS)(run.model, run.guide, first.rows)
    note = f"these are the first {MOST_EVALUATED:,} of {part.name}: jensen evaluate RUN evaluates all of them"
    return assembled(run, first, estimate, notes=(*part.notes, note))


def _history(run: Run) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the measures of the epochs, and the event that ended training."""
    lines = run.metrics
    epochs = [_epoch(line) for line in lines if line["event"] == "epoch"]
    stopped = [line for line in lines if line["event"] == "stopped"]
    return epochs, stopped[-1] if stopped else None


def _epoch(line: dict[str, Any]) -> dict[str, Any]:
    def part(m: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if m is None else {"bound": m["bound"], "rate": m["rate"], "distortion": m["distortion"]}

    return {"epoch": line["epoch"], "train": part(line["train"]), "valid": part(line["valid"]), "beta": line["beta"]}
