"""`jensen resume`: go on with a training that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter

from ..resumption import resume as resume_training
from ..runfiles import read_spec
from .flags import Json, Quiet
from .output import notices
from .progress import Line, Training
from .signals import stopping
from .train import told

__all__ = ["resume"]


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
    if threads:  # sums are split over threads, and their last bits with them
        torch.set_num_threads(threads)
    with stopping() as should_stop, Line(quiet) as line:
        found = resume_training(
            run, epochs=epochs, listeners=[Training(line)], should_stop=should_stop, notice=notices(quiet)
        )
    told(found, json)
