"""Schemas of the JSON files that commands write into a run and others read; damaged files are refused.

Null stands for a number that is missing or was not finite, for which JSON has no notation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec

from ..core.errors import CorruptRunError
from .files import JSON_LIMIT, parsed, read_limited
from .seals import RECORD_FORMAT, BrokenSeal, opened_seal

__all__ = [
    "CalibrationRecord",
    "CurveRecord",
    "EvaluationRecord",
    "FaultRecord",
    "FidelityRecord",
    "RepresentationRecord",
    "TrackingRecord",
    "read_record",
]

Number = float | None
Error = Annotated[float, msgspec.Meta(ge=0)] | None


class _Quantiles(TypedDict, total=False):
    q05: Number
    q25: Number
    median: Number
    q75: Number
    q95: Number
    limit: Number
    share_above: Number


class _CurvePoint(TypedDict):
    k: int
    log_px: float
    stderr_mc: Error


class _LevelBound(TypedDict):
    levels: int
    log_px: float
    stderr: Error
    stderr_mc: Error


class _Annealed(TypedDict):
    log_px: float
    kind: str
    stderr_mc: Error
    stderr_mc_reliable: NotRequired[bool | None]
    start: NotRequired[str | None]
    corrected: NotRequired[bool | None]
    rows: int
    temperatures: int
    chains: int
    ess: Number


class _Sandwich(TypedDict):
    lower: Number
    upper: Number
    gap: Number
    stderr: NotRequired[tuple[Error, Error]]
    stderr_mc: tuple[Error, Error]
    gap_stderr: NotRequired[Error]
    simulated_rows: int
    certifies: str


class _MeanGap(TypedDict):
    mean: float
    stderr: Error


class _Gaps(TypedDict):
    approximation: _MeanGap | None
    amortisation: _MeanGap | None
    gap: _MeanGap
    advice: str
    against: str
    proposal: NotRequired[str]
    n: int


class _Assessment(TypedDict):
    verdict: str
    caveat: NotRequired[str | None]
    converged: bool
    loss: Number
    annealed: _Annealed | None
    sandwich: _Sandwich | None
    gaps: _Gaps | None


class _GeneralisationGap(TypedDict):
    score: str
    train: Number
    test: Number
    difference: Number
    stderr: Error
    train_rows: int
    test_rows: int
    sentence: str


class EvaluationRecord(TypedDict):
    """The contents of evaluation.json; those that `verify` needs to repeat it are validated there."""

    log_px: Number
    kind: str
    k: int | None
    stderr: Error
    n: Annotated[int, msgspec.Meta(ge=0)] | None
    stderr_mc: NotRequired[Error]
    stderr_mc_reliable: NotRequired[bool | None]
    ess: NotRequired[Number]
    ess_quantiles: NotRequired[_Quantiles | None]
    k_hat: NotRequired[_Quantiles | None]
    curve: NotRequired[list[_CurvePoint]]
    by_levels: NotRequired[list[_LevelBound] | None]
    elbo: NotRequired[Number]
    rate: NotRequired[Number]
    distortion: NotRequired[Number]
    quadrature_error: NotRequired[Error]
    settings: NotRequired[dict[str, Any] | None]
    bits_per_dim: NotRequired[Number]
    quantity: NotRequired[str]
    data: NotRequired[str]
    prepared: NotRequired[str]
    weights: NotRequired[str]
    seed: NotRequired[int]
    assessment: NotRequired[_Assessment | None]
    train_test: NotRequired[_GeneralisationGap | None]
    notes: NotRequired[list[str]]
    replay: NotRequired[dict[str, Any]]


class _Quantity(TypedDict):
    name: str
    finding: str | None
    p_adjusted: float
    ecdf_difference: list[float]


class _Band(TypedDict):
    lower: list[float]
    upper: list[float]


class _Coverage(TypedDict):
    levels: list[float]
    fractions: list[float]
    stderr: list[float]


class CalibrationRecord(TypedDict):
    """The contents of calibration.json."""

    verdict: str
    n: int
    l: int  # noqa: E741 (the letter of the literature)
    seed: int
    quantities: list[_Quantity]
    band: _Band
    coverage: _Coverage
    weights_sha256: str


class _RateDistortionPoint(TypedDict):
    beta: float
    rate: float
    distortion: float
    elbo: float
    k: int | None
    run: str


class CurveRecord(TypedDict):
    """The contents of rate-distortion.json."""

    points: list[_RateDistortionPoint]
    best_beta: float
    data: str
    prepared: str
    seed: int


class _Measure(TypedDict):
    value: float
    spread: float
    real: float
    real_spread: float


class _Features(TypedDict):
    kind: str
    size: int
    accuracy: float | None


class FidelityRecord(TypedDict):
    """The contents of fidelity.json."""

    frechet: _Measure
    precision: _Measure
    recall: _Measure
    n: int
    features: _Features
    data: str
    sampled: str
    weights_sha256: str


class _Score(TypedDict):
    name: str
    of: str
    value: float
    chance: float
    stderr: Error


class _Rows(TypedDict):
    n: int
    data: str


class RepresentationRecord(TypedDict):
    """The contents of representation.json."""

    scores: list[_Score]
    fitted: _Rows
    scored: _Rows
    seed: int
    weights_sha256: str


class FaultRecord(TypedDict):
    """The contents of forensics.json."""

    faults: list[dict[str, Any]]


class _Tracked(TypedDict):
    name: str
    step: Annotated[int, msgspec.Meta(ge=0)]
    online: bool


class TrackingRecord(TypedDict):
    """The contents of tracking.json: for each tracker its own name of the run, and the last step written there."""

    mlflow: NotRequired[_Tracked]
    wandb: NotRequired[_Tracked]


def read_record(path: Path, kind: Any, remedy: str) -> dict[str, Any]:
    """Read a JSON file, verify its digest, and validate it; those of earlier versions have no digest.

    Args:
        path: of the file.
        kind: a TypedDict; fields that it does not name are not validated.
        remedy: for a damaged file.

    Returns:
        The fields that were given to `write_json`.

    Raises:
        CorruptRunError: it is damaged, has changed since it was written, or cannot be read.
    """
    try:
        record = parsed(read_limited(path, JSON_LIMIT), dict[str, Any])
        content = opened_seal(record, demanded="format" in record)
        if content.pop("format", RECORD_FORMAT) != RECORD_FORMAT:
            raise BrokenSeal("its format is of a later version")
        msgspec.convert(content, kind)
    except (msgspec.DecodeError, OSError, ValueError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", remedy) from error
    return content
