"""From the arguments of `train` to a `Job`: options are sorted by whom they belong to, and checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.processes import ALONE, Processes
from ..estimators import GradientEstimator
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective
from ..recipes import Recipe, find
from ..training import Optimizer, Player
from .accepted import refuse_unused
from .composition import composed
from .ineffective import refuse_ineffective
from .job import Job
from .places import reading
from .training_data import DataOptions, Sources
from .training_options import TrainingOptions

__all__ = ["ModelParts", "check_job", "default_folder", "make_job", "option_names", "sorted_options", "with_rate"]


@dataclass(frozen=True)
class ModelParts:
    """The model of a call of `train`: the name of a recipe, or parts; see `jensen.runs.train.train`."""

    recipe: str | None = None
    model: LatentVariableModel | None = None
    guide: Guide | None = None
    objective: Objective | None = None
    estimator: GradientEstimator | None = None
    players: Sequence[Player] | None = None

    def chosen(self, optimizer: Optimizer | None) -> Recipe:
        """Return the recipe of that name, or the one that makes the parts given.

        Raises:
            UsageError: a name and parts, or parts without a model.
        """
        if self.model is not None:
            if self.recipe is not None:
                raise UsageError(f"both a model and the recipe {self.recipe!r} were given", "Leave one of them out.")
            return composed(self.model, self.guide, self.objective, self.estimator, self.players, optimizer)
        names = ("guide", "objective", "estimator", "players")
        extra = [name for name in names if getattr(self, name) is not None]
        if extra:
            raise UsageError(f"{extra[0]}= is for a model of your own, and none was given", "Give model= too.")
        return find("vae" if self.recipe is None else self.recipe)


def make_job(
    data: Any, parts: ModelParts, out: str | Path | None, options: dict[str, Any], processes: Processes = ALONE
) -> Job:
    """Return the training of these arguments; its options are checked as far as they can be without the data.

    Args:
        data: as for `train`.
        parts: of the model.
        out: the run folder; None for the first free one.
        options: of data, of training and of the recipe.
        processes: that train together.

    Raises:
        UsageError: an option that cannot work.
    """
    sources, options = Sources.split_off(data, options)
    read_by, training, rest = sorted_options(options)
    chosen = parts.chosen(_optimizer(training, parts.players, options))
    training = with_rate(training, chosen, options)
    refuse_unused(chosen, training, rest)
    folder = default_folder(sources.name, chosen.name) if out is None else Path(out)
    folder = Path(processes.broadcast_object(str(folder)))  # which may be the first that is free
    return Job(sources, chosen, read_by, training, chosen.checked(rest), folder, processes)


def check_job(job: Job, recorded: Collection[str], notice: Callable[[str], None]) -> None:
    """Refuse options that would change nothing about a prepared training, and a disk that cannot hold its run.

    Raises:
        UsageError: naming the first option; one that repeats an earlier training is noticed instead.
    """
    if job.reading.augment is not None and any(player.closed for player in job.made.players):
        what = f"--augment changes the rows of gradient steps, and {job.recipe.name} takes steps in closed form"
        gradient = ", or use --fit gradient" if "fit" in job.recipe.options else ""
        raise UsageError(what, f"Leave --augment out{gradient}.")
    if job.training.keep == "best" and job.training_data.valid is None and "keep" not in recorded:
        raise UsageError("--keep best needs validation rows", "Give --split a middle part, such as 0.8,0.1,0.1.")
    refuse_ineffective(job.recipe, job.options, job.tried, recorded, notice)
    job.check_space()


def option_names(recipe: Recipe) -> set[str]:
    """Return the names of all options of a training with this recipe."""
    return {f.name for kind in (DataOptions, TrainingOptions) for f in fields(kind)} | set(recipe.options)


def sorted_options(options: dict[str, Any]) -> tuple[DataOptions, TrainingOptions, dict[str, Any]]:
    """Return options by whom they belong to; what is left is the recipe's."""
    groups: list[Any] = []
    rest = {name: _plain(value) for name, value in options.items()}
    for kind in (DataOptions, TrainingOptions):
        names = {f.name for f in fields(kind)}
        groups.append(kind(**{k: rest.pop(k) for k in list(rest) if k in names}))
    return groups[0], groups[1], rest


def default_folder(data: str, recipe: str) -> Path:
    """Return the first folder that is free of runs/DATA-RECIPE, runs/DATA-RECIPE-2, ..."""
    stem = Path("runs") / f"{Path(data).name.split('.')[0] or 'data'}-{recipe}"
    numbered = (stem.with_name(f"{stem.name}-{i}") for i in range(2, 100_000))
    with reading(data):
        return next(p for p in (stem, *numbered) if not p.exists())


def with_rate(training: TrainingOptions, recipe: Recipe, options: Collection[str]) -> TrainingOptions:
    """Return the options with the recipe's own learning rate, if it has one, unless `options` name another."""
    return training if recipe.lr is None or "lr" in options else replace(training, lr=recipe.lr)


def _optimizer(
    training: TrainingOptions, players: Sequence[Player] | None, options: Mapping[str, Any]
) -> Optimizer | None:
    """Return the optimiser of the options; None where players have their own, and none is asked for."""
    own = players is not None and not {"lr", "optimizer"} & options.keys()
    return None if own else Optimizer(training.optimizer, training.lr)


def _plain(value: Any) -> Any:
    """Return numbers of NumPy as Python's own, which a specification can hold."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value
