"""Findings about a run, in words: simple checks, each supported by numbers that the report holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..analysis.findings import Diagnosis, Finding
from ..analysis.reliability import evaluation_findings
from ..core.wording import fixed, plural
from ..evaluate.generalisation import ValidationCurve
from ..runs.trained import trained
from .facts import Facts

__all__ = ["Remark", "findings"]

MANY_DUPLICATES = 0.01
BENIGN = {"unused features", "on the evaluation", "no density"}  # notes that qualify no number and no picture


@dataclass(frozen=True)
class Remark:
    """One finding of the report, of the doctor or of the checks here.

    Attributes:
        level: "alarm" if a number or picture of the report should not be taken at face value, else "note".
        short: a few words for the headline.
        text: one or two sentences, with a remedy.
    """

    level: Literal["alarm", "note"]
    short: str
    text: str

    @property
    def qualifies(self) -> bool:
        """True if the headline must name it beside its number."""
        return self.level == "alarm" or self.short not in BENIGN


def findings(facts: Facts) -> list[Remark]:
    """Return all findings about the run, alarms first."""
    checks = (_ending, _numbers, _data, _overfitting, _doctor, _notes)
    remarks = [finding for check in checks for finding in check(facts)]
    return sorted(remarks, key=lambda f: f.level != "alarm")


def _ending(facts: Facts) -> Iterator[Remark]:
    if not facts.run.spec["players"]:  # trained in the user's own loop, which is not recorded
        return
    if facts.stopped is None:
        last = facts.epochs[-1]["epoch"] if facts.epochs else 0
        text = (
            f"Training has not ended, or was killed: its last complete epoch is {last}. Continue it: jensen resume RUN."
        )
        yield Remark("alarm", "unfinished training", text)
    elif facts.stopped["reason"] in ("interrupted", "out of time"):
        planned = facts.run.spec["choices"].get("epochs")
        text = (
            f"Training was stopped ({facts.stopped['reason']}) in epoch {facts.stopped['epoch']} of {planned}. "
            "Continue it: jensen resume RUN."
        )
        yield Remark("alarm", "interrupted training", text)
    elif facts.stopped["reason"] == "finished":
        yield from _still_rising(facts)


def _still_rising(facts: Facts) -> Iterator[Remark]:
    curve, error = _curve(facts), _validation_error(facts)
    if len(curve) < 10 or error is None:
        return
    last, earlier = curve[-1], curve[-1 - len(curve) // 10]
    if last[1] - earlier[1] > error and last[1] >= max(v for _, v in curve) - error:
        text = (
            f"In the last {last[0] - earlier[0]} epochs the validation bound still rose by "
            f"{fixed(last[1] - earlier[1], 2)} nats: train with more --epochs."
        )
        yield Remark("note", "still rising", text)


def _numbers(facts: Facts) -> Iterator[Remark]:
    e = facts.evaluation
    if e is None:
        return
    if e["log_px"] is None:
        text = (
            "The encoder maps x to one code and has no density, so there is no bound on the log-likelihood. A recipe "
            "with a density, such as vae, has one."
        )
        yield Remark("note", "no density", text)


def _data(facts: Facts) -> Iterator[Remark]:
    if facts.missing is not None:
        yield Remark(
            "note", "no data", f"The data cannot be read, so everything that needs them is left out: {facts.missing}."
        )
    split = facts.run.spec["split"]
    tested = split["test"]["n"] if split["test"] else split["sizes"]["test"]
    sizes = {"valid": ("validation", split["sizes"]["valid"]), "test": ("test", tested)}
    copies = {k: n for k, n in split["duplicates_of_training_rows"].items() if n}
    if copies:
        level = "alarm" if any(n > MANY_DUPLICATES * sizes[k][1] for k, n in copies.items()) else "note"
        copied = " and ".join(f"{n:,} of {plural(sizes[k][1], f'{sizes[k][0]} row')}" for k, n in copies.items())
        text = f"{copied} are exact copies of training rows, which biases their score upwards: drop repeated rows."
        yield Remark(level, "duplicates across the split", text)


def _curve(facts: Facts) -> list[tuple[int, float]]:
    """Return (epoch, validation score) of each epoch with one: the bound, or minus the distortion without a bound."""
    return [
        (e["epoch"], -e["valid"]["distortion"] if e["valid"]["bound"] is None else e["valid"]["bound"])
        for e in facts.epochs
        if e["valid"] is not None and e["valid"]["distortion"] is not None
    ]


def _validation_error(facts: Facts) -> float | None:
    """Return the standard error of the validation bound, from the spread over the evaluated rows."""
    e, n = facts.evaluation, facts.run.spec["split"]["sizes"]["valid"]
    if e is None or not e["stderr"] or not e["n"] or not n:
        return None
    return e["stderr"] * math.sqrt(e["n"] / n)


def _overfitting(facts: Facts) -> Iterator[Remark]:
    scores = dict(_curve(facts))
    is_diagnosed = facts.diagnosis is not None and any(f.name == "over-fitting" for f in facts.diagnosis.findings)
    if is_diagnosed or not scores or facts.kept is None or facts.kept["epoch"] not in scores:
        return
    curve = ValidationCurve(scores, facts.kept["epoch"], _validation_error(facts))
    name = "bound" if facts.normalised else "score (minus the distortion)"
    if curve.has_fallen:
        text = (
            f"The weights are those of epoch {curve.kept}, whose validation {name} ({fixed(scores[curve.kept], 2)}) is "
            f"{fixed(curve.fallen, 2)} nats below that of epoch {curve.best}: train with --keep best."
        )
        yield Remark("alarm", "over-fitting", text)
    elif curve.has_fallen_later:
        text = (
            f"After epoch {curve.best} the validation {name} fell by {fixed(curve.fallen_later, 2)} nats; the weights "
            f"of epoch {curve.kept} were kept."
        )
        if facts.run.spec["choices"].get("patience") is None:
            text = f"{text} --patience auto, which is the default, would stop such a training."
        yield Remark("note", "over-fitting later", text)


def _doctor(facts: Facts) -> Iterator[Remark]:
    """Yield the findings of the doctor, which holds the thresholds of failure modes, and those on the evaluation."""
    diagnosis = facts.diagnosis or Diagnosis((), {}, {})
    yield from map(_remark, diagnosis.with_others(evaluation_findings(facts.evaluation, trained(facts.run))).findings)


def _remark(finding: Finding) -> Remark:
    """Return a finding of the doctor as a remark."""
    text = f"{finding.what[:1].upper()}{finding.what[1:]}: {finding.cause}. {finding.remedy}"
    return Remark("alarm" if finding.severity == "problem" else "note", finding.title, text)


def _notes(facts: Facts) -> Iterator[Remark]:
    for note in dict.fromkeys((*facts.notes, *_standing_in(facts))):
        text = note[:1].upper() + note[1:] + ("" if note.endswith(".") else ".")
        if "validation rows" in note:
            text = text[:-1] + ". The weights were chosen by these rows, which biases the number slightly upwards."
        yield Remark("note", "on the evaluation", text)


def _standing_in(facts: Facts) -> tuple[str, ...]:
    return () if facts.part is None else tuple(n for n in facts.part.notes if "there is no test part" in n)
