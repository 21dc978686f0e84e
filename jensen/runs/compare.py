"""Compare two models, or two groups of runs, on the same rows, where their numbers are comparable."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor

from ..analysis.reliability import points_remedy
from ..core.errors import DataError, NotNormalised, UsageError
from ..evaluate import Estimate, Unnormalised, choose
from ..evaluate.estimate import ProgressCallback
from ..evaluate.outliers import carrying_rows
from ..storage.files import digest
from ..storage.run_folder import EVALUATION, WEIGHTS
from ..storage.schemas import EvaluationRecord, read_record
from .comparable import check_cells, check_columns, have_same_data
from .data import Targets
from .paired import Group, PairedComparison, RowScores
from .rows_digest import rows_digest
from .run import Part, Run, Source
from .trained_rows import trained_rows

__all__ = ["Group", "PairedComparison", "RowScores", "compare"]

OF_FLOW = "log p(x) is that of the probability flow of each, another density than its chain's"
SAME = "Give rows for both: jensen compare A B DATA; or train both on one file with the same --split and --split-seed."


def compare(
    a: Run | Sequence[Run],
    b: Run | Sequence[Run],
    data: Source | None = None,
    *,
    labels: Targets | None = None,
    k: int | None = None,
    method: str = "auto",
    seed: int = 0,
    watch: ProgressCallback | None = None,
    phase: Callable[[str], None] | None = None,
) -> PairedComparison:
    """Estimate log p(x) of the same rows under both, and say which is better and how surely.

    Every run is evaluated with the same K and the same seed, on rows with the same bits. A group of runs, such as
    several seeds, counts as its mean per datum.

    Args:
        a, b: runs, or groups of them.
        data: other rows than the runs' own test rows.
        labels: of these rows, for runs that learned from labels.
        k: points per datum; 5000 unless given.
        method: as of `Run.evaluate`, without the annealing that measures tightness.
        seed: of all Monte Carlo, and of a dynamic binarisation.
        watch: progress callback, called with the fraction done, 0 to 1.
        phase: called with the run that is evaluated next.

    Raises:
        UsageError: a group is empty.
        NotNormalised: a run has no log p(x).
        DataError: rows, binarisation or base measure are not the same.
        CorruptRunError: a run's own evaluation is damaged.
    """
    groups = [[g] if isinstance(g, Run) else list(g) for g in (a, b)]
    if not all(groups):
        raise UsageError("a group holds no run", "Give at least one run on each side.")
    runs = [run for group in groups for run in group]
    _check(runs, method, k)
    seeded = [_aligned(run, runs[0].preparation.seed) for run in runs]
    parts = _parts(seeded, data, labels, seed)
    scores: list[RowScores] = []
    for i, (run, part) in enumerate(zip(seeded, parts, strict=True)):
        if phase is not None:
            phase(str(run.path))
        progress = None if watch is None else _share(watch, i, len(runs))
        scores.append(_score(run, part, method, k, seed, progress))
    first, second = (Group(tuple(s)) for s in (scores[: len(groups[0])], scores[len(groups[0]) :]))
    notes = [*_rows_notes(seeded, parts, data), *_kind_notes(first, second), *_carriers(first.nats - second.nats)]
    prepared = runs[0].preparation.describe(runs[0].schema).split(", standardised")[0]
    return PairedComparison(
        a=first,
        b=second,
        data=parts[0].name,
        prepared=prepared,
        measure=measure_of(runs[0]),
        seed=seed,
        notes=tuple([OF_FLOW, *notes] if method == "flow" else notes),
        quantity=runs[0].quantity,
    )


def _carriers(difference: Tensor) -> tuple[str, ...]:
    """Return a note on rows without which the difference [N] would be another, whichever side they favour."""
    for sign in (1, -1):
        carriers = carrying_rows(sign * difference)
        if carriers is not None:
            return (replace(carriers, mean=sign * carriers.mean).note(of="A - B"),)
    return ()


def _share(watch: ProgressCallback, done: int, of: int) -> ProgressCallback:
    return lambda fraction: watch((done + fraction) / of)


def measure_of(run: Run) -> Literal["mass", "density"]:
    """Return the measure that log p(x) is the logarithm of."""
    columns = run.seen.columns or ()  # of mixed kinds: a density where some of them have one, a mass of the others
    return "density" if run.seen.kind == "real" or not all(c.is_discrete for c in columns) else "mass"


def _check(runs: Sequence[Run], method: str, k: int | None) -> None:
    """Refuse runs whose numbers cannot be compared, before any is computed."""
    first = runs[0]
    for run in runs:
        _record(run)
        if isinstance(choose(run.model, run.guide, method, k), Unnormalised):
            raise NotNormalised(
                f"{run.path} has no density q(z|x), so it has no log p(x) to compare",
                "Compare recipes with a density, such as vae.",
            )
        pair = f"{first.path} and {run.path}"
        are_tables = all(len(r.schema.shape) == 1 for r in (first, run))
        if are_tables and "mixed" in (first.schema.kind, run.schema.kind):
            check_columns(first, run)
        elif len({(r.schema.kind, r.schema.levels, r.schema.shape) for r in (first, run)}) > 1:
            raise DataError(
                f"{pair} are of different data: {_words(first)} and {_words(run)}", "Compare like with like."
            )
        if run.quantity != first.quantity:
            are = "given labels, or two that are not"
            if run.quantity.of_pattern != first.quantity.of_pattern:
                are = "trained with the same --missing-model"
            raise DataError(
                f"{pair} estimate different quantities: {first.quantity} and {run.quantity}",
                f"Compare two models that are {are}.",
            )
        if measure_of(run) != measure_of(first):
            raise DataError(
                f"{pair} do not have the same base measure: a {measure_of(first)} and a {measure_of(run)}",
                "Train both with --dequantize, or both without.",
            )
        how = [(r.preparation.binarize, r.preparation.dequantize) for r in (first, run)]
        if how[0] != how[1]:
            preparations = " and ".join(r.preparation.describe(r.schema) for r in (first, run))
            raise DataError(
                f"{pair} do not see the same values: {preparations}", "Train both with the same --binarize."
            )


def _words(run: Run) -> str:
    shape = " x ".join(map(str, run.schema.shape))
    return f"{shape} {run.schema.kind}" + (f" of {run.schema.levels} levels" if run.schema.levels else "")


def _aligned(run: Run, seed: int) -> Run:
    """Return the run with another's draws of a static binarisation or a dequantisation: the same rows to the bit."""
    same = copy.copy(run)
    same.preparation = replace(run.preparation, seed=seed)
    return same


def _parts(runs: Sequence[Run], data: Source | None, labels: Targets | None, seed: int) -> list[Part]:
    """Return the rows, as each run sees them; they are the same rows in the data's own units."""
    first = runs[0]
    for run in runs[1:]:
        if data is None and not have_same_data(first, run):
            raise DataError(f"{first.path} and {run.path} were trained on different data", SAME)
    parts = [run.chosen(data, seed, True, labels) for run in runs]
    aside = next((part.own for part in parts if part.own is not None), None)
    if aside is not None:  # the data of some of the runs: all of them are given the rows that those kept aside
        parts = [p if p.own else r.chosen(data, seed, True, labels, aside) for r, p in zip(runs, parts, strict=True)]
    for run, part in zip(runs[1:], parts[1:], strict=True):
        check_cells(first, run, parts[0], part, SAME)
    return parts


def _score(run: Run, part: Part, method: str, k: int | None, seed: int, watch: ProgressCallback | None) -> RowScores:
    estimate = choose(run.model, run.guide, method, k)(run.model, run.guide, part.rows, seed, watch)
    estimate = estimate.shifted(part.shift)
    sha256 = digest(run.path / WEIGHTS)
    return RowScores(
        run=str(run.path),
        recipe=str(run.spec["command"].get("recipe", "model")),
        weights=run.weights,
        weights_sha256=sha256,
        seed=run.spec["command"].get("seed"),
        estimate=estimate,
        loss=(loss := _loss(run, part, estimate, sha256)),
        advice=None if loss is not None or estimate.k is None else _advice(run, part, estimate.k, sha256),
    )


def _advice(run: Run, part: Part, k: int, sha256: str) -> str | None:
    """Return what would say how loose the bound is, in view of the run's own evaluation; None where there is none."""
    held = _record(run)
    replay = held.get("replay", {})
    if replay.get("weights_sha256") != sha256:
        return None
    record, evaluate_again = f"the evaluation of {run.path} on record", f"jensen evaluate {run.path} --budget"
    digest_of_rows = replay.get("rows_sha256")
    if digest_of_rows is not None and digest_of_rows != rows_digest(part.x, part.mask):
        return f"{record} is of other rows, {held.get('data', 'not these')}: compare on those"
    if (held.get("k") or 0) > k:
        return f"{record} has K = {held['k']:,}: compare with -k {held['k']}"
    assessment, notes = held.get("assessment"), held.get("notes", [])
    budget = max((int(n) for note in notes for n in re.findall(r"--budget (\d+) has room", note)), default=None)
    if assessment is None:
        why = next((note for note in notes if "bound was not measured" in note), None)
        if why is not None and budget is None:
            return f"{record} cannot say: {why}"
        return f"{record} did not measure how loose its bound is: {evaluate_again} {budget or 120}"
    loose = f"says that its bound is loose by about {assessment['loss']:.2g} nats, before annealing converged"
    return f"{record} {loose}: {evaluate_again} {budget or 120}, or more than was given"


def _loss(run: Run, part: Part, estimate: Estimate, sha256: str) -> float | None:
    """Return the looseness of the bound, from the run's own evaluation.

    None unless that is of these weights and rows, with no more points per datum than here, and converged.
    """
    if estimate.k is None:
        return None
    try:
        held = _record(run)
        assessment = held["assessment"]
        rows = held["replay"].get("rows_sha256")  # the same rows in another place; earlier versions recorded the name
        same = held["data"] == part.name if rows is None else rows == rows_digest(part.x, part.mask)
        same = same and held["replay"]["weights_sha256"] == sha256
        same = same and held["prepared"] == run.preparation.describe(run.schema)
        applies = same and held["k"] <= estimate.k and assessment["converged"]
        loss = float(assessment["loss"]) if applies else None
    except (KeyError, TypeError, ValueError):
        return None  # there is no evaluation, or it did not measure how loose the bound is
    return loss


def _record(run: Run) -> dict[str, Any]:
    """Return the run's own evaluation; nothing where there is none.

    Raises:
        CorruptRunError: it is damaged.
    """
    path = run.path / EVALUATION
    return read_record(path, EvaluationRecord, "Delete it, or evaluate again.") if path.exists() else {}


def _rows_notes(runs: Sequence[Run], parts: Sequence[Part], data: Source | None) -> list[str]:
    """Return the notes on the rows: each once, with its run where it concerns one run only."""
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    for run, part in zip(runs, parts, strict=True):
        notes += [f"{run.path}: {note}" for note in trained_rows(run, part, data).notes]
    if not all(have_same_data(runs[0], run) for run in runs[1:]):
        notes.append("the runs were trained on different data")
    return notes


def _kind_notes(a: Group, b: Group) -> list[str]:
    """Return notes on differences of bounds that are not differences of models."""
    notes: list[str] = []
    sides = (("A", a), ("B", b))
    if a.kinds != b.kinds:
        below = f": log p(x) of {' and '.join(n for n, g in sides if g.is_bound)} may be higher"
        kinds = [" and ".join(g.kinds) for g in (a, b)]
        notes.append(f"A is {kinds[0]}, B is {kinds[1]}{below if a.is_bound or b.is_bound else ''}")
    heavy = [n for n, g in sides if any(s.estimate.uneven for s in g.scores)]
    if heavy:
        remedy = points_remedy([s.estimate for group in (a, b) for s in group.scores])
        notes.append(f"weights of {' and '.join(heavy)} are heavy-tailed, so the bound may be loose: {remedy}")
    single = [n for n, g in sides if g.spread is None]
    if single:
        who = "one run each" if len(single) == 2 else f"{single[0]} is one run"
        notes.append(f"{who}: how much another seed would change is not in the standard error")
    for name, group in sides:
        if len({s.weights_sha256 for s in group.scores}) < len(group.scores):
            notes.append(f"runs of {name} have the same weights, so they do not show what another seed would change")
    return notes
