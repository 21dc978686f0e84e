"""Stages: parts of a training in which different players are active, and the bound at the end of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.wording import fixed

__all__ = ["Stage", "finished_stages", "stage_ends", "stage_lines"]


@dataclass(frozen=True)
class Stage:
    """Successive epochs with the same leading objective, and the measures of the last of them.

    Attributes:
        objective: in words.
        first, last: epochs, counted from 1.
        part: "validation", or "training" (while the weights moved) where there were no validation rows.
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
        """Return all fields as JSON-serialisable values."""
        return asdict(self)


def _leads(players: Sequence[Mapping[str, Any]], epochs: int) -> list[tuple[str, int, int]]:
    """Return (objective, first epoch, last epoch) of each stage: the first active player leads."""
    spans = [(i, *(round(epochs * float(f)) for f in p.get("during", (0, 1)))) for i, p in enumerate(players)]
    ends = sorted({epochs, *(end for _, *span in spans for end in span if 0 < end < epochs)})
    stages: list[tuple[int, int, int]] = []  # by the number of the player: two may have the same objective
    for first, last in zip([1, *(end + 1 for end in ends)], ends, strict=False) if players else ():
        lead = next((i for i, start, end in spans if start < first <= end), 0)
        if stages and stages[-1][0] == lead:
            stages[-1] = (lead, stages[-1][1], last)
        else:
            stages.append((lead, first, last))
    return [(players[i]["objective"], first, last) for i, first, last in stages]


def stage_ends(players: Sequence[Mapping[str, Any]], epochs: int) -> tuple[int, ...]:
    """Return the last epoch of each stage; none where there is a single stage.

    Args:
        players: as recorded in a specification.
        epochs: of the whole training.

    Example:
        >>> stage_ends([{"objective": "Elbo", "during": [0, 0.7]}, {"objective": "-Rate", "during": [0.7, 1]}], 100)
        (70, 100)
        >>> stage_ends([{"objective": "Elbo"}], 100)
        ()
    """
    leads = _leads(players, epochs)
    return tuple(last for _, _, last in leads) if len(leads) > 1 else ()


def finished_stages(spec: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
    """Return the stages that are complete; none where there is a single stage.

    Args:
        spec: the specification of a run.
        metrics: the lines of its metrics.
    """
    leads = _leads(spec["players"], int(spec["choices"]["epochs"]))
    lines = {line["epoch"]: line for line in metrics if line["event"] == "epoch"}
    stages = []
    for objective, first, last in leads if len(leads) > 1 else ():
        if last in lines:
            part = "training" if lines[last]["valid"] is None else "validation"
            measures = lines[last]["train" if part == "training" else "valid"]
            values = {name: measures[name] for name in ("bound", "rate", "distortion")}
            stages.append(Stage(objective, first, last, part, **values))
    return tuple(stages)


def stage_lines(stages: Sequence[Stage]) -> tuple[str, ...]:
    """Return a line that compares the bounds of stages; none where there are fewer than two of them.

    Example:
        >>> parts = [("Elbo", 1, 7, -90.123), ("-Rate", 8, 10, -88.456)]
        >>> stage_lines([Stage(o, a, b, "validation", bound, 1.0, 2.0) for o, a, b, bound in parts])[0]
        'stages (ELBO of validation rows): -90.12 after epoch 7 of Elbo, -88.46 after epoch 10 of -Rate'
    """
    measured = [(s.bound, s) for s in stages if s.bound is not None]
    if len(stages) < 2 or len(measured) < len(stages):
        return ()
    each = ", ".join(f"{fixed(bound, 2)} after epoch {s.last} of {s.objective}" for bound, s in measured)
    return (f"stages (ELBO of {stages[0].part} rows): {each}",)
