"""The doctor: failure modes of a trained model, each with its symptom, its cause and a remedy.

Every threshold is a constant with its reason beside it. A statistical check needs both a p-value below 0.001 and an
effect that matters, because with enough rows every model deviates somewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..core.batch import Rows
from ..core.errors import DataError
from ..core.wording import fixed, plural
from ..evaluate.estimate import ProgressCallback
from ..evaluate.generalisation import GeneralisationGap, ValidationCurve
from ..evaluate.quantity import EVIDENCE, Quantity
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .codebook import codebook
from .collapse import collapsed, components, encoder_scale, holes
from .examination import MOST_POINTS, Examination
from .findings import Diagnosis, Finding, Outcome
from .latents import ROWS
from .memorisation import memorised
from .outputs import decoder_scale, saturated, weights

__all__ = ["CHECKS", "Diagnosis", "Finding", "examine"]

NO_BOUND = "minus the distortion"  # the score where there is no bound
ROUNDING = 1e-4  # rounding error of a weight that is a sum in single precision


def bound(examination: Examination) -> Outcome | str:
    """Check that the rate had weight 1 in the objective of the kept weights, so that the ELBO was maximised.

    Both sides are a problem: above 1 the objective is a looser bound than the ELBO, below 1 it is no bound. An
    unfinished warm-up is distinguished from a weight that was chosen.
    """
    beta = examination.beta
    if beta is None or not examination.scored or examination.model.latent == 0 or examination.guide.is_exact:
        return "training had no rate to weigh"
    measures = {"beta": beta}
    if abs(beta - 1) <= ROUNDING:
        return Outcome(measures=measures)
    what = f"the rate had weight {beta:.4g} when the weights were kept: "
    if beta > 1:
        what += f"the objective is still a lower bound on {examination.quantity}, but looser than the ELBO"
        cause = "a weight above 1 trades likelihood for simpler codes"
    else:
        what += f"the objective is no bound on {examination.quantity}"
        cause = "a weight below 1 lets codes leave the prior"
    remedy = examination.remedy("beta-not-one" if beta > 1 else "beta-below-one")
    if (warming := _warming(examination.history)) is not None:
        epoch, _ = warming
        cause = f"the weight was still changing in epoch {epoch}, whose weights were kept: the warm-up was not over"
        remedy = examination.remedy("warm-up-not-over")
    return Outcome((Finding("beta-not-one", "problem", what, cause, remedy),), measures)


def _warming(history: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    """Return the epoch whose weights were kept, and the last one, if the rate's weight was still changing then; else
    None."""
    epochs, kept_epoch = _epochs(history)
    betas = {epoch: line.get("beta") for epoch, line in epochs.items()}
    if kept_epoch is None or betas[kept_epoch] is None:
        return None
    # a ramp changes in every epoch until it is over; in a training of one epoch it cannot be told from a constant
    last = max(epochs)
    near = betas.get(kept_epoch + 1 if kept_epoch < last else kept_epoch - 1, betas[kept_epoch])
    return (kept_epoch, last) if near != betas[kept_epoch] else None


def overfitting(examination: Examination) -> Outcome | str:
    """Check that training rows do not score higher than others (see `GeneralisationGap`).

    A problem is a large gap, or any gap where the validation bound has fallen since its best epoch.
    """
    if not examination.model.likelihood.has_density:
        return "the likelihood only samples, so that no row has a score"
    if examination.unseen is None or min(len(examination.unseen.score), len(examination.train)) < 2:
        return "there are no rows that were not trained on"
    train, test = examination.trained.score, examination.unseen.score
    generalisation = GeneralisationGap(train, test)
    gap, error = generalisation.difference, generalisation.stderr or math.inf
    curve = _validation_curve(examination.history, math.sqrt(float(test.var()) / len(test)))
    fallen = 0.0 if curve is None else curve.fallen
    exact = str(examination.quantity) if examination.guide.is_exact else None
    score = exact or (_bound_name(examination.points) if examination.scored else NO_BOUND)
    measures: dict[str, Any] = {"score": score, "score_train": float(train.mean()), "score_test": float(test.mean())}
    measures |= {"gap": gap, "gap_stderr": error}
    measures |= {"gap_in_deviations": generalisation.deviations, "validation_fallen": fallen}
    if not generalisation.over_fitting:
        return Outcome(measures=measures)
    has_fallen = curve is not None and curve.has_fallen
    finding = Finding(
        "over-fitting",
        "problem" if generalisation.is_large or has_fallen else "note",
        f"{score} is {fixed(gap, 1)} ± {fixed(error, 1)} nats higher on training rows than on others "
        f"({fixed(measures['score_train'], 1)} against {fixed(measures['score_test'], 1)})"
        + (
            f", and on validation rows {fixed(fallen, 1)} below that of epoch {curve.best}"
            if curve and has_fallen
            else ""
        ),
        "the model describes its training rows more closely than the distribution that they come from",
        examination.remedy("over-fitting"),
    )
    return Outcome((finding,), measures)


def _bound_name(points: int) -> str:
    return "the ELBO" if points == 1 else f"the importance-weighted bound (K = {points})"


def _epochs(history: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Mapping[str, Any]], int | None]:
    """Return the lines of the epochs by number, and the number of the epoch whose weights were kept."""
    epochs = {line["epoch"]: line for line in history if line.get("event") == "epoch"}
    kept_epoch = next((line["kept_epoch"] for line in reversed(history) if line.get("event") == "stopped"), None)
    return epochs, kept_epoch if kept_epoch in epochs else max(epochs, default=None)


def _rate_weight(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the effective weight of the rate at the kept epoch."""
    epochs, kept_epoch = _epochs(history)
    return None if kept_epoch is None else epochs[kept_epoch].get("beta")


def _validation_curve(history: Sequence[Mapping[str, Any]], stderr: float) -> ValidationCurve | None:
    """Return the validation bound by epoch; None where it was not measured."""
    epochs, kept_epoch = _epochs(history)
    measured = {epoch: line["valid"].get("bound") for epoch, line in epochs.items() if line.get("valid")}
    scores = {epoch: bound for epoch, bound in measured.items() if bound is not None}
    return ValidationCurve(scores, max(scores) if kept_epoch is None else kept_epoch, stderr) if scores else None


Check = Callable[[Examination], Outcome | str]


def recovered(examination: Examination) -> Outcome | str:
    """Check that training was not set back by values that are not finite, to continue with smaller steps."""
    lines = [line for line in examination.history if line.get("event") == "recovered"]
    if not examination.history:
        return "there is no record of the training"
    measures = {"recoveries": len(lines)}
    if not lines:
        return Outcome(measures=measures)
    times = plural(len(lines), "time")
    what = f"training went back to a good state {times}, and ended at {lines[-1]['factor']:g} of its rates"
    remedy = examination.remedy("recovered")
    return Outcome((Finding("recovered", "note", what, str(lines[-1]["what"]), remedy),), measures)


CHECKS: dict[str, Check] = {
    "weights": weights,  # first: with weights that are not finite no other check is meaningful
    "posterior-collapse": collapsed,
    "prior-mismatch": holes,
    "beta-not-one": bound,
    "encoder-scale-collapse": encoder_scale,
    "decoder-scale-collapse": decoder_scale,
    "unused-components": components,
    "unused-codes": codebook,
    "over-fitting": overfitting,
    "memorised-rows": memorised,
    "saturated-outputs": saturated,
    "recovered": recovered,
}


def examine(
    model: LatentVariableModel,
    guide: Guide,
    train: Rows,
    test: Rows | None = None,
    *,
    seed: int = 0,
    beta: float | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    rows_at_most: int = ROWS,
    log_jacobian: float | Tensor = 0.0,
    options: Collection[str] | None = None,
    current: Mapping[str, Any] | None = None,
    quantity: Quantity = EVIDENCE,
    points: int = 1,
    classes: int = 0,
    names: Sequence[str] | None = None,
    watch: ProgressCallback | None = None,
) -> Diagnosis:
    """Check a trained model for every failure mode; the model is neither changed nor trained.

    Args:
        train: rows that the model was trained on.
        test: rows that it was not trained on; without them over-fitting and memorised rows are not checked.
        seed: of all Monte Carlo.
        beta: effective weight of the rate in training; by default that of the kept epoch in `history`.
        history: the lines of metrics.jsonl, as dictionaries.
        rows_at_most: largest number of rows of each part that are used, evenly spaced.
        log_jacobian: nats to add to each log-density, so that scores are in the data's own units; those [D] of each
            feature where entries are missing.
        options: names of the options that another training of this model would accept; remedies offer no others.
        current: values of options with which it was trained, which remedies do not offer again.
        quantity, points: of the scores; K of the importance-weighted bound that was maximised, 1 for the ELBO.
        classes: latent features, the first ones, that code a class.
        names: of the features of the data, where they have names.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        DataError: there are no training rows.

    Example:
        >>> import torch
        >>> from jensen.models.conditionals import Linear, Unconditional
        >>> from jensen.families import Gaussian
        >>> from jensen.guides import Exact
        >>> from jensen.core.random import stream
        >>> model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
        >>> rows = Rows(model.sample(500, stream(0, "data")))
        >>> examine(model, Exact(model), rows).problems
        ()
    """
    if not len(train):
        raise DataError("the doctor needs training rows, got none", "Give the rows that the model was trained on.")
    unseen = test if test is not None and len(test) else None
    weight = _rate_weight(history) if beta is None else beta
    given = Examination(model, guide, train, unseen, weight, tuple(history), seed, rows_at_most, log_jacobian)
    scored = replace(given, quantity=quantity, points=min(points, MOST_POINTS))
    return _checked(replace(scored, options=options, current=current, classes=classes, names=names), watch)


def _checked(examination: Examination, watch: ProgressCallback | None) -> Diagnosis:
    """Return the diagnosis by all checks."""
    findings: list[Finding] = []
    measures: dict[str, Any] = {"rows_train": min(len(examination.train), examination.most)}
    skipped: dict[str, str] = {}
    for i, (name, check) in enumerate(CHECKS.items()):
        if any(f.name == "non-finite-weights" for f in findings):
            skipped[name] = "weights are not finite"
            continue
        outcome = check(examination)
        if isinstance(outcome, str):
            skipped[name] = outcome
        else:
            findings.extend(outcome.findings)
            measures |= outcome.measures
        if watch is not None:
            watch((i + 1) / len(CHECKS))
    return Diagnosis(tuple(sorted(findings, key=lambda f: f.severity != "problem")), measures, skipped)
