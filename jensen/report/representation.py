"""Representation: labels and factors read off codes, as `jensen represent` measured them."""

from __future__ import annotations

from typing import Any

from ..storage.run_folder import REPRESENTATION
from ..storage.schemas import RepresentationRecord
from .facts import Facts, of_these_weights
from .panels import Table

__all__ = ["representation"]


def representation(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Return each measure beside chance; none where they are of other weights.

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
        f"What posterior means tell: fitted on {fitted['data']}, scored on {scored['data']} (seed {record['seed']}); ± "
        "is the standard error over scored rows. 1 is the best of every measure. One that is near its chance tells "
        "nothing: of a probe that is the most frequent class, of the others what shuffled codes reach."
    )
    return Table(("measure", "value", "±", "chance"), rows, (), caption)
