"""`jensen resume`: continue a training that was interrupted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..core.errors import CorruptRunError
from ..storage.run_folder import SPEC
from .flags import Json, Place, Quiet, Run, TestPlace
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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Continue a training that was interrupted, killed or finished.

    The result is bit-identical to that of an uninterrupted training.
    """
    import torch

    from ..runs.resume import AS_BEFORE
    from ..runs.resume import resume as resume_training
    from ..storage.run_lock import replaced_run
    from ..storage.specification import read_spec
    from .train import print_outcome

    threads = read_spec(Path(run))["choices"].get("threads")
    if threads and threads > max(THREADS, os.cpu_count() or 1):  # too many would kill the process
        raise CorruptRunError(
            f"{Path(run) / SPEC} is damaged ({threads:,} threads)", "Restore it from a copy, or train again."
        )
    if threads:  # the last bits of sums depend on the number of threads
        torch.set_num_threads(threads)
    with stopping() as should_stop, ProgressLine(quiet) as line:
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
            )
        except CorruptRunError as error:
            previous = replaced_run(Path(run))
            if previous is None:
                raise
            remedy = f"{error.remedy} The run that it was to replace is in {previous}."
            raise CorruptRunError(error.what, remedy) from error
    print_outcome(resumed, json)
