"""Fitted estimators in folders, without pickle: the run, and a record of parameters and attributes."""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from ..core.errors import CorruptRunError, RunExistsError, UsageError
from ..storage.files import write_json
from ..storage.run_folder import LOCK
from ..storage.schemas import read_record

__all__ = ["ESTIMATOR", "EstimatorRecord", "plain_of", "read_estimator", "save_estimator", "value_of"]

ESTIMATOR = "estimator.json"
NOT_RECORDED = ("run_", "_folder")
KINDS = ("nan", "tuple", "array", "dict")  # of what JSON has no form for
SKIPPED = shutil.ignore_patterns(LOCK)


class EstimatorRecord(TypedDict):
    """The contents of estimator.json: the name of the class, its parameters and its fitted attributes."""

    estimator: str
    parameters: dict[str, Any]
    fitted: dict[str, Any]


def plain_of(name: str, value: Any) -> Any:
    """Return a value as JSON has it; what JSON has no form for is {kind: ...}.

    Raises:
        UsageError: it is an object of another kind.

    Example:
        >>> plain_of("hidden", (8, 8)), plain_of("missing_values", float("nan"))
        ({'tuple': [8, 8]}, {'nan': True})
    """
    if isinstance(value, np.random.RandomState):
        return None  # its draw is in `seed_`
    if isinstance(value, np.ndarray):
        values = value.astype(str).tolist() if value.dtype.kind == "O" else value.tolist()
        return {"array": values, "dtype": str(value.dtype)}
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and math.isnan(value):
        return {"nan": True}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return {"tuple": [plain_of(name, v) for v in value]}
    if isinstance(value, list):
        return [plain_of(name, v) for v in value]
    if isinstance(value, Mapping):
        return {"dict": {str(k): plain_of(name, v) for k, v in value.items()}}
    raise UsageError(f"{name} is a {type(value).__name__}, which cannot be saved without pickle", "Give plain values.")


def value_of(plain: Any) -> Any:
    """Return the value that `plain_of` has written.

    Raises:
        CorruptRunError: it is none.
    """
    if isinstance(plain, list):
        return [value_of(v) for v in plain]
    if not isinstance(plain, dict):
        return plain
    kind = next((k for k in KINDS if k in plain), None)
    if kind == "nan":
        return math.nan
    if kind == "tuple":
        return tuple(value_of(v) for v in plain[kind])
    if kind == "dict":
        return {k: value_of(v) for k, v in plain[kind].items()}
    if kind == "array" and plain.get("dtype") != "O":
        return np.array(plain[kind], dtype=object if plain["dtype"] == "object" else np.dtype(plain["dtype"]))
    raise CorruptRunError(f"{ESTIMATOR} holds a value of an unknown kind", "Save the estimator again.")


def save_estimator(estimator: Any, path: Path, *, force: bool) -> Path:
    """Write a fitted estimator into a folder; see `LatentEstimator.save`.

    The folder has its name when all of it is there.
    """
    fitted = {k: v for k, v in vars(estimator).items() if k.endswith("_") or k.startswith("_")}
    parameters = estimator.get_params(deep=False)
    record = {
        "estimator": type(estimator).__name__,
        "parameters": {k: plain_of(k, v) for k, v in parameters.items()},
        "fitted": {k: plain_of(k, v) for k, v in fitted.items() if k not in (*NOT_RECORDED, *parameters)},
    }
    if os.path.lexists(path) and not (force and (path / ESTIMATOR).is_file()):
        remedy = "Give another path, or force=True for an estimator that was saved there."
        raise RunExistsError(f"there is something at {path}", remedy)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(estimator.run_.path, temporary, ignore=SKIPPED, symlinks=True)
        write_json(temporary / ESTIMATOR, record)
        if os.path.lexists(path):
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def read_estimator(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the name of the class, the parameters and the fitted attributes of a saved estimator.

    Raises:
        UsageError: the folder holds none.
        CorruptRunError: its record is damaged.
    """
    if not (path / ESTIMATOR).is_file():
        remedy = "Give a folder that an estimator's save() wrote; of a run: jensen.load(RUN).as_estimator()."
        raise UsageError(f"{path} holds no estimator", remedy)
    record = read_record(path / ESTIMATOR, EstimatorRecord, "Save the estimator again.")
    parameters, fitted = ({k: value_of(v) for k, v in record[part].items()} for part in ("parameters", "fitted"))
    return record["estimator"], parameters, fitted
