"""The facts of a report, read once from a run; nothing is trained, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..analysis.doctor import Diagnosis
from ..analysis.latents import ROWS
from ..core.batch import Rows
from ..core.errors import CompositionError, DataError, UsageError
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..core.wording import plural
from ..data import UNKNOWN
from ..evaluate import choose
from ..evaluate.estimate import ProgressCallback
from ..evaluate.quantity import Quantity
from ..families import Categorical
from ..runs.checkpoint_bounds import CheckpointCurve
from ..runs.doctor import diagnose
from ..runs.evaluate import assembled
from ..runs.players import term_names
from ..runs.run import Evaluation, Part, Run
from ..storage.checkpoints import kept_epochs
from ..storage.files import digest
from ..storage.run_folder import EVALUATION, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record
from .effort import EVALUATING, EXAMINING, FOLLOWING, QUICK, Effort, Work, affordable, work_of

__all__ = ["Facts", "Phases", "gather", "kept", "of_these_weights", "some"]

Phases = Callable[[str], ProgressCallback]  # from the name of a phase to what is told the fraction done

# rows, and importance points per datum, where the report has to evaluate by itself, and at every checkpoint
MOST_EVALUATED, LEAST_EVALUATED = Effort(1000, 1000), Effort(50, 20)
MOST_FOLLOWED, LEAST_FOLLOWED = Effort(100, 200), Effort(12, 20)
MOST_ENCODED = 2000
# by the doctor, which takes up to 25 points of each row, of two parts
MOST_EXAMINED, LEAST_EXAMINED = Effort(ROWS, 25), Effort(60, 25)
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
        diagnosis: of the doctor; None where the data cannot be read, and in a quick report.
        quick: True if what takes long was left out.
        phases: of progress.
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
    quick: bool = False
    phases: Phases = field(default=lambda name: lambda done: None, repr=False)

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
        """The bound and its gap at every checkpoint, on a few rows; None without at least two of them.

        None in a quick report too.
        """
        epochs = kept_epochs(self.run.path)
        if self.quick or self.part is None or not self.normalised or not epochs:
            return None
        budget = FOLLOWING / (len(epochs) + 1)
        effort = affordable(budget, _work(self.run, self.part), len(self.part.rows), MOST_FOLLOWED, LEAST_FOLLOWED)
        watch = self.phases("following the checkpoints")
        curve = self.run.along(self.part, rows_at_most=effort.rows, k=effort.points, watch=watch)
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

    @property
    def held_out(self) -> int:
        """The number of rows that were not trained on."""
        return 0 if self.part is None else len(self.part.rows)


def some(n: int, total: int, noun: str) -> str:
    """Return a number of rows, and of how many where these are not all.

    Example:
        >>> some(500, 2000, "held-out row"), some(41, 41, "held-out row")
        ('500 of 2,000 held-out rows', '41 held-out rows')
    """
    return plural(n, noun) if n >= total else f"{n:,} of {plural(total, noun)}"


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


def gather(run: Run, examples: bool, quick: bool = False, phases: Phases | None = None) -> Facts:
    """Read everything that a report needs, and evaluate the run if there is no evaluation of its weights.

    Args:
        run: see `jensen.load`.
        examples: True if data may be shown.
        quick: True to leave out what takes long: the doctor, the bound along training, and most of an evaluation.
        phases: of progress.
    """
    phases = (lambda name: lambda done: None) if phases is None else phases
    phases("reading the data")(0.0)
    _hold(run)
    try:
        part, missing = run.part("test"), None
    except DataError as error:
        part, missing = None, error.what
    stored = _stored(run)
    evaluation, notes = (stored, tuple(stored.get("notes") or ())) if stored else (None, ())
    if evaluation is None and part is not None and run.model.likelihood.has_density:
        evaluation = _evaluate(run, part, EVALUATING * (QUICK if quick else 1.0), phases("evaluating")).to_dict()
        notes = tuple(evaluation["notes"])
    epochs, stopped = _history(run)
    diagnosis = None if part is None or quick else _diagnosis(run, part, phases("examining"))
    is_stored = stored is not None
    return Facts(run, examples, part, missing, evaluation, is_stored, notes, epochs, stopped, diagnosis, quick, phases)


def _hold(run: Run) -> None:
    """Keep the data of the run in memory, since the parts of a report would each read them again."""
    try:
        run.held = (run.dataset(), run.held[1])
    except DataError:  # said by the parts that need them
        return


def _diagnosis(run: Run, part: Part, watch: ProgressCallback) -> Diagnosis | None:
    n = max(len(part.rows), run.spec["split"]["sizes"]["train"])
    try:
        effort = affordable(EXAMINING / 2, _work(run, part), n, MOST_EXAMINED, LEAST_EXAMINED)
        return diagnose(run, classes=run.class_features, rows_at_most=effort.rows, watch=watch)
    except (UsageError, DataError):  # it does not apply, or needs data that are not there
        return None


def _stored(run: Run) -> dict[str, Any] | None:
    """Return the content of evaluation.json; None if it is of earlier weights, before the run was trained further."""
    record = kept(run.path / EVALUATION, EvaluationRecord, "jensen evaluate RUN")
    sha256 = ((record or {}).get("replay") or {}).get("weights_sha256")  # earlier versions did not record it
    return record if sha256 in (None, digest(run.path / WEIGHTS)) else None


def _work(run: Run, part: Part) -> Work:
    """Return the work of estimates on these rows."""
    return work_of(run.model, run.guide, part.rows)


def _evaluate(run: Run, part: Part, budget: float, watch: ProgressCallback) -> Evaluation:
    """Return an evaluation within a budget of multiplications, which is shown and not kept."""
    effort = affordable(budget, _work(run, part), len(part.rows), MOST_EVALUATED, LEAST_EVALUATED)
    if len(part.rows) <= effort.rows:
        return run.evaluate(k=effort.points, watch=watch)
    first = part.first(effort.rows)
    estimate = choose(run.model, run.guide, "auto", effort.points)(run.model, run.guide, first.rows, 0, watch)
    note = f"these are the first {effort.rows:,} of {part.name}: jensen evaluate RUN evaluates all of them"
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
