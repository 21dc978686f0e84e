"""Fidelity: the distance of samples to data, as `jensen fidelity` measured it."""

from __future__ import annotations

from typing import Any

from ..storage.run_folder import FIDELITY
from ..storage.schemas import FidelityRecord
from .facts import Facts, of_these_weights
from .panels import Table

__all__ = ["fidelity"]


def fidelity(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Return three measures of samples beside those of real rows; None where they are of other weights.

    Raises:
        CorruptRunError: the file is damaged.
    """
    record = of_these_weights(facts.run, facts.run.path / FIDELITY, FidelityRecord, "jensen fidelity RUN")
    if record is None:
        return None
    numbers["fidelity"] = record
    names = {"frechet": "Frechet distance (lower is better)", "precision": "precision", "recall": "recall"}
    rows = tuple((name, *_cells(record[key])) for key, name in names.items())
    kind, accuracy = record["features"]["kind"], record["features"]["accuracy"]
    accurate = "" if accuracy is None else f", with an accuracy of {accuracy:.1%} on these rows"
    caption = (
        f"{record['n']:,} {record['sampled']} of the model against as many of {record['data']}; ± over draws. In "
        f"{record['features']['size']} features of a {kind}{accurate}, fitted to the training rows: compare numbers "
        "between models of the same data and split, at the same number of points. The model should come near the real "
        "rows. Low precision would show samples that resemble no data, low recall data that no sample resembles."
    )
    return Table(("samples against data", "model", "±", "real rows", "±"), rows, (), caption)


def _cells(score: dict[str, float]) -> tuple[str, ...]:
    """Return a score of samples and of real rows, each with its spread."""
    return tuple(f"{score[key]:.3g}" for key in ("value", "spread", "real", "real_spread"))
