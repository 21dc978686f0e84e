"""Findings of the doctor, each with its cause and a remedy, and the diagnosis that holds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Diagnosis", "Finding", "Outcome"]


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

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every field."""
        return asdict(self)


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
    def healthy(self) -> bool:
        """True if there is no problem; notes do not count."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of findings, measures and skipped checks."""
        return {
            "healthy": self.healthy,
            "findings": [f.to_dict() for f in self.findings],
            "measures": dict(self.measures),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }
