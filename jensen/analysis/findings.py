"""Findings of the doctor, each with its cause and a remedy, and the diagnosis that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ..core.wording import plural

__all__ = ["Diagnosis", "Finding", "Outcome", "overall_verdict"]

TITLES = {
    "over-fitting": "over-fitting",
    "monte-carlo-error": "Monte Carlo error",
    "loose-bound": "a bound that may be loose",
    "unknown-tightness": "a bound of unknown tightness",
    "worse-than-uniform": "a model worse than the uniform distribution",
    "heavy-tailed-weights": "heavy-tailed weights",
}


@dataclass(frozen=True)
class Finding:
    """A failure mode that was detected, or an observation.

    Attributes:
        name: name of the failure mode, in kebab case.
        severity: "problem", if numbers or samples of the run should not be taken at face value, or "note".
        what: the symptom, in one sentence with the numbers.
        cause: the likely cause.
        remedy: the option to set, or the change to make.
    """

    name: str
    severity: Literal["problem", "note"]
    what: str
    cause: str
    remedy: str

    @property
    def title(self) -> str:
        """The name in words."""
        return TITLES.get(self.name, self.name.replace("-", " "))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every field."""
        return asdict(self)


def overall_verdict(problems: Sequence[str], notes: Sequence[str] = (), *, looked: bool = True) -> str:
    """Return the verdict on a run by all that was found, as a clause; no other words call a run healthy.

    Doctor, report and evaluation have it from here, so that none says that all is well beside a finding.

    Args:
        problems, notes: names of the findings of the doctor and on the evaluation, in words.
        looked: False if the run could not be examined, so that no findings mean nothing.

    Example:
        >>> overall_verdict([], ["over-fitting"]), overall_verdict([], looked=False), overall_verdict([])
        ('no problem, but to note: over-fitting', 'not examined', 'nothing alarming')
    """
    if problems:
        return f"to look at: {', '.join(dict.fromkeys(problems))}"
    if notes:
        return f"no problem, but to note: {', '.join(dict.fromkeys(notes))}"
    return "nothing alarming" if looked else "not examined"


@dataclass(frozen=True)
class Outcome:
    """The result of one check, with the numbers that it used."""

    findings: tuple[Finding, ...] = ()
    measures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """The result of `examine`.

    Attributes:
        findings: problems first.
        measures: every number that was used, by name; nats per datum where they are nats.
        skipped: checks that do not apply to this model, with the reason.
        notes: remarks about the rows.
    """

    findings: tuple[Finding, ...]
    measures: dict[str, Any]
    skipped: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings with severity "problem"."""
        return tuple(f for f in self.findings if f.severity == "problem")

    @property
    def notable(self) -> tuple[Finding, ...]:
        """The findings with severity "note"."""
        return tuple(f for f in self.findings if f.severity == "note")

    @property
    def healthy(self) -> bool:
        """True if there is no problem; notes do not count."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """The number of problems and of notes."""
        problems, notes = len(self.problems), len(self.notable)
        counts = plural(problems, "problem") if problems else "no problem"
        return f"{counts}, {plural(notes, 'note')}" if notes else counts

    def with_others(self, findings: Sequence[Finding]) -> Diagnosis:
        """Return the diagnosis with further findings; the more serious of two with one name."""
        kept: dict[str, Finding] = {}
        for finding in sorted((*self.findings, *findings), key=lambda f: f.severity != "problem"):
            kept.setdefault(finding.name, finding)
        return replace(self, findings=tuple(kept.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of findings, measures and skipped checks."""
        return {
            "healthy": self.healthy,
            "verdict": overall_verdict([f.title for f in self.problems], [f.title for f in self.notable]),
            "findings": [f.to_dict() for f in self.findings],
            "measures": dict(self.measures),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }
