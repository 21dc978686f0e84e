"""Cards of numbers: estimates, evaluations and comparisons; and of recipes."""

from __future__ import annotations

import inspect
import math
from typing import Any

from ..core.wording import digits, fixed, format_nats, plural
from ..evaluate import Estimate
from ..evaluate.quantity import EVIDENCE
from ..plot.tightness import bounds_over_k, paint_tightness
from ..recipes import Recipe
from ..report.figures import draw
from ..report.key_numbers import KeyNumber
from ..report.panels import Panel, Table
from ..report.summary import sign
from ..runs.evaluation import Evaluation
from ..runs.paired import Group, PairedComparison
from .card import Card

__all__ = [
    "estimate_table",
    "key_numbers",
    "of_comparison",
    "of_estimate",
    "of_evaluation",
    "of_recipe",
    "tightness_panel",
]

HEAD = ("nats per datum", "value", "± over data", "± Monte Carlo", "K", "kind")
FLAGS = {
    "missing": "learns from data with missing entries",
    "columns": "reads tables of mixed kinds",
    "density": "is a density, so that integers are dequantised first",
}


def of_estimate(estimate: Estimate) -> Card:
    """Return the card of an estimate."""
    record = estimate.to_dict()
    return Card(
        title=str(EVIDENCE),
        numbers=key_numbers(record, str(EVIDENCE)),
        tables=(estimate_table(record, str(EVIDENCE)),),
        panels=tightness_panel(record, str(EVIDENCE), f"estimate-{id(estimate):x}"),
    )


def of_evaluation(evaluation: Evaluation) -> Card:
    """Return the card of an evaluation: its numbers, how tight they are, and on which rows."""
    record, name = evaluation.to_dict(), str(evaluation.quantity)
    verdict = (record["assessment"] or {}).get("verdict")
    sentences = [f"{name} of {evaluation.data} ({evaluation.prepared})"]
    sentences += [f"verdict: {verdict}"] if verdict else []
    halves = [evaluation.halves.sentence] if evaluation.halves is not None else []
    return Card(
        title="Evaluation",
        sentence="; ".join(sentences) + ".",
        numbers=key_numbers(record, name, evaluation.size),
        tables=(estimate_table(record, name),),
        panels=tightness_panel(record, name, f"evaluation-{id(evaluation):x}"),
        notes=(*halves, *evaluation.notes, f"{evaluation.weights} weights; seed {evaluation.seed}; {evaluation.run}"),
    )


def key_numbers(record: dict[str, Any], name: str, size: int | None = None) -> tuple[KeyNumber, ...]:
    """Return the number itself with its kind, and bits per dimension; none where it is not defined.

    Args:
        record: of an estimate or an evaluation.
        name: of the quantity.
        size: D, for the error of bits per dimension.
    """
    if record["log_px"] is None:
        return ()
    mark = sign(record["kind"])
    number = format_nats(record["log_px"], record["stderr"])
    kind = f"nats per datum, {record['kind']}{'; ± over data' if record['stderr'] else ''}"
    keys = [KeyNumber(name if mark == "=" else f"{name} {mark}", number, kind)]
    if record.get("bits_per_dim") is not None:
        error = record["stderr"] / (size * math.log(2)) if size and record["stderr"] else None
        bound = "stochastic upper bound" if mark == "≥" else record["kind"]
        keys.append(KeyNumber("bits per dimension", format_nats(record["bits_per_dim"], error), bound))
    return tuple(keys)


def estimate_table(record: dict[str, Any], name: str) -> Table:
    """Return all numbers of an estimate, each with its errors and its kind."""
    rows: list[tuple[str, ...]] = []
    places = min(digits(record["stderr"]) + 1, 6)
    if record["log_px"] is not None:
        mark = sign(record["kind"])
        mc = record["stderr_mc"]
        error = "unreliable" if record["stderr_mc_reliable"] is False else f"{mc:.2g}" if mc else ""
        k = "" if record["k"] is None else f"{record['k']:,}"
        stderr = "" if record["stderr"] is None else fixed(record["stderr"], places)
        named = name if mark == "=" else f"{name} {mark}"
        rows.append((named, fixed(record["log_px"], places), stderr, error, k, record["kind"]))
    chain = (record.get("assessment") or {}).get("annealed")
    if chain:
        reliable = chain.get("stderr_mc_reliable") is not False and chain["stderr_mc"] is not None
        error = fixed(chain["stderr_mc"], digits(chain["stderr_mc"])) if reliable else "unreliable"
        value = fixed(chain["log_px"], digits(chain["stderr_mc"]))
        kind = f"{chain['kind']}, by annealing {plural(chain['rows'], 'row')}"
        rows.append((f"{name} ≥, annealed", value, "", error, str(chain["chains"]), kind))
    kinds = {"elbo": "lower bound at K = 1", "rate": "mean over data", "distortion": "mean over data"}
    rows += [
        ("ELBO" if part == "elbo" else part, fixed(record[part], places), "", "", "", kind)
        for part, kind in kinds.items()
        if record[part] is not None
    ]
    return Table(HEAD, tuple(rows), (5,))


def tightness_panel(record: dict[str, Any], name: str, prefix: str) -> tuple[Panel, ...]:
    """Return the bound over K, where there are several numbers of points."""
    curve = bounds_over_k(record)
    if len(curve) < 2:
        return ()
    low, high = (f"{fixed(curve[i][1], 2)} nats at K = {curve[i][0]:,}" for i in (0, -1))
    body = draw(prefix, f"The bound rises from {low} to {high}.", lambda a: paint_tightness(a, record, name), 310, 270)
    return (Panel((body,), "The bound over K. If it still rises at its right end, it is loose."),)


def of_comparison(comparison: PairedComparison) -> Card:
    """Return the card of a comparison: the verdict, both sides, and their difference with its errors."""
    sides = [_side(name, group) for name, group in (("A", comparison.a), ("B", comparison.b))]
    interval = comparison.interval
    width = "" if interval is None else f"95 % interval {fixed(interval[0], 2)} to {fixed(interval[1], 2)}"
    stderr = comparison.stderr
    places = digits(stderr)
    error = "" if stderr is None else fixed(stderr, places)
    rows = (*sides, ("A - B", fixed(comparison.difference, places), error, width))
    remedy = () if comparison.remedy is None else (f"To decide it: {comparison.remedy}.",)
    caption = (
        f"{comparison.quantity} of {comparison.data} ({comparison.prepared}), a {comparison.measure}; "
        f"{plural(len(comparison.differences), 'paired row')}; seed {comparison.seed}."
    )
    return Card(
        title="Comparison",
        sentence=f"{comparison.verdict[:1].upper()}{comparison.verdict[1:]}.",
        tables=(Table(("nats per datum", "value", "± over data", "kind"), rows, (3,), caption),),
        notes=(*remedy, *comparison.notes),
    )


def _side(name: str, group: Group) -> tuple[str, ...]:
    """Return the row of one side."""
    record = group.to_dict()
    places = digits(record["stderr"])
    recipes = ", ".join(dict.fromkeys(score.recipe for score in group.scores))
    runs = group.scores[0].run if len(group.scores) == 1 else plural(len(group.scores), "run")
    error = "" if record["stderr"] is None else fixed(record["stderr"], places)
    value = fixed(float(group.nats.mean()), places)
    return (f"{name}: {recipes} ({runs})", value, error, " and ".join(group.kinds))


def of_recipe(recipe: Recipe) -> Card:
    """Return the card of a recipe: what it is, whose, and its options with their defaults."""
    notes = [f"It {words}." for flag, words in FLAGS.items() if getattr(recipe, flag)]
    if recipe.labels is not None:
        notes.append(
            "It learns from labels, " + ("one for every row." if recipe.labels == "context" else "of some rows.")
        )
    options = tuple((name, _default(parameter)) for name, parameter in recipe.options.items())
    return Card(
        title=f"Recipe {recipe.name}",
        sentence=f"{recipe.summary} {recipe.paper}.",
        tables=(Table(("option", "default"), options, (1,)),) if options else (),
        notes=tuple(notes),
    )


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "-" if value is None else str(value)
