"""`jensen verify`: does the recorded evaluation come out again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..runs.run import load
from ..runs.verify import TOLERANCE, recorded
from ..runs.verify import verify as verify_run
from .flags import Json, Quiet, Run
from .output import notifier, print_json, print_lines
from .progress import Line

__all__ = ["verify"]

DIFFERS = 6  # the exit code where a number does not come out again
MOST = 12  # differences that are printed


def verify(
    run: Run,
    /,
    *,
    tolerance: Annotated[
        float, Parameter(help="largest difference, relative above 1; 0: equal to the bit")
    ] = TOLERANCE,
    device: Annotated[str | None, Parameter(name="--device", help="auto, cpu, cuda, ... [the recorded one]")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Repeat the evaluation in RUN/evaluation.json with its recorded settings, and compare every number.

    The exit code is 6 where one differs.
    """
    load(run)  # what is wrong with the run is said before what is wrong with its evaluation
    where = recorded(Path(run))["replay"]["device"] if device is None else device
    opened = load(run, device=where)
    with Line(quiet) as line:
        found = verify_run(opened, tolerance=tolerance, watch=lambda done: line.fraction("repeating", done))
    tell = notifier(quiet)
    for note in found.notes:
        tell(note)
    if json:
        print_json(found.to_dict())
    else:
        more = len(found.differences) - MOST
        told = [str(difference) for difference in found.differences[:MOST]]
        about = f"largest difference {found.largest:.2g}; tolerance {found.tolerance:g}"
        print_lines([found.verdict, *told, *([f"and {more} more"] if more > 0 else []), about])
    return 0 if found.holds else DIFFERS
