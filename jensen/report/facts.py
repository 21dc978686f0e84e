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
from ..core.errors import DataError, UsageError
from ..core.wording import plural
from ..evaluate import choose
from ..evaluate.estimate import ProgressCallback
from ..plot.view import View, history
from ..runs.checkpoint_bounds import CheckpointCurve
from ..runs.doctor import diagnose
from ..runs.evaluate import assembled
from ..runs.run import Evaluation, Part, Run
from ..storage.checkpoints import kept_epochs
from ..storage.files import digest
from ..storage.run_folder import EVALUATION, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record
from .effort import EVALUATING, EXAMINING, FOLLOWING, QUICK, Effort, Work, affordable, work_of

__all__ = ["Facts", "Phases", "gather", "kept", "of_these_weights", "some", "stored_evaluation"]

Phases = Callable[[str], ProgressCallback]  # from the name of a phase to what is told the fraction done

# rows, and importance points per datum, where the report has to evaluate by itself, and at every checkpoint
MOST_EVALUATED, LEAST_EVALUATED = Effort(1000, 1000), Effort(50, 20)
MOST_FOLLOWED, LEAST_FOLLOWED = Effort(100, 200), Effort(12, 20)
# by the doctor, which takes up to 25 points of each row, of two parts
MOST_EXAMINED, LEAST_EXAMINED = Effort(ROWS, 25), Effort(60, 25)


@dataclass(frozen=True)
class Facts(View):
    """A run with everything that its report shows.

    Attributes:
        examples: True if data may be shown.
        missing: the reason why rows that were not trained on cannot be read.
        evaluation: the content of evaluation.json, or a quick evaluation; None without data.
        stored: True if it comes from evaluation.json.
        notes: on the evaluation.
        diagnosis: of the doctor; None where the data cannot be read, and in a quick report.
        quick: True if what takes long was left out.
        phases: of progress.
    """

    examples: bool
    missing: str | None
    evaluation: dict[str, Any] | None
    stored: bool
    notes: tuple[str, ...]
    diagnosis: Diagnosis | None = None
    quick: bool = False
    phases: Phases = field(default=lambda name: lambda done: None, repr=False)

    @property
    def measures(self) -> dict[str, Any]:
        """The measures of the doctor, by name."""
        return {} if self.diagnosis is None else self.diagnosis.measures

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
    stored = stored_evaluation(run)
    evaluation, notes = (stored, tuple(stored.get("notes") or ())) if stored else (None, ())
    if evaluation is None and part is not None and run.model.likelihood.has_density:
        evaluation = _evaluate(run, part, EVALUATING * (QUICK if quick else 1.0), phases("evaluating")).to_dict()
        notes = tuple(evaluation["notes"])
    epochs, stopped = history(run)
    diagnosis = None if part is None or quick else _diagnosis(run, part, phases("examining"))
    is_stored = stored is not None
    return Facts(
        run=run,
        part=part,
        epochs=epochs,
        stopped=stopped,
        examples=examples,
        missing=missing,
        evaluation=evaluation,
        stored=is_stored,
        notes=notes,
        diagnosis=diagnosis,
        quick=quick,
        phases=phases,
    )


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


def stored_evaluation(run: Run) -> dict[str, Any] | None:
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
