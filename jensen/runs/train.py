"""From data to a trained run: the one path that the command line, Python and scikit-learn share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from ..core.errors import UsageError
from ..core.processes import ALONE, Processes
from ..data import Schema
from ..estimators import GradientEstimator
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective
from ..recipes import BuiltModel, Recipe, find
from ..storage.run_lock import check_target, writing
from ..training import Event, Player
from .calls import ModelParts, check_job, make_job, sorted_options, with_rate
from .composition import recomposed
from .default_recipe import default_recipe
from .group import RunGroup
from .interrupts import interruptible
from .job import Job
from .run import Run
from .spec import recorded_command
from .train_group import train_group
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


@overload
def train(data: Any, *, seeds: None = None, sweep: None = None, **options: Any) -> Run:
    """Train one run."""


@overload
def train(data: Any, *, seeds: int, sweep: Mapping[str, Sequence[Any]] | None = None, **options: Any) -> RunGroup:
    """Train a group of runs with consecutive seeds."""


@overload
def train(data: Any, *, seeds: None = None, sweep: Mapping[str, Sequence[Any]], **options: Any) -> RunGroup:
    """Train a group of runs, one for each combination of values."""


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
    seeds: int | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
    force: bool = False,
    recorded: Collection[str] = (),
    listeners: Sequence[Callable[[Event], None]] = (),
    should_stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = lambda text: None,
    phase: Callable[[str], None] = lambda text: None,
    processes: Processes = ALONE,
    **options: Any,
) -> Run | RunGroup:
    """Train a recipe, or a model put together from parts, and write a run folder; or a group of runs of a recipe.

    Args:
        data: `digits`, a path, or data in memory: a NumPy array [N, ...], a torch tensor, a pandas or polars DataFrame,
            an Arrow table, an AnnData object, a torch `Dataset` of tensors (see `jensen.data`). So are `labels`, `test`
            and `test_labels`.
        recipe: a name from `jensen recipes`. Where no model is given, tables of mixed kinds or with holes have "table",
            or with few rows "table-gmm", and other data "vae".
        model: prior and likelihood of your own, in the place of a recipe. It is trained in place; data are taken as
            they are, unless options such as `standardize` say otherwise.
        guide: q(z | x) for the model; by default the exact posterior, where it is known.
        objective, estimator: what one player maximises with all parameters, by default the ELBO, and of its gradient.
        players: several players, in the place of objective and estimator.
        out: the run folder; by default the first free of runs/DATA-RECIPE, runs/DATA-RECIPE-2, ...
        seeds: train this many, with consecutive seeds from `seed` on, each in a folder of its own in `out`.
        sweep: values by option: train one for each combination of them, and for each seed.
        force: replace an existing run.
        recorded: names of options that repeat an earlier training; one without effect is noticed, and not refused.
        listeners: called with every event; `notice`: with what the user should know; `phase`: with the member of a
            group that is trained next.
        should_stop: asked between steps; True interrupts training, which can be resumed.
        processes: that train together, as `jensen.core.processes.joined` gives them under torchrun.
        **options: of `DataOptions`, of `TrainingOptions`, and of the recipe.

    Returns:
        The run, opened; the group, where `seeds` or `sweep` is given.

    Raises:
        JensenError: of a kind that says what is wrong, before anything is written where that can be known.
        InterruptedRun: `should_stop` said so, or Ctrl-C was pressed; the run is readable, and can be resumed.
    """
    if recipe is None and model is None:
        recipe, data = _by_default(data, options, keep=not sweep, notice=notice if processes.is_first else None)
    parts = ModelParts(recipe, model, guide, objective, estimator, players)
    how: dict[str, Any] = {"recorded": recorded, "listeners": listeners, "should_stop": should_stop, "notice": notice}
    if seeds is None and sweep is None:
        return _train_one(make_job(data, parts, out, options, processes), force, **how)
    _refuse_several(processes)
    return train_group(data, parts, out=out, seeds=seeds, sweep=sweep, options=options, force=force, phase=phase, **how)


def _by_default(
    data: Any, options: dict[str, Any], keep: bool, notice: Callable[[str], None] | None
) -> tuple[str, Any]:
    """Return the recipe of data for which none is named, and the data, as they were read for that if `keep` is True."""
    recipe, sources, why = default_recipe(data, options)
    if why is not None and notice is not None:
        notice(why)
    return recipe, data if sources is None or not keep else sources


def _train_one(
    job: Job,
    force: bool,
    recorded: Collection[str],
    listeners: Sequence[Callable[[Event], None]],
    should_stop: Callable[[], bool],
    notice: Callable[[str], None],
) -> Run:
    """Check and run one training, and return its run."""
    processes = job.processes
    notice = notice if processes.is_first else lambda text: None
    processes.do_first(lambda: check_target(job.folder, force))
    job.prepare(notice)
    check_job(job, recorded, notice)
    with (
        interruptible(should_stop, listeners) as (stop, heard),
        processes.in_first(lambda: writing(job.folder, force)),
    ):
        job.run(heard, stop, notice)
    job.settle()
    processes.barrier()
    return job.opened()


def _refuse_several(processes: Processes) -> None:
    """Refuse several processes for a group.

    Raises:
        UsageError: there are several.
    """
    if not processes.is_alone:
        what = f"a group of runs is trained by one process, and these are {processes.size}"
        raise UsageError(what, "Leave torchrun out.")


def command_of(data: Any, recipe: str | None = None, **options: Any) -> dict[str, Any]:
    """Return what `train` would record as its command; nothing is written, and data are read to choose a recipe only.

    Raises:
        UsageError: an option that cannot work.
    """
    chosen = find(default_recipe(data, options)[0] if recipe is None else recipe)
    sources, options = Sources.split_off(data, options)
    reading, training, rest = sorted_options(options)
    training = with_rate(training, chosen, options)
    return Job(sources, chosen, reading, training, chosen.checked(rest), Path()).command()


def untrained(run: Run) -> BuiltModel:
    """Return what a run was made of before the first step, from its record.

    Raises:
        DataError: the data are gone, or have changed.
        UsageError: a part of the user's own has to be given to `load`.
    """
    run.dataset()
    recipe, sources, options = recorded_recipe(run.spec, run.path, run.parts)
    unwritten = dict.fromkeys(("tensorboard", "mlflow", "wandb", "online"), False)
    reading, training, rest = sorted_options(options | unwritten | {"init_from": None, "device": run.device})
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
