"""Training as Python and notebooks call it: progress in one line, notices by logging, and a run after Ctrl-C."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from ..core.errors import InterruptedRun
from ..data import is_in_memory
from ..estimators import GradientEstimator
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Objective
from ..training import Event, Player
from . import resume as resuming
from . import train as training
from .group import RunGroup
from .progress import Progress, shown_progress
from .resume import AS_BEFORE
from .run import Run

__all__ = ["resume", "train"]

LOG = logging.getLogger("jensen")
Listener = Callable[[Event], None]


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
    progress: Progress = None,
    listeners: Sequence[Listener] = (),
    should_stop: Callable[[], bool] | None = None,
    notice: Callable[[str], None] | None = None,
    **options: Any,
) -> Run | RunGroup:
    """Train a recipe, or a model put together from parts, and write a run folder; or a group of runs of a recipe.

    Ctrl-C, or the interrupt of a notebook, stops training after the step, and returns the run as it is by then: it can
    be used, and `jensen.resume` goes on with it. A second one raises KeyboardInterrupt at once.

    Args:
        data, recipe, model, guide, objective, estimator, players, out, seeds, sweep, force: see
            `jensen.runs.train.train`.
        progress: None for one line that is updated, in notebooks and interactive sessions; True for it anywhere, False
            for none; or a function that is called with every event.
        listeners: called with every event too.
        should_stop: asked between steps; True interrupts training, with an `InterruptedRun`.
        notice: called with what the user should know; by default the logger "jensen" warns of it.
        **options: of `DataOptions`, of `TrainingOptions`, and of the recipe, as the flags of `jensen train`.

    Returns:
        The run, opened; the group, where `seeds` or `sweep` is given.

    Raises:
        JensenError: of a kind that says what is wrong, before anything is written where that can be known.
    """
    parts: dict[str, Any] = {"model": model, "guide": guide, "objective": objective, "estimator": estimator}
    several: dict[str, Any] = {"seeds": seeds, "sweep": sweep, "players": players, "force": force}
    command = {"recipe": recipe, "out": out, **parts, **several, **options}
    again = is_in_memory(data)
    return _followed(
        lambda how: training.train(data, **command, **how), progress, listeners, should_stop, notice, again
    )


def resume(
    folder: str | Path,
    *,
    data: Any = None,
    labels: Any = None,
    test: Any = None,
    test_labels: Any = None,
    parts: Mapping[str, Callable[..., Any]] | None = None,
    epochs: int | None = None,
    patience: int | Literal["auto", "as before"] | None = AS_BEFORE,
    progress: Progress = None,
    listeners: Sequence[Listener] = (),
    should_stop: Callable[[], bool] | None = None,
    notice: Callable[[str], None] | None = None,
    **processes: Any,
) -> Run:
    """Resume a training that was stopped or killed; the result is bit-identical to an uninterrupted run.

    Args:
        folder: of the run.
        data, labels, test, test_labels, parts, epochs, patience: see `jensen.runs.resume.resume`.
        progress, listeners, should_stop, notice: as of `jensen.train`; so is what Ctrl-C does.
        **processes: `processes` and `regroup`, of `jensen.runs.resume.resume`.

    Returns:
        The run, opened.
    """
    given = {"data": data, "labels": labels, "test": test, "test_labels": test_labels, "parts": parts}
    asked = {"epochs": epochs, "patience": patience, **processes}
    return _followed(
        lambda how: resuming.resume(folder, **given, **asked, **how),
        progress,
        listeners,
        should_stop,
        notice,
        is_in_memory(data),
    )


def _followed(
    work: Callable[[dict[str, Any]], Any],
    progress: Progress,
    listeners: Sequence[Listener],
    should_stop: Callable[[], bool] | None,
    notice: Callable[[str], None] | None,
    in_memory: bool,
) -> Any:
    """Train with progress and notices, and return what Ctrl-C left of it.

    Raises:
        InterruptedRun: `should_stop` interrupted it, or nothing is left that can be used.
    """
    notice = LOG.warning if notice is None else notice
    stopped: list[bool] = []

    def stop() -> bool:
        if should_stop is not None and should_stop():
            stopped.append(True)
        return bool(stopped)

    try:
        with shown_progress(progress) as shown:
            return work({"listeners": [*shown, *listeners], "should_stop": stop, "notice": notice})
    except InterruptedRun as error:
        if stopped or error.reopen is None:
            raise
        result = error.reopen()
        verb = "resume_group" if isinstance(result, RunGroup) else "resume"
        more = ", data=..." if in_memory else ""
        notice(f"{error.what}. Go on with jensen.{verb}({str(result.path)!r}{more})")
        return result
