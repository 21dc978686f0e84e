"""The rows of a run whose missing entries simulated rows take over."""

from __future__ import annotations

from ..core.errors import JensenError
from ..evaluate.simulated import masks_note
from .data import RunData
from .evaluation import Part

__all__ = ["COMPLETE", "like_part"]

COMPLETE = "the data cannot be read, so simulated rows are complete, and the data have missing entries"


def like_part(run: RunData, seed: int = 0) -> tuple[Part | None, tuple[str, ...]]:
    """Return the run's rows that simulated rows are like, with a note; None of a run whose data are complete.

    A model of data with missing entries is judged on the observed part. Its simulated rows are complete, so the same
    entries are hidden as in rows of the data: the test rows, or where there are none the training rows.
    """
    if not run.holed:
        return None, ()
    for which in ("test", "train"):
        try:
            part = run.part(which, seed)
        except JensenError:
            continue
        return (part, (masks_note(run.model),)) if part.mask is not None else (None, ())
    return None, (COMPLETE,)
