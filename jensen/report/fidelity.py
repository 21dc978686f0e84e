"""How near samples are to data, as `jensen fidelity` found it."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from ..errors import CorruptRunError
from ..files import parsed
from ..runfiles import FIDELITY, digest
from .facts import Facts
from .panels import Table

__all__ = ["fidelity"]


class _Score(TypedDict):
    value: float
    spread: float
    real: float
    real_spread: float


class _Features(TypedDict):
    kind: str
    size: int
    accuracy: float | None


class _Fidelity(TypedDict):
    """What is read of fidelity.json."""

    frechet: _Score
    precision: _Score
    recall: _Score
    n: int
    features: _Features
    data: str
    sampled: str
    weights_sha256: str


def fidelity(facts: Facts, numbers: dict[str, Any]) -> Table | None:
    """Three measures of samples beside those of real rows; none where they are of other weights.

    Raises:
        CorruptRunError: the file is damaged.
    """
    path = facts.run.path / FIDELITY
    if not path.exists():
        return None
    try:
        found = parsed(path.read_bytes(), dict[str, Any])
        msgspec.convert(found, _Fidelity)
    except (msgspec.DecodeError, msgspec.ValidationError, OSError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Delete it, or run jensen fidelity again.") from error
    if found["weights_sha256"] != digest(facts.run.path / "model.safetensors"):
        return None
    numbers["fidelity"] = found
    names = {"frechet": "Frechet distance (less is better)", "precision": "precision", "recall": "recall"}
    rows = tuple((name, *_told(found[key])) for key, name in names.items())
    kind, accuracy = found["features"]["kind"], found["features"]["accuracy"]
    right = "" if accuracy is None else f", which is right on {accuracy:.1%} of these rows"
    caption = (
        f"{found['n']:,} {found['sampled']} of the model against as many of {found['data']}; ± over draws. In "
        f"{found['features']['size']} features of a {kind}{right}, found on the training rows: numbers compare between "
        "models of the same data and split, at the same number of points. Precision: samples that are among data. "
        "Recall: data that are among samples; a low one shows data that the model leaves out."
    )
    return Table(("samples against data", "model", "±", "real rows", "±"), rows, (), caption)


def _told(score: dict[str, float]) -> tuple[str, str, str, str]:
    return tuple(f"{score[key]:.3g}" for key in ("value", "spread", "real", "real_spread"))  # pyright: ignore
