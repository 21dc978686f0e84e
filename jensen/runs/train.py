"""From data to a trained run: the one path that the command line, Python and scikit-learn share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..data import Schema
from ..estimators import GradientEstimator
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective
from ..recipes import BuiltModel, Recipe, find
from ..storage.run_lock import check_target, writing
from ..training import Event, Optimizer, Player
from .accepted import refuse_unused
from .composition import composed, recomposed
from .ineffective import refuse_ineffective
from .interrupts import interruptible
from .job import Job
from .places import reading
from .run import Run
from .spec import recorded_command
from .training_data import DataOptions, Sources
from .training_options import TrainingOptions

__all__ = [
    "DataOptions",
    "Job",
    "Sources",
    "TrainingOptions",
    "command_of",
    "recorded_recipe",
    "sorted_options",
    "train",
    "untrained",
]


def train(
    data: Any,
    *,
    recipe: str | None = None,
    model: LatentVariableModel | None = None,
    guide: Guide | None = None,
    objective: Objective | None = None,
    estimator: GradientEstimator | None = None,
    players: Sequence[Player] | None = None,
    out: str | Path | None = None,
    force: bool = False,
    recorded: Collection[str] = (),
    listeners: Sequence[Callable[[Event], None]] = (),
    should_stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Run:
    """Train a recipe, or a model put together from parts, and write a run folder.

    Args:
        data: `digits`, a path, or data in memory: a NumPy array [N, ...], a torch tensor, a pandas or polars DataFrame,
            an Arrow table, a torch `Dataset` of tensors (see `jensen.data`). So are `labels`, `test` and `test_labels`.
        recipe: a name from `jensen recipes`; "vae" where no model is given.
        model: prior and likelihood of your own, in the place of a recipe. It is trained in place; data are taken as
            they are, unless options such as `standardize` say otherwise.
        guide: q(z | x) for the model; by default the exact posterior, where it is known.
        objective: what one player maximises with all parameters; by default the ELBO.
        estimator: of its gradient; by default one reparameterised point per datum.
        players: several players, in the place of objective and estimator.
        out: the run folder; by default the first free of runs/DATA-RECIPE, runs/DATA-RECIPE-2, ...
        force: replace an existing run.
        recorded: names of options that repeat an earlier training; one without effect is noticed, and not refused.
        listeners: called with every event.
        should_stop: asked between steps; True interrupts training, which can be resumed.
        notice: called with what the user should know.
        **options: of `DataOptions`, of `TrainingOptions`, and of the recipe.

    Returns:
        The run, opened.

    Raises:
        JensenError: of a kind that says what is wrong, before anything is written where that can be known.
        InterruptedRun: `should_stop` said so, or Ctrl-C was pressed; the run is readable, and can be resumed.

    Example:
        >>> run = train(x, model=model, guide=guide, out="runs/mine")  # doctest: +SKIP
    """
    sources, options = Sources.split_off(data, options)
    read_by, training, rest = sorted_options(options)
    optimizer = _optimizer(training, players, options)
    chosen = _chosen(recipe, model, guide, objective, estimator, players, optimizer)
    refuse_unused(chosen, training, rest)
    job = Job(sources, chosen, read_by, training, chosen.checked(rest), _folder(sources.name, chosen.name, out))
    check_target(job.folder, force)
    job.prepare(notice)
    _check(job, recorded, notice)
    with interruptible(should_stop, listeners) as (stop, heard), writing(job.folder, force):
        job.run(heard, stop, notice)
    job.settle()
    return job.opened()


def _optimizer(
    training: TrainingOptions, players: Sequence[Player] | None, options: Mapping[str, Any]
) -> Optimizer | None:
    """Return the optimiser of the options; None where players have their own, and none is asked for."""
    own = players is not None and not {"lr", "optimizer"} & options.keys()
    return None if own else Optimizer(training.optimizer, training.lr)


def _check(job: Job, recorded: Collection[str], notice: Callable[[str], None]) -> None:
    """Refuse options that would change nothing about a training, and a disk that cannot hold its run.

    Raises:
        UsageError: naming the first option; one that repeats an earlier training is noticed instead.
    """
    if job.training.keep == "best" and job.training_data.valid is None and "keep" not in recorded:
        raise UsageError("--keep best needs validation rows", "Give --split a middle part, such as 0.8,0.1,0.1.")
    refuse_ineffective(job.recipe, job.options, job.tried, recorded, notice)
    job.check_space()


def _chosen(
    recipe: str | None,
    model: LatentVariableModel | None,
    guide: Guide | None,
    objective: Objective | None,
    estimator: GradientEstimator | None,
    players: Sequence[Player] | None,
    optimizer: Optimizer | None,
) -> Recipe:
    """Return the recipe of that name, or the one that makes the parts given.

    Raises:
        UsageError: a name and parts, or parts without a model.
    """
    if model is not None:
        if recipe is not None:
            raise UsageError(f"both a model and the recipe {recipe!r} were given", "Leave one of them out.")
        return composed(model, guide, objective, estimator, players, optimizer)
    given = {"guide": guide, "objective": objective, "estimator": estimator, "players": players}
    extra = [name for name, value in given.items() if value is not None]
    if extra:
        raise UsageError(f"{extra[0]}= is for a model of your own, and none was given", "Give model= too.")
    return find("vae" if recipe is None else recipe)


def command_of(data: Any, recipe: str = "vae", **options: Any) -> dict[str, Any]:
    """Return what `train` would record as its command; nothing is read or written.

    Raises:
        UsageError: an option that cannot work.
    """
    chosen = find(recipe)
    sources, options = Sources.split_off(data, options)
    reading, training, rest = sorted_options(options)
    return Job(sources, chosen, reading, training, chosen.checked(rest), Path()).command()


def untrained(run: Run) -> BuiltModel:
    """Return what a run was made of before the first step, from its record.

    Raises:
        DataError: the data are gone, or have changed.
        UsageError: a part of the user's own has to be given to `load`.
    """
    run.dataset()
    recipe, sources, options = recorded_recipe(run.spec, run.path, run.parts)
    reading, training, rest = sorted_options(options | {"init_from": None, "device": run.device})
    job = Job(run.sources(sources), recipe, reading, training, recipe.checked(rest), Path())
    job.prepare(lambda text: None)
    job.made.model.to(run.device)
    job.made.guide.to(run.device)
    return job.made


def recorded_recipe(spec: dict[str, Any], folder: Path, parts: Any = None) -> tuple[Recipe, Sources, dict[str, Any]]:
    """Return the recipe, the sources of data and the options that a specification records.

    Args:
        spec: of a run.
        folder: the run's.
        parts: of the user's own, for a run made from parts.
    """
    command = recorded_command(spec, folder)
    name, where = command.pop("recipe", None), command.pop("data")
    recipe = recomposed(folder, spec, parts) if name is None else find(name)
    return recipe, Sources(where, known=Schema.from_dict(spec["data"]["schema"])), command


def sorted_options(options: dict[str, Any]) -> tuple[DataOptions, TrainingOptions, dict[str, Any]]:
    """Return options by whom they belong to; what is left is the recipe's."""
    groups: list[Any] = []
    rest = {name: _plain(value) for name, value in options.items()}
    for kind in (DataOptions, TrainingOptions):
        names = {f.name for f in fields(kind)}
        groups.append(kind(**{k: rest.pop(k) for k in list(rest) if k in names}))
    return groups[0], groups[1], rest


def _plain(value: Any) -> Any:
    """Return numbers of NumPy as Python's own, which a specification can hold."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value


def _folder(data: str, recipe: str, out: str | Path | None) -> Path:
    if out is not None:
        return Path(out)
    stem = Path("runs") / f"{Path(data).name.split('.')[0] or 'data'}-{recipe}"
    numbered = (stem.with_name(f"{stem.name}-{i}") for i in range(2, 100_000))
    with reading(data):
        return next(p for p in (stem, *numbered) if not p.exists())
