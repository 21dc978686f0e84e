"""The doctor's examination of a run, on its own rows, with what its recorded evaluation shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..analysis.doctor import NO_BOUND, Diagnosis, examine
from ..analysis.findings import Finding
from ..analysis.latents import ROWS
from ..analysis.reliability import evaluation_findings, worse_than_uniform
from ..core.errors import CorruptRunError, UsageError
from ..evaluate.estimate import ProgressCallback
from ..storage.files import digest
from ..storage.run_folder import EVALUATION, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record
from .accepted import accepted_options
from .data import RunData
from .evaluation import Part
from .players import weighted_points
from .trained import trained

__all__ = ["diagnose"]

GONE = "the test rows were in memory only, so over-fitting is not looked for: give them with --test FILE"


def diagnose(
    run: RunData,
    *,
    classes: int = 0,
    seed: int = 0,
    rows_at_most: int = ROWS,
    watch: ProgressCallback | None = None,
) -> Diagnosis:
    """Diagnose a run on its own rows, and by its evaluation; see `jensen.analysis.doctor.examine`.

    Where entries are missing, every check is of the observed part.

    Args:
        run: see `jensen.load`.
        classes: latent features, the first ones, that code a class.
        seed: of all Monte Carlo.
        rows_at_most: largest number of rows of each part that are used, evenly spaced.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        UsageError: the run keeps no data, and none were given.
        DataError: the rows that it was trained on cannot be read.
    """
    _refuse_without_data(run)
    train, (test, left_out) = run.part("train", seed), _unseen(run, seed)
    diagnosis = examine(
        run.model,
        run.guide,
        train.rows,
        None if test is None else test.rows,
        seed=seed,
        rows_at_most=rows_at_most,
        history=run.metrics,
        log_jacobian=_log_jacobian(run),
        options=accepted_options(run),
        current={**run.spec["command"], "keep": run.spec["choices"].get("keep")},  # what "auto" came to
        quantity=run.quantity,
        points=weighted_points(run.spec),
        classes=classes,
        names=run.schema.names,
        watch=watch,
    )
    findings, notes = _of_evaluation(run)
    findings = (*findings, *_uniform(run, diagnosis))
    own = () if test is None else test.notes
    return replace(diagnosis, notes=(*own, *left_out, *notes)).with_others(findings)


def _refuse_without_data(run: RunData) -> None:
    remedy = "Give them: --data FILE (in Python, jensen.load(RUN, data=...))."
    if not run.spec["data"]["n"]:
        what = "the doctor needs training data, and this run has none of its own"
        raise UsageError(what, "Use jensen evaluate RUN DATA.")
    if not run.readable:
        raise UsageError("the doctor needs the training data, which this run had in memory only", remedy)


def _unseen(run: RunData, seed: int) -> tuple[Part | None, tuple[str, ...]]:
    """Return rows that were not trained on, None where there are none, and notes."""
    split = run.spec["split"]
    if split["test"] is None and not split["sizes"]["test"] and not split["sizes"]["valid"]:
        return None, ()
    if split["test"] is not None and not split["test"]["location"] and run.held[1] is None:
        return None, (GONE,)
    return run.part("test", seed), ()


def _log_jacobian(run: RunData) -> float | Tensor:
    """Return the nats from the model's units to the data's own: one number, or those of each feature [D]."""
    if not run.holed:
        return run.preparation.log_jacobian(run.schema.size)
    return torch.from_numpy(run.preparation.log_jacobians(np.eye(run.schema.size, dtype=bool)))


def _of_evaluation(run: RunData) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return the findings on the kept evaluation, if it is of these weights, and notes."""
    path = run.path / EVALUATION
    if not path.exists():
        return (), ()
    try:
        record = read_record(path, EvaluationRecord, "Run jensen evaluate again.")
    except CorruptRunError as error:
        return (), (f"{EVALUATION} is left out: {error.what}",)
    sha256 = (record.get("replay") or {}).get("weights_sha256")
    is_own = sha256 in (None, digest(run.path / WEIGHTS))
    return (evaluation_findings(record, trained(run)) if is_own else ()), ()


def _uniform(run: RunData, diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Return a finding where the doctor's own scores are below that of the uniform distribution."""
    measures = diagnosis.measures
    if "score_train" not in measures or measures["score"] == NO_BOUND:
        return ()
    score = max(measures["score_train"], measures["score_test"])
    return worse_than_uniform(score, trained(run), not run.guide.is_exact)
