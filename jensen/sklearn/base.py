"""The common part of all estimators: the run that `fit` trains, its folder, its copies, pickles and saved folders."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..core.errors import UsageError
from ..runs.evaluation import Part
from ..runs.progress import shown_progress
from ..runs.run import Run, load
from ..runs.score import log_evidence
from ..runs.train import train
from .folders import EstimatorFolder
from .inputs import checked_input, is_nan
from .parameters import recipe_of, seed_of, training_options
from .saving import save_estimator
from .turns import in_turn

__all__ = ["LatentEstimator"]

_log = logging.getLogger("jensen")
RUN, FOLDER, FILES = "run_", "_folder", "_run_files"
OF_TEMPORARY = {"checkpoints": 0, "save_every": None}  # nobody goes on with a training in a folder that nobody knows


class LatentEstimator(BaseEstimator, ABC):
    """An estimator that trains a run; its parameters are those of `jensen.train`.

    Attributes:
        run_: the `jensen.Run`, with all that it can do.
        seed_: of the training, and of what is drawn later.
        n_features_in_: columns that `fit` was given.
        feature_names_in_: their names, where they had some.
    """

    run_: Run
    seed_: int
    n_features_in_: int
    _folder: EstimatorFolder
    _only_recipe: str | None = None
    # options of `jensen.train` by the parameters that set them; None leaves one to jensen
    _option_of = {"latent": "latent", "epochs": "epochs", "batch": "batch", "lr": "lr"}

    @property
    def _named(self) -> Any:
        """The recipe as it was named: the parameter, or that of a class without one."""
        return self.get_params(deep=False).get("recipe", self._only_recipe)

    @abstractmethod
    def _complete(self) -> None:
        """Set the attributes that follow from the run alone, of a run that was trained otherwise."""

    def _allows_missing(self) -> bool:
        """Return whether NaN is a missing entry: of an imputer, or a recipe that learns from rows with such."""
        mine = self.get_params(deep=False)
        if "missing_values" in mine:
            return is_nan(mine["missing_values"])
        try:
            recipe = recipe_of(self._named)
        except UsageError:
            return False  # which `fit` refuses
        return recipe is None or recipe.missing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._allows_missing()
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a run; that X was looked at is not enough."""
        return RUN in vars(self)

    def _train(self, data: Any, labels: Any = None, default: Any = None, **more: Any) -> None:
        """Train a run, and keep it; where training fails, an earlier run stays.

        Args:
            data: rows, checked.
            labels: of them.
            default: the recipe where "auto" is named; None leaves it to jensen.
            **more: options that are not parameters.
        """
        own = self.get_params(deep=False)
        explicit = {name: own[name] for name in self._option_of}
        options = training_options(explicit, self._option_of, own["options"]) | more
        seed, recipe = seed_of(own["random_state"]), recipe_of(self._named)
        folder = EstimatorFolder(None if own["out"] is None else Path(own["out"]))
        options = (OF_TEMPORARY if folder.is_temporary else {}) | options
        options |= {} if labels is None else {"labels": labels}
        name = default if recipe is None else recipe.name
        force, progress = bool(own["force"]), own["progress"]
        if progress not in (True, False, None):
            raise UsageError(f"progress must be True, False or None, got {progress!r}", "Give one of them.")
        with in_turn(), shown_progress(progress) as listeners:
            shown: dict[str, Any] = {"listeners": listeners, "notice": _log.warning if listeners else _log.info}
            run = train(data, recipe=name, out=folder.path, force=force, seed=seed, **shown, **options)
        self.run_, self.seed_, self._folder = run, seed, folder

    def _part(self, X: Any, dtype: Any = "numeric", missing: bool = False) -> Part:
        """Return rows as the run sees them.

        Args:
            X: as it was given.
            dtype: of the array that is made of it; "numeric" leaves tables and numbers as they are.
            missing: whether the question can be asked of rows with missing entries where training had none.
        """
        check_is_fitted(self)
        rows = checked_input(self, X, reset=False, missing=self._allows_missing(), dtype=dtype)
        return self.run_.chosen(rows, self.seed_, missing, own="all")

    def _score_samples(self, X: Any, dtype: Any = "numeric") -> np.ndarray:
        """Return log p(x) of rows [N], or the bound on it, in nats and in the data's own units; see `_part`."""
        part = self._part(X, dtype, missing=True)
        with in_turn():
            estimate = log_evidence(self.run_, part, seed=self.seed_)
        return torch.as_tensor(estimate.nats).double().cpu().numpy()

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the fitted estimator into a folder, without pickle, and return it; `jensen.sklearn.load` opens it.

        The folder is a run folder too, for `jensen.load` and all commands.

        Args:
            path: of the folder.
            force: replace an estimator that was saved there.

        Raises:
            NotFittedError: it is not fitted.
            RunExistsError: there is something at the path.
            UsageError: a parameter cannot be written.
        """
        check_is_fitted(self)
        return save_estimator(self, Path(path), force=force)

    @classmethod
    def _opened(cls, run: Run, parameters: Mapping[str, Any], fitted: Mapping[str, Any]) -> LatentEstimator:
        """Return a fitted estimator of a run in a folder that stays.

        Args:
            run: opened.
            parameters: of the estimator.
            fitted: its other attributes.
        """
        estimator = cls(**parameters)
        vars(estimator).update(fitted)
        estimator.run_, estimator._folder = run, EstimatorFolder(run.path)
        return estimator

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the run: with the files of a temporary folder, or the place of one that stays."""
        state: dict[str, Any] = {**cast("dict[str, Any]", super().__getstate__())}
        run, folder = state.pop(RUN, None), state.pop(FOLDER, None)
        if run is None or folder is None:
            return state
        return state | {FILES: folder.contents() if folder.is_temporary else str(folder.path.absolute())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop(FILES, None)
        state.setdefault("progress", False)  # which older pickles lack
        super().__setstate__(state)  # pyright: ignore[reportAttributeAccessIssue]
        if files is None:
            return
        folder = EstimatorFolder(Path(files)) if isinstance(files, str) else EstimatorFolder.of_contents(files)
        self._folder, self.run_ = folder, load(folder.path)
