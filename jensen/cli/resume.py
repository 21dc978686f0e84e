"""`jensen resume`: continue a training that was interrupted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ..core.errors import CorruptRunError
from ..storage.run_folder import SPEC, is_group
from .flags import Json, Place, Quiet, Run, TestPlace, switch
from .output import notifier
from .progress import ProgressLine, TrainingProgress
from .signals import stopping
from .train_flags import NOT_GIVEN

__all__ = ["resume"]

THREADS = 1024  # more than any training has, unless this machine has more cores


def resume(
    run: Run,
    /,
    *,
    epochs: Annotated[
        int | None, Parameter(help="passes over the data in all; by default as many as were asked for")
    ] = None,
    patience: Annotated[
        int | Literal["auto", "none"],
        Parameter(
            help="as for train; none goes on with a training that patience ended, by default as before",
            show_default=False,
        ),
    ] = NOT_GIVEN,  # pyright: ignore[reportArgumentType]
    place: Place = None,
    test: TestPlace = None,
    regroup: Annotated[
        bool, switch("go on with another number of processes than before (torchrun); last bits, or noise, then differ")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Continue a training that was interrupted, killed or finished; or the unfinished ones of a group.

    The result is bit-identical to that of an uninterrupted training.
    """
    if is_group(Path(run)):
        return _resume_group(run, epochs, patience, place, test, json=json, quiet=quiet)
    from ..core.processes import joined
    from ..runs.resume import AS_BEFORE
    from ..runs.resume import resume as resume_training
    from ..storage.run_lock import replaced_run
    from .train import print_outcome

    _check_threads_of(Path(run))
    with joined() as processes, stopping() as should_stop, ProgressLine(quiet) as line:
        try:
            resumed = resume_training(
                run,
                data=place,
                test=test,
                epochs=epochs,
                patience={NOT_GIVEN: AS_BEFORE, "none": None}.get(patience, patience),
                listeners=[TrainingProgress(line)],
                should_stop=should_stop,
                notice=notifier(quiet),
                processes=processes,
                regroup=regroup,
            )
        except CorruptRunError as error:
            previous = replaced_run(Path(run))
            if previous is None:
                raise
            remedy = f"{error.remedy} The run that it was to replace is in {previous}."
            raise CorruptRunError(error.what, remedy) from error
    print_outcome(resumed, json)
    return 0


def _resume_group(
    folder: str,
    epochs: int | None,
    patience: int | Literal["auto", "none"],
    place: str | None,
    test: str | None,
    *,
    json: bool,
    quiet: bool,
) -> int:
    """Continue the unfinished members of a group, or all with other epochs, and return the exit code."""
    from ..runs.resume_group import resume_group
    from .group_lines import print_group
    from .group_progress import GroupProgress

    for spec in sorted(Path(folder).glob(f"*/{SPEC}")):
        _check_threads_of(spec.parent)
    options: dict[str, Any] = {} if patience is NOT_GIVEN else {"patience": None if patience == "none" else patience}
    with stopping() as should_stop, ProgressLine(quiet) as line:
        progress = GroupProgress(line)
        group = resume_group(
            folder,
            data=place,
            test=test,
            epochs=epochs,
            listeners=[progress],
            should_stop=should_stop,
            notice=notifier(quiet),
            phase=progress.begin,
            **options,
        )
    return print_group(group, json, quiet)


def _check_threads_of(run: Path) -> int | None:
    """Return the number of threads that the run was trained with.

    Raises:
        CorruptRunError: there are more than any training has.
    """
    from ..storage.specification import read_spec

    threads = read_spec(run)["choices"].get("threads")
    if threads and threads > max(THREADS, os.cpu_count() or 1):  # too many would kill the process
        what = f"{run / SPEC} is damaged ({threads:,} threads)"
        raise CorruptRunError(what, "Restore it from a copy, or train again.")
    return threads
