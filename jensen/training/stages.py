"""The stages of a training whose players take turns, and the bound at the end of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Stage", "ends", "in_words", "stretches"]


@dataclass(frozen=True)
class Stage:
    """Epochs in which one and the same objective leads, and what the last of them measured.

    Attributes:
        objective: in words.
        first, last: epochs, counted from 1.
        part: "validation", or "training" (while the weights moved) where no rows were kept aside.
        bound: lower bound on log p(x) after the last of them, in nats per datum; None without one.
        rate, distortion: likewise.
    """

    objective: str
    first: int
    last: int
    part: str
    bound: float | None
    rate: float | None
    distortion: float | None

    def to_dict(self) -> dict[str, Any]:
        """Every number, as JSON takes it."""
        return asdict(self)


def _leads(players: Sequence[Mapping[str, Any]], epochs: int) -> list[tuple[str, int, int]]:
    """(objective, first epoch, last epoch) of whoever comes first among those who climb."""
    found: list[tuple[str, int, int]] = []
    for epoch in range(1, epochs + 1) if players else ():
        spans = ((p, *(round(epochs * float(f)) for f in p.get("during", (0, 1)))) for p in players)
        lead = next((p for p, start, end in spans if start < epoch <= end), players[0])
        if found and found[-1][0] == lead["objective"]:
            found[-1] = (found[-1][0], found[-1][1], epoch)
        else:
            found.append((lead["objective"], epoch, epoch))
    return found


def ends(players: Sequence[Mapping[str, Any]], epochs: int) -> tuple[int, ...]:
    """The last epoch of each stage, where there is more than one.

    Args:
        players: as recorded in a specification.
        epochs: of the whole training.

    Example:
        >>> ends([{"objective": "Elbo", "during": [0, 0.7]}, {"objective": "-Rate", "during": [0.7, 1]}], 100)
        (70, 100)
        >>> ends([{"objective": "Elbo"}], 100)
        ()
    """
    found = _leads(players, epochs)
    return tuple(last for _, _, last in found) if len(found) > 1 else ()


def stretches(spec: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
    """The stages that have come to their end, where there is more than one; from a run's specification and metrics."""
    leads = _leads(spec["players"], int(spec["choices"]["epochs"]))
    lines = {line["epoch"]: line for line in metrics if line["event"] == "epoch"}
    found = []
    for objective, first, last in leads if len(leads) > 1 else ():
        if last in lines:
            part = "training" if lines[last]["valid"] is None else "validation"
            measures = lines[last]["train" if part == "training" else "valid"]
            values = (measures["bound"], measures["rate"], measures["distortion"])
            found.append(Stage(objective, first, last, part, *values))
    return tuple(found)


def in_words(found: Sequence[Stage]) -> tuple[str, ...]:
    """A line that compares the stages' bounds; none where there are not two of them.

    Example:
        >>> parts = [("Elbo", 1, 7, -90.123), ("-Rate", 8, 10, -88.456)]
        >>> in_words([Stage(o, a, b, "validation", bound, 1.0, 2.0) for o, a, b, bound in parts])[0]
        'stages (ELBO of validation rows): -90.12 after epoch 7 of Elbo, -88.46 after epoch 10 of -Rate'
    """
    if len(found) < 2 or any(stage.bound is None for stage in found):
        return ()
    each = ", ".join(f"{s.bound:.2f} after epoch {s.last} of {s.objective}" for s in found)
    return (f"stages (ELBO of {found[0].part} rows): {each}",)
