"""What codes tell of labels and factors, as `jensen represent` found it."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from ..errors import CorruptRunError
from ..files import parsed
from ..runfiles import REPRESENTATION, digest
from .facts import Facts
from .panels import Table

__all__ = ["representation"]


class _Score(TypedDict):
    name: str
    of: str
    value: float
    chance: float
    stderr: float | None


class _Rows(TypedDict):
    n: int
    data: str


class _Representation(TypedDict):
    """What is read of representation.json."""

    scores: list[_Score]
    fitted: _Rows
    scored: _Rows
    seed: int
    weights_sha256: str


def representation(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Each measure beside chance; none where they are of other weights.

    Raises:
        CorruptRunError: the file is damaged.
    """
    path = facts.run.path / REPRESENTATION
    if not path.exists():
        return None
    try:
        found = parsed(path.read_bytes(), dict[str, Any])
        msgspec.convert(found, _Representation)
    except (msgspec.DecodeError, msgspec.ValidationError, OSError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Delete it, or run jensen represent again.") from error
    if found["weights_sha256"] != digest(facts.run.path / "model.safetensors"):
        return None
    numbers["representation"] = found
    rows = tuple(
        (f"{s['name']}, {s['of']}", *("" if v is None else f"{v:.3f}" for v in (s["value"], s["stderr"], s["chance"])))
        for s in found["scores"]
    )
    fitted, scored = found["fitted"], found["scored"]
    caption = (
        f"What posterior means tell: fitted on {fitted['data']}, scored on {scored['data']} (seed {found['seed']}); ± "
        "is the standard error over scored rows. 1 is the best of every measure. One that is near its chance tells "
        "nothing: of a probe that is the most frequent class, of the others what shuffled codes reach."
    )
    return Table(("measure", "value", "±", "chance"), rows, (), caption)
