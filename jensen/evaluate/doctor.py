"""The doctor: what can be wrong with a trained model, each illness with its sign, its cause and what to do.

Every threshold is a constant with its reason beside it. A check that rests on chance needs both a p-value below 0.001
and an effect that matters, because with enough rows every model is wrong somewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..batch import Rows
from ..errors import DataError
from ..guides import Guide
from ..model import LatentVariableModel
from .collapse import collapsed, components, encoder_scale, holes
from .estimate import Watch
from .findings import Diagnosis, Finding, Outcome
from .memory import memorised
from .outputs import decoder_scale, saturated, weights
from .patient import Patient

__all__ = ["CHECKS", "Diagnosis", "Finding", "examine"]

ERRORS = 3.0  # standard errors, beyond which a gap is more than the choice of rows
# in standard deviations of the score over data, which no units change: a gap to see, and a large one (Cohen, 1988)
VISIBLE, LARGE = 0.3, 0.8


def bound(patient: Patient) -> Outcome | str:
    """Whether what was climbed is a bound on log p(x): the rate must weigh at least 1."""
    beta = patient.beta
    if beta is None or not patient.scored or patient.model.latent == 0 or patient.guide.is_exact:
        return "training had no rate to weigh"
    measures = {"beta": beta}
    if abs(beta - 1) <= 0.01:
        return Outcome(measures=measures)
    if beta > 1:
        what = f"the rate weighed {beta:g} when the weights were kept: still a lower bound, but a looser one"
        cause = "a rate above its price trades likelihood for simpler codes"
        finding = Finding("beta-not-one", "note", what, cause, "Train with --beta 1 where log p(x) matters.")
    else:
        what = f"the rate weighed {beta:g} when the weights were kept: what was maximised is no bound on log p(x)"
        cause = "a rate below its price lets codes leave the prior"
        finding = Finding("beta-not-one", "problem", what, cause, "Train with --beta 1, or beyond the end of --warmup.")
    return Outcome((finding,), measures)


def overfitting(patient: Patient) -> Outcome | str:
    """Whether training rows score better than others, by 3 standard errors and enough standard deviations over data.

    A problem is a large gap, or one where the validation bound has fallen since its best epoch by 3 standard errors.
    """
    if patient.unseen is None or min(len(patient.unseen.score), len(patient.train)) < 2:
        return "there are no rows that were not trained on"
    train, test = patient.trained.score, patient.unseen.score
    gap, error = float(train.mean() - test.mean()), math.sqrt(_variance(train) + _variance(test))
    best, fallen = _fallen(patient.history)
    measures = {"score_train": float(train.mean()), "score_test": float(test.mean()), "gap": gap, "gap_stderr": error}
    measures |= {"gap_in_deviations": gap / max(float(train.std()), 1e-12), "validation_fallen": fallen}
    if gap <= ERRORS * error or measures["gap_in_deviations"] < VISIBLE:
        return Outcome(measures=measures)
    late = fallen > ERRORS * math.sqrt(_variance(test))
    score = "log p(x)" if patient.guide.is_exact else "the bound" if patient.scored else "minus the distortion"
    finding = Finding(
        "over-fitting",
        "problem" if measures["gap_in_deviations"] > LARGE or late else "note",
        f"{score} is {gap:.1f} ± {error:.1f} nats higher on training rows than on others "
        f"({measures['score_train']:.1f} against {measures['score_test']:.1f})"
        + (f", and on validation rows {fallen:.1f} below that of epoch {best}" if late else ""),
        "the model describes its training rows more closely than what they were drawn from",
        "Use a smaller model (--hidden, --latent, --components), more data, or --keep best with --patience 20.",
    )
    return Outcome((finding,), measures)


def _variance(score: Tensor) -> float:
    """Of the mean."""
    return float(score.var()) / len(score)


def _epochs(history: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Mapping[str, Any]], int | None]:
    """The lines of the epochs by number, and the number of that whose weights were kept."""
    epochs = {line["epoch"]: line for line in history if line.get("event") == "epoch"}
    kept = next((line["kept_epoch"] for line in reversed(history) if line.get("event") == "stopped"), None)
    return epochs, kept if kept in epochs else max(epochs, default=None)


def _weight(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Effective weight of the rate at the kept epoch."""
    epochs, kept = _epochs(history)
    return None if kept is None else epochs[kept].get("beta")


def _fallen(history: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """The epoch of the highest validation bound, and how far below it that of the kept weights is."""
    epochs, kept = _epochs(history)
    measured = {epoch: line["valid"].get("bound") for epoch, line in epochs.items() if line.get("valid")}
    curve = {epoch: bound for epoch, bound in measured.items() if bound is not None}
    if not curve:
        return 0, 0.0
    best = max(curve, key=curve.__getitem__)
    return best, curve[best] - curve.get(kept if kept is not None else best, curve[max(curve)])


Check = Callable[[Patient], Outcome | str]

CHECKS: dict[str, Check] = {
    "weights": weights,  # first: with broken weights nothing else means anything
    "posterior-collapse": collapsed,
    "prior-mismatch": holes,
    "beta-not-one": bound,
    "encoder-scale-collapse": encoder_scale,
    "decoder-scale-collapse": decoder_scale,
    "unused-components": components,
    "over-fitting": overfitting,
    "memorised-rows": memorised,
    "saturated-outputs": saturated,
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
    watch: Watch | None = None,
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
        watch: told the fraction that is done.

    Raises:
        DataError: there are no training rows.

    Example:
        >>> import torch
        >>> from jensen.conditionals import Linear, Unconditional
        >>> from jensen.families import Gaussian
        >>> from jensen.guides import Exact
        >>> from jensen.randomness import stream
        >>> model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
        >>> rows = Rows(model.sample(500, stream(0, "data")))
        >>> examine(model, Exact(model), rows).problems
        ()
    """
    if not len(train):
        raise DataError("the doctor was given no training rows", "Give the rows that the model was trained on.")
    unseen = test if test is not None and len(test) else None
    weight = _weight(history) if beta is None else beta
    patient = Patient(model, guide, train, unseen, weight, tuple(history), seed, rows_at_most, log_jacobian)
    findings: list[Finding] = []
    measures: dict[str, Any] = {"rows_train": min(len(train), rows_at_most)}
    skipped: dict[str, str] = {}
    for i, (name, check) in enumerate(CHECKS.items()):
        if any(f.name == "non-finite-weights" for f in findings):
            skipped[name] = "weights are not finite"
            continue
        found = check(patient)
        if isinstance(found, str):
            skipped[name] = found
        else:
            findings.extend(found.findings)
            measures |= found.measures
        if watch is not None:
            watch((i + 1) / len(CHECKS))
    return Diagnosis(tuple(sorted(findings, key=lambda f: f.severity != "problem")), measures, skipped)
