"""Estimators out of folders: those that were saved, and runs that were trained otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.errors import CompositionError, CorruptRunError, UsageError
from ..data.determined import full_names
from ..runs import run as runs
from ..runs.run import Run
from .anomaly import LatentAnomalyDetector
from .base import LatentEstimator
from .imputer import LatentImputer
from .latent_model import LatentModel
from .mixture import LatentMixture
from .parameters import settings_of_run
from .saving import ESTIMATOR, read_estimator

__all__ = ["estimator_of", "load"]

Kind = Literal["model", "imputer", "anomaly", "mixture"]
CLASSES: dict[str, type[LatentEstimator]] = {
    "model": LatentModel,
    "imputer": LatentImputer,
    "anomaly": LatentAnomalyDetector,
    "mixture": LatentMixture,
}


def load(path: str | Path) -> Any:
    """Open an estimator that `save` wrote; nothing is unpickled.

    It works on in that folder, which stays when it is gone.

    Raises:
        UsageError: the folder holds none.
        CorruptRunError: it is damaged.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 3))
        >>> path = LatentModel("ppca", latent=1, random_state=0).fit(x).save("saved")
        >>> load(path).transform(x).shape
        (60, 1)
    """
    path = Path(path)
    name, parameters, fitted = read_estimator(path)
    kind = next((kind for kind in CLASSES.values() if kind.__name__ == name), None)
    if kind is None:
        raise CorruptRunError(f"{path / ESTIMATOR} is of an unknown class {name!r}", "Save the estimator again.")
    return kind._opened(runs.load(path), parameters, fitted)


def estimator_of(run: Run, kind: Kind = "model") -> Any:
    """Return a run as a fitted estimator, with the parameters that would train it again.

    Args:
        run: of a recipe. Its folder stays when the estimator is gone.
        kind: "model" for a `LatentModel`, "imputer", "anomaly" or "mixture".

    Raises:
        UsageError: there is no such kind, or the run is of a model of the user's own parts.
        CompositionError: the run does not suit the kind.
    """
    if kind not in CLASSES:
        raise UsageError(f"there is no kind {kind!r} of estimator", f"Choose from {', '.join(CLASSES)}.")
    command = run.spec["command"]
    if command.get("recipe") is None:
        raise UsageError(f"{run.path} is of a model of your own parts", "Use the run: its methods are the same.")
    if run.conditional:
        raise CompositionError(f"{run.path} is of p(x | label), and estimators are given no labels", "Use the run.")
    estimator = CLASSES[kind]
    if kind == "mixture" and command["recipe"] != "gmm":
        raise CompositionError(f"{run.path} is of recipe {command['recipe']}, and no gmm", 'Use kind "model".')
    named = {option: name for name, option in estimator._option_of.items()}
    explicit, others = settings_of_run(command, set(named))
    recipe = {} if kind == "mixture" else {"recipe": command["recipe"]}
    parameters = recipe | {named[option]: value for option, value in explicit.items()}
    parameters |= {"options": others or None, "random_state": command["seed"]}
    columns = run.schema.columns
    names = run.schema.names if columns is None else full_names(columns)
    size = run.schema.size if names is None else len(names)
    fitted: dict[str, Any] = {"seed_": command["seed"], "n_features_in_": size}
    if names is not None and names != tuple(str(i + 1) for i in range(size)):  # which the columns of arrays have
        fitted["feature_names_in_"] = np.array(names, dtype=object)
    opened = estimator._opened(run, parameters, fitted)
    opened._complete()
    return opened
