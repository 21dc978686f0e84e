"""Representation: labels and factors predicted from codes, as `jensen represent` measured them."""

from __future__ import annotations

from typing import Any

from ..storage.run_folder import REPRESENTATION
from ..storage.schemas import RepresentationRecord
from .facts import Facts, of_these_weights
from .panels import Table

__all__ = ["representation"]


def representation(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Return each measure beside chance; None where they are of other weights.

    Raises:
        CorruptRunError: the file is damaged.
    """
    record = of_these_weights(facts.run, facts.run.path / REPRESENTATION, RepresentationRecord, "jensen represent RUN")
    if record is None:
        return None
    numbers["representation"] = record
    rows = tuple(
        (f"{s['name']}, {s['of']}", *("" if v is None else f"{v:.3f}" for v in (s["value"], s["stderr"], s["chance"])))
        for s in record["scores"]
    )
    fitted, scored = record["fitted"], record["scored"]
    caption = (
        f"Measures of posterior means, fitted to {fitted['data']} and scored on {scored['data']} (seed "
        f"{record['seed']}); ± is the standard error over scored rows. The best value of every measure is 1; one near "
        "chance would show codes without that information. Chance is the most frequent class for a probe, and shuffled "
        "codes for the others."
    )
    return Table(("measure", "value", "±", "chance"), rows, (), caption)
