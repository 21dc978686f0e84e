"""Evaluate a run: estimate log p(x) of rows, and assess how tight the number is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..core.divided import divided, processes_now
from ..core.errors import DataError, UsageError
from ..core.processes import ALONE
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..core.validation import require_finite, require_integer
from ..evaluate import (
    Annealed,
    Assessment,
    Estimate,
    Evaluator,
    ExactTightness,
    GeneralisationGap,
    Importance,
    Kind,
    SampledTimes,
    Schedule,
    Tightness,
    TightnessSettings,
    assess_tightness,
    choose,
)
from ..evaluate.estimate import ProgressCallback
from ..evaluate.floors import floor_binding
from ..evaluate.generalisation import some_rows
from ..evaluate.importance_plan import fitting_points
from ..evaluate.outliers import carrying_rows
from ..evaluate.tightness_plan import refusal
from ..storage.weights import undigested
from ..training.stages import stage_lines
from .classify import classified
from .data import RunData, Source, Targets
from .evaluation import Evaluation, Part, bits_per_dim, circumstances, refuse_nan
from .row_values import identity_columns
from .rows_digest import rows_digest
from .trained import trained
from .trained_rows import trained_rows

__all__ = ["assembled", "evaluate"]

FLOW_ROWS = 500  # whose probability flow is followed, unless more are wanted
COMPARED = (500, 200, 100, 50, 20)  # training rows that a plain evaluation compares with the test rows
SHARE = 0.25  # of the time left that they may take; where nothing is annealed, twice as much
PHASES = {
    "Annealed": "annealing",
    "AtOneState": "one state each",
    "ByFlow": "probability flow",
    "Enumerated": "enumeration",
    "Exact": "closed form",
    "Importance": "importance weighting",
    "Quadrature": "quadrature",
    "SampledTimes": "sampled times",
    "Unnormalised": "distortion",
}


def evaluate(
    run: RunData,
    data: Source | Part | None = None,
    *,
    labels: Targets | None = None,
    k: int | None = None,
    method: str = "auto",
    budget: float = 30.0,
    settings: TightnessSettings | None = None,
    annealing: Annealed | None = None,
    tolerance: float | None = None,
    levels: Sequence[int] = (),
    rows_at_most: int | None = None,
    train_rows: int | None = None,
    points: int | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
    phase: Callable[[str], None] | None = None,
    first: Callable[[Evaluation], None] | None = None,
) -> Evaluation:
    """Estimate log p(x) of rows, by default the run's test rows; see `jensen.Run.evaluate`.

    Args:
        points: per datum of a plain evaluation by importance weighting, as an earlier one chose them within its budget.
    """
    evaluator = choose(run.model, run.guide, method, k, annealing, tolerance, levels)
    _check_options(run, method, budget, labels, rows_at_most)
    is_plain = method == "auto" and k is None
    is_timed = is_plain and settings is None and budget > 0
    schedule = Schedule(budget if is_timed else float("inf"), watch, phase)
    schedule.begin("reading the data")
    part = _evenly_spaced(run.chosen(data, seed, True, labels), method, rows_at_most)
    reading, ahead = schedule.spent, 0.0
    notes = _notes(run, part, data)
    if points is not None and isinstance(evaluator, Importance):
        evaluator = Importance(points)
    elif is_timed and isinstance(evaluator, Importance):
        evaluator, ahead, fewer = _with_fitting_points(run, part, schedule, seed)
        notes = (*notes, *fewer)
    schedule.begin(PHASES[type(evaluator).__name__], ahead)
    started = schedule.spent
    estimate = evaluator(run.model, run.guide, part.rows, seed, schedule.progress)
    per_row = (schedule.spent - started) / max(len(part.rows), 1)
    refuse_nan(estimate, part)
    binding = floor_binding(run.model, run.guide, part.rows, names=run.schema.names)
    notes = notes if binding is None else (*notes, binding.note)
    notes = (*notes, *_carriers(run, part, estimate, data))
    replay = {"method": method, "k": k, "levels": levels, "evaluator": evaluator}
    if first is not None:
        first(assembled(run, part, estimate, notes=notes, seed=seed, replay=replay))
    has_extras = is_timed or (is_plain and settings is not None)
    most = (0 if data is not None or not has_extras else COMPARED[0]) if train_rows is None else train_rows
    if most and train_rows is None and is_timed:
        most = _fitting_rows(run, estimate, schedule, reading, per_row)
    gap = _generalisation(run, estimate.shifted(part.shift), evaluator, most, seed, schedule)
    assessment = None
    if has_extras:
        assessment = _tightness(run, part, estimate, schedule, settings, seed)
        notes = (*notes, *_unmeasured(run, estimate, assessment, schedule))
    return assembled(run, part, estimate, notes=notes, seed=seed, assessment=assessment, gap=gap, replay=replay)


def _check_options(run: RunData, method: str, budget: float, labels: Targets | None, rows_at_most: int | None) -> None:
    """Refuse a budget that is no time, labels of a run that learned from none, and fewer rows of another method."""
    require_finite(0, **{"--budget": budget})
    if labels is not None and run.classes is None and run.conditions is None:
        raise UsageError("--labels needs a run that learned from labels, and this one did not", "Leave --labels out.")
    if rows_at_most is not None:
        require_integer(1, **{"--rows-at-most": rows_at_most})
        if method != "flow":
            what = f"--rows-at-most limits the rows of the method flow, and the method is {method}"
            raise UsageError(what, "Add --method flow, or give fewer rows: DATA.")


def _notes(run: RunData, part: Part, data: Source | Part | None) -> tuple[str, ...]:
    """Return notes on weights, training and rows, from before anything is computed."""
    of_trained = trained_rows(run, part, data).notes
    return (*undigested(run.path), *run.unfinished, *stage_lines(run.stages), *part.notes, *of_trained)


def _evenly_spaced(part: Part, method: str, rows_at_most: int | None) -> Part:
    """Return as many of the rows as the method takes: all, but of a flow, which is slow, 500 unless more are wanted."""
    most = (FLOW_ROWS if rows_at_most is None else rows_at_most) if method == "flow" else len(part.rows)
    if len(part.rows) <= most:
        return part
    return part.subset(evenly_spaced(len(part.rows), most, part.rows.device), f"{most:,} of {part.name}")


def _with_fitting_points(
    run: RunData, part: Part, schedule: Schedule, seed: int
) -> tuple[Importance, float, tuple[str, ...]]:
    """Return importance weighting with as many points as fit into the time, the seconds that it takes, and a note where
    the points are fewer than usual."""
    schedule.begin("planning")
    k, speed = fitting_points(run.model, run.guide, part.rows, schedule, seed)
    seconds, usual = (speed.seconds(len(part.rows), points) for points in (k, Importance.k))
    if k == Importance.k:
        return Importance(), seconds, ()
    return (
        Importance(k),
        seconds,
        (
            f"K = {k:,}: {Importance.k:,} points per datum would take about {usual:.2g} s, more than a third of"
            f" --budget {schedule.seconds:g}; for that number: -k {Importance.k}",
        ),
    )


def _tightness(
    run: RunData, part: Part, estimate: Estimate, schedule: Schedule, settings: TightnessSettings | None, seed: int
) -> Tightness | None:
    """Return the tightness of the estimate; of several processes in the first one, which measures it by itself, since
    its settings follow from its clock."""
    if not processes_now().is_first:
        return None
    with divided(ALONE):
        return assess_tightness(run.model, run.guide, part.rows, estimate, schedule, settings, seed)


def _fitting_rows(run: RunData, estimate: Estimate, schedule: Schedule, reading: float, per_row: float) -> int:
    """Return how many training rows can be compared in their share of the time; 0 for none.

    Of several processes the first one decides.

    Args:
        reading: seconds to read data.
        per_row: seconds of the estimate of a row.
    """
    processes = processes_now()
    return processes.broadcast_object(
        _rows_in_time(run, estimate, schedule, reading, per_row) if processes.is_first else None
    )


def _rows_in_time(run: RunData, estimate: Estimate, schedule: Schedule, reading: float, per_row: float) -> int:
    """Return what `_fitting_rows` returns, by this process's clock."""
    n = len(run.split().train) if run.spec["data"]["n"] else 0
    if estimate.nats is None or not n:
        return 0
    is_annealed = estimate.kind is Kind.STOCHASTIC_LOWER and refusal(run.model, run.guide) is None
    share = SHARE if is_annealed else 2 * SHARE
    sizes = sorted({min(size, n) for size in COMPARED}, reverse=True)
    for size in sizes:
        if reading + size * per_row <= share * schedule.left:
            return size
    needed = reading + sizes[-1] * per_row
    schedule.leave_out(f"{sizes[-1]} training rows", needed, needed / share)
    return 0


def _unmeasured(run: RunData, estimate: Estimate, assessment: Tightness | None, schedule: Schedule) -> tuple[str, ...]:
    """Return notes on what was not measured: for lack of time, or whatever the time."""
    why = refusal(run.model, run.guide) if assessment is None and estimate.nats is not None else None
    notes = () if why is None else (f"the tightness of the bound was not measured: {why}",)
    return notes if schedule.sentence is None else (*notes, schedule.sentence)


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
        replay: the method, k, levels and evaluator that were asked for; None of an evaluation that is not kept.
    """
    estimate = estimate.shifted(part.shift)
    assessment = None if assessment is None else assessment.shifted(part.shift)
    background = trained(run)
    if background.points > 1 and isinstance(assessment, Assessment | ExactTightness) and assessment.gaps is not None:
        assessment = replace(assessment, gaps=replace(assessment.gaps, weighted=True))
    labelled = classified(run, part)
    record: dict[str, Any] = {}
    if replay is not None:
        record = circumstances(
            run.path,
            method=replay["method"],
            k=replay["k"],
            levels=replay["levels"],
            assessment=assessment,
            halves=gap,
            device=run.device,
            evaluator=replay["evaluator"],
        )
        record["rows_sha256"] = rows_digest(part.x, part.mask)
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
        identity=identity_columns(part.row_numbers, part.files, part.identity, part.labels, run.schema.classes),
        trained=background,
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
        numbers = numbers[:].tolist() if len(numbers) == len(part.rows) else None
    return (carriers.note(numbers, str(run.quantity)),)


def _generalisation(
    run: RunData, test: Estimate, evaluator: Evaluator, most: int, seed: int, schedule: Schedule
) -> GeneralisationGap | None:
    """Return the gap between at most `most` training rows and the test rows; None where the former cannot be read."""
    if most <= 0 or test.nats is None:
        return None
    schedule.begin("training rows")
    evaluator = replace(evaluator, levels=()) if isinstance(evaluator, SampledTimes) else evaluator
    try:
        part = run.part("train", seed)
    except DataError:
        return None
    part = part.subset(some_rows(len(part.x), most, stream(seed, "training rows")).to(run.device), part.name)
    scores: list[Estimate] = []

    def score() -> None:
        scores.append(evaluator(run.model, run.guide, part.rows, seed, schedule.progress).shifted(part.shift))

    began = schedule.spent
    if not schedule.completes(score, run.model):
        schedule.leave_out(f"{most} training rows", schedule.spent - began)
        return None
    return GeneralisationGap.of(scores[0], test, run.quantity)
