"""The three numbers at the top of the page, each with its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.wording import fixed, format_nats, plural
from .facts import Facts
from .summary import sign

__all__ = ["KeyNumber", "key_numbers"]

MOST = 3


@dataclass(frozen=True)
class KeyNumber:
    """A number with its name, and its unit or kind."""

    name: str
    value: str
    kind: str


def key_numbers(facts: Facts, measured: Mapping[str, Any]) -> list[KeyNumber]:
    """Return the three most telling numbers that there are: the evidence, what the code holds, and what that costs.

    Args:
        facts: of the run.
        measured: the numbers of the page so far, by section.
    """
    numbers = [*_evidence(facts), *_use(facts), *_told(measured), *_costs(facts)]
    parameters = KeyNumber("trained parameters", f"{facts.parameters:,}", "of model and guide")
    return [*numbers, parameters][:MOST]


def _evidence(facts: Facts) -> Iterator[KeyNumber]:
    e = facts.evaluation
    if e is None or e["log_px"] is None:
        return
    mark = sign(e["kind"])
    name = facts.log_px if mark == "=" else f"{facts.log_px} {mark}"
    yield KeyNumber(name, format_nats(e["log_px"], e["stderr"]), f"nats per datum, {e['kind']}")


def _use(facts: Facts) -> Iterator[KeyNumber]:
    """Yield the accuracy, and the features or components in use."""
    classified = (facts.evaluation or {}).get("classified")
    if classified:
        accuracy = f"{100 * classified['accuracy']:.1f} ± {100 * classified['stderr']:.1f} %"
        yield KeyNumber("accuracy", accuracy, plural(classified["labels_in_training"], "label"))
    if facts.active is not None:
        of = plural(len(facts.active), "feature")
        yield KeyNumber("in use", f"{int(facts.active.sum())} of {of}", "their code varies with the data")
    if facts.components is not None and facts.weights is not None:
        of = plural(len(facts.weights), "component")
        yield KeyNumber("in effect", f"{facts.components:.1f} of {of}", "by the entropy of their weights")


def _told(measured: Mapping[str, Any]) -> Iterator[KeyNumber]:
    """Yield how well rows of the model are told from data, where that was measured."""
    apart = measured.get("real_or_drawn")
    if apart is not None:
        number = f"{apart['auc']:.2f} ± {max(apart['stderr'], 0.01):.2f}"
        yield KeyNumber("real or drawn, AUC", number, "by boosted trees; 0.5 is chance")


def _costs(facts: Facts) -> Iterator[KeyNumber]:
    e = facts.evaluation or {}
    if e.get("bits_per_dim") is not None:
        yield KeyNumber("bits per dimension", f"{e['bits_per_dim']:.2f}", "of the same number")
    if facts.latent != "none" and e.get("rate") is not None:
        yield KeyNumber("rate", fixed(e["rate"], 2), "nats per datum, that the code carries")
    if e.get("distortion") is not None:
        yield KeyNumber("distortion", fixed(e["distortion"], 2), "nats per datum, that the code leaves open")
