"""Evaluate a run: estimate log p(x) of rows, and assess how tight the number is."""

from __future__ import annotations

from typing import Any

from ..core.errors import DataError, UsageError
from ..core.random import stream
from ..core.validation import require_finite
from ..evaluate import (
    Annealed,
    Estimate,
    Evaluator,
    GeneralisationGap,
    Tightness,
    TightnessSettings,
    assess_tightness,
    choose,
)
from ..evaluate.estimate import ProgressCallback
from ..evaluate.floors import floor_binding
from ..evaluate.generalisation import some_rows
from ..evaluate.outliers import carrying_rows
from ..evaluate.tightness_plan import refusal
from ..storage.weights import undigested
from ..training.stages import stage_lines
from .classify import classified
from .data import RunData, Source, Targets
from .evaluation import Evaluation, Part, bits_per_dim, circumstances, refuse_nan

__all__ = ["assembled", "evaluate"]

COMPARED = 500  # training rows that a plain evaluation compares with the test rows


def evaluate(
    run: RunData,
    data: Source | Part | None = None,
    *,
    labels: Targets | None = None,
    k: int | None = None,
    method: str = "auto",
    budget: float = 120.0,
    settings: TightnessSettings | None = None,
    annealing: Annealed | None = None,
    train_rows: int | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Evaluation:
    """Estimate log p(x) of rows, by default the run's test rows; see `jensen.Run.evaluate`."""
    evaluator = choose(run.model, run.guide, method, k, annealing)
    require_finite(0, **{"--budget": budget})
    if labels is not None and run.classes is None:
        raise UsageError("--labels needs a run that learned from labels, and this one did not", "Leave --labels out.")
    part = run.chosen(data, seed, True, labels)
    notes = (*undigested(run.path), *run.unfinished, *stage_lines(run.stages), *part.notes, *run.overlap(part, data))
    estimate = evaluator(run.model, run.guide, part.rows, seed, watch)
    refuse_nan(estimate)
    binding = floor_binding(run.model, run.guide, part.rows)
    notes = notes if binding is None else (*notes, binding.note)
    notes = (*notes, *_carriers(run, part, estimate, data))
    is_plain, assessment = method == "auto" and k is None, None
    if is_plain and part.mask is not None:
        notes = (*notes, "the tightness of the number was not measured: entries are missing")
    elif is_plain:
        assessment = assess_tightness(run.model, run.guide, part.rows, estimate, budget, settings, seed, watch)
        if assessment is None and estimate.nats is not None and budget > 0:
            why = refusal(run.model, run.guide) or "raise --budget"
            notes = (*notes, f"the tightness of the bound was not measured: {why}")
    default = COMPARED if is_plain and data is None and budget > 0 else 0
    most = default if train_rows is None else train_rows
    gap = _generalisation(run, estimate.shifted(part.shift), evaluator, most, seed, watch)
    return assembled(
        run,
        part,
        estimate,
        notes=notes,
        seed=seed,
        assessment=assessment,
        gap=gap,
        replay={"method": method, "k": k, "evaluator": evaluator},
    )


def assembled(
    run: RunData,
    part: Part,
    estimate: Estimate,
    *,
    notes: tuple[str, ...],
    seed: int = 0,
    assessment: Tightness | None = None,
    gap: GeneralisationGap | None = None,
    replay: dict[str, Any] | None = None,
) -> Evaluation:
    """Return the evaluation of an estimate: with its circumstances, and in the data's own units.

    Args:
        run: of the model.
        part: the rows.
        estimate: in the model's units.
        notes: for the user.
        seed: of all Monte Carlo.
        assessment: of the tightness, in the model's units.
        gap: training rows against these.
        replay: the method, k and evaluator that were asked for; None of an evaluation that is not kept.
    """
    estimate = estimate.shifted(part.shift)
    assessment = None if assessment is None else assessment.shifted(float(part.shift))
    labelled = classified(run, part)
    record: dict[str, Any] = {}
    if replay is not None:
        record = circumstances(
            run.path,
            method=replay["method"],
            k=replay["k"],
            assessment=assessment,
            halves=gap,
            device=run.device,
            evaluator=replay["evaluator"],
        )
    return Evaluation(
        estimate=estimate,
        run=str(run.path),
        data=part.name,
        prepared=run.preparation.describe(run.schema),
        weights=run.weights,
        seed=seed,
        bits_per_dim=None if part.mask is not None else bits_per_dim(estimate, run.schema, run.preparation),
        size=run.schema.size,
        notes=notes,
        assessment=assessment,
        halves=gap,
        replay=record,
        quantity=run.quantity,
        classified=None if labelled is None else labelled.to_dict(),
    )


def _carriers(run: RunData, part: Part, estimate: Estimate, data: Source | Part | None) -> tuple[str, ...]:
    """Return a note on rows without which the mean would be another; own rows by their numbers in the file."""
    shifted = estimate.shifted(part.shift).nats
    carriers = None if shifted is None else carrying_rows(shifted)
    if carriers is None:
        return ()
    numbers = None
    if data is None and run.spec["split"]["test"] is None:
        own = run.split()
        numbers = own.test if len(own.test) else own.valid
        numbers = numbers.tolist() if len(numbers) == len(part.rows) else None
    return (carriers.note(numbers, str(run.quantity)),)


def _generalisation(
    run: RunData, test: Estimate, evaluator: Evaluator, most: int, seed: int, watch: ProgressCallback | None
) -> GeneralisationGap | None:
    """Return the gap between at most `most` training rows and the test rows; None where the former cannot be read."""
    if most <= 0 or test.nats is None:
        return None
    try:
        part = run.part("train", seed)
    except DataError:
        return None
    part = part.subset(some_rows(len(part.x), most, stream(seed, "training rows")).to(run.device), part.name)
    return GeneralisationGap.of(
        evaluator(run.model, run.guide, part.rows, seed, watch).shifted(part.shift), test, run.quantity
    )
