"""`jensen resume`: go on with a training that was stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter

from ..core.errors import CorruptRunError
from ..runs.resume import resume as resume_training
from ..storage.run_folder import read_spec
from ..storage.run_lock import replaced
from .flags import Json, Quiet
from .output import notices
from .progress import Line, Training
from .signals import stopping
from .train import told

__all__ = ["resume"]

THREADS = 1024  # or the cores of this machine: more than any training has


def resume(
    run: Annotated[str, Parameter(help="a run folder")],
    /,
    *,
    epochs: Annotated[int | None, Parameter(help="passes over the data in all [as before]")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a training that was stopped, killed or finished: it ends in the bits in which it would have ended."""
    threads = read_spec(Path(run))["choices"].get("threads")
    if threads and threads > max(THREADS, os.cpu_count() or 1):  # too many end the process
        raise CorruptRunError(
            f"{Path(run) / 'spec.json'} is damaged ({threads:,} threads)", "Restore it from a copy, or train again."
        )
    if threads:  # sums are split over threads, and their last bits with them
        torch.set_num_threads(threads)
    with stopping() as should_stop, Line(quiet) as line:
        try:
            found = resume_training(
                run, epochs=epochs, listeners=[Training(line)], should_stop=should_stop, notice=notices(quiet)
            )
        except CorruptRunError as error:
            aside = replaced(Path(run))
            if aside is None:
                raise
            remedy = f"{error.remedy} The run that it was to replace is in {aside}."
            raise CorruptRunError(error.what, remedy) from error
    told(found, json)
