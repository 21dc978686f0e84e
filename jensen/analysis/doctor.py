"""The doctor: what can be wrong with a trained model, each illness with its sign, its cause and what to do.

Every threshold is a constant with its reason beside it. A check that rests on chance needs both a p-value below 0.001
and an effect that matters, because with enough rows every model is wrong somewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.batch import Rows
from ..core.errors import DataError
from ..evaluate.estimate import ProgressCallback
from ..evaluate.generalisation import GeneralisationGap, ValidationCurve
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .codebook import codebook
from .collapse import collapsed, components, encoder_scale, holes
from .examination import Examination
from .findings import Diagnosis, Finding, Outcome
from .memorisation import memorised
from .outputs import decoder_scale, saturated, weights

__all__ = ["CHECKS", "Diagnosis", "Finding", "examine"]

ROUNDING = 1e-4  # of a weight that is summed up in single precision
LARGE = 0.8  # standard deviations of the score over data, of a large gap (Cohen, 1988)


def bound(patient: Examination) -> Outcome | str:
    """Return whether the rate weighed 1 in the objective of the weights that were kept, so that what was climbed is the
    ELBO.

    Both sides are a problem: above 1 it was a looser bound than the ELBO, below 1 none at all. A warm-up that was not
    over is told apart from a weight that was asked for.
    """
    beta = patient.beta
    if beta is None or not patient.scored or patient.model.latent == 0 or patient.guide.is_exact:
        return "training had no rate to weigh"
    measures = {"beta": beta}
    if abs(beta - 1) <= ROUNDING:
        return Outcome(measures=measures)
    what = f"the rate weighed {beta:.4g} when the weights were kept: "
    if beta > 1:
        what += "what was maximised is still a lower bound on log p(x), but looser than the ELBO"
        cause = "a rate above its price trades likelihood for simpler codes"
    else:
        what += "what was maximised is no bound on log p(x)"
        cause = "a rate below its price lets codes leave the prior"
    remedy = f"Train with --beta 1{'' if beta > 1 else ', and beyond the end of --warmup,'} where log p(x) matters."
    if (warming := _warming(patient.history)) is not None:
        epoch, last = warming
        cause = f"the weight was still moving in epoch {epoch}, whose weights were kept: the warm-up was not over"
        later = f"; --keep last keeps the weights of epoch {last}" if last > epoch else ""
        remedy = f"Train with more --epochs or a shorter --warmup (and with --beta 1, if it was another){later}."
    return Outcome((Finding("beta-not-one", "problem", what, cause, remedy),), measures)


def _warming(history: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    """Return the epoch whose weights were kept, and the last one, if the rate's weight was still moving then; else
    None."""
    epochs, kept = _epochs(history)
    betas = {epoch: line.get("beta") for epoch, line in epochs.items()}
    if kept is None or betas[kept] is None:
        return None
    # a ramp moves in every epoch until it is over; in the only epoch of a training nothing tells it from a constant
    last = max(epochs)
    near = betas.get(kept + 1 if kept < last else kept - 1, betas[kept])
    return (kept, last) if near != betas[kept] else None


def overfitting(patient: Examination) -> Outcome | str:
    """Return whether training rows score better than others, by 3 standard errors and enough standard deviations over
    data.

    A problem is a large gap, or one where the validation bound has fallen since its best epoch by 3 standard errors.
    """
    if not patient.model.likelihood.has_density:
        return "the likelihood only samples, so that no row has a score"
    if patient.unseen is None or min(len(patient.unseen.score), len(patient.train)) < 2:
        return "there are no rows that were not trained on"
    train, test = patient.trained.score, patient.unseen.score
    halves = GeneralisationGap(train, test)
    gap, error = halves.difference, halves.stderr or math.inf
    curve = _validation_curve(patient.history, math.sqrt(float(test.var()) / len(test)))
    fallen = 0.0 if curve is None else curve.fallen
    score = "log p(x)" if patient.guide.is_exact else "the ELBO" if patient.scored else "minus the distortion"
    measures: dict[str, Any] = {"score": score, "score_train": float(train.mean()), "score_test": float(test.mean())}
    measures |= {"gap": gap, "gap_stderr": error}
    measures |= {"gap_in_deviations": halves.deviations, "validation_fallen": fallen}
    if not halves.over_fitting:
        return Outcome(measures=measures)
    late = curve is not None and curve.is_beyond_chance(fallen)
    finding = Finding(
        "over-fitting",
        "problem" if measures["gap_in_deviations"] > LARGE or late else "note",
        f"{score} is {gap:.1f} ± {error:.1f} nats higher on training rows than on others "
        f"({measures['score_train']:.1f} against {measures['score_test']:.1f})"
        + (f", and on validation rows {fallen:.1f} below that of epoch {curve.best}" if curve and late else ""),
        "the model describes its training rows more closely than what they were drawn from",
        "Use a smaller model (--hidden, --latent, --components), more data, or --keep best with --patience 20.",
    )
    return Outcome((finding,), measures)


def _epochs(history: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Mapping[str, Any]], int | None]:
    """Return the lines of the epochs by number, and the number of that whose weights were kept."""
    epochs = {line["epoch"]: line for line in history if line.get("event") == "epoch"}
    kept = next((line["kept_epoch"] for line in reversed(history) if line.get("event") == "stopped"), None)
    return epochs, kept if kept in epochs else max(epochs, default=None)


def _weight(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Effective weight of the rate at the kept epoch."""
    epochs, kept = _epochs(history)
    return None if kept is None else epochs[kept].get("beta")


def _validation_curve(history: Sequence[Mapping[str, Any]], stderr: float) -> ValidationCurve | None:
    """Return the validation bound by epoch; None where it was not measured."""
    epochs, kept = _epochs(history)
    measured = {epoch: line["valid"].get("bound") for epoch, line in epochs.items() if line.get("valid")}
    scores = {epoch: bound for epoch, bound in measured.items() if bound is not None}
    return ValidationCurve(scores, max(scores) if kept is None else kept, stderr) if scores else None


Check = Callable[[Examination], Outcome | str]


def recovered(patient: Examination) -> Outcome | str:
    """Return whether numbers stopped being finite on the way, so that training went back and took smaller steps."""
    lines = [line for line in patient.history if line.get("event") == "recovered"]
    if not patient.history:
        return "there is no record of the training"
    measures = {"recoveries": len(lines)}
    if not lines:
        return Outcome(measures=measures)
    what = f"training went back to a good state {len(lines)} times, and ended at {lines[-1]['factor']:g} of its rates"
    remedy = "See forensics.json in the run's folder; train with a lower --lr, or look at the rows that it names."
    return Outcome((Finding("recovered", "note", what, str(lines[-1]["what"]), remedy),), measures)


CHECKS: dict[str, Check] = {
    "weights": weights,  # first: with broken weights nothing else means anything
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
    rows_at_most: int = 2000,
    log_jacobian: float = 0.0,
    watch: ProgressCallback | None = None,
) -> Diagnosis:
    """Look for every illness that a trained model can have; nothing is changed, and nothing is trained.

    Args:
        train: rows that the model was trained on.
        test: rows that it was not trained on; without them over-fitting and memorised rows are not looked for.
        seed: of all Monte Carlo.
        beta: effective weight of the rate in training; by default that of the kept epoch in `history`.
        history: the lines of metrics.jsonl, as dictionaries.
        rows_at_most: rows of each part that are looked at, evenly spaced.
        log_jacobian: nats to add to each log-density, so that scores are in the data's own units.
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
        raise DataError("the doctor was given no training rows", "Give the rows that the model was trained on.")
    unseen = test if test is not None and len(test) else None
    weight = _weight(history) if beta is None else beta
    patient = Examination(model, guide, train, unseen, weight, tuple(history), seed, rows_at_most, log_jacobian)
    findings: list[Finding] = []
    measures: dict[str, Any] = {"rows_train": min(len(train), rows_at_most)}
    skipped: dict[str, str] = {}
    for i, (name, check) in enumerate(CHECKS.items()):
        if any(f.name == "non-finite-weights" for f in findings):
            skipped[name] = "weights are not finite"
            continue
        finding = check(patient)
        if isinstance(finding, str):
            skipped[name] = finding
        else:
            findings.extend(finding.findings)
            measures |= finding.measures
        if watch is not None:
            watch((i + 1) / len(CHECKS))
    return Diagnosis(tuple(sorted(findings, key=lambda f: f.severity != "problem")), measures, skipped)
