"""`jensen verify`: repeat the recorded evaluation and compare every number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .defaults import TOLERANCE
from .flags import Json, Place, Quiet, Run, TestPlace
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

__all__ = ["verify"]

DIFFERS = 6  # exit code if a number differs
MOST_LISTED = 12  # differences


def verify(
    run: Run,
    /,
    *,
    tolerance: Annotated[
        float, Parameter(help="largest difference, relative for numbers above 1; 0: bit-identical")
    ] = TOLERANCE,
    place: Place = None,
    test: TestPlace = None,
    device: Annotated[
        str | None, Parameter(name="--device", help="auto, cpu, cuda, ...; by default the recorded one")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Repeat the evaluation in RUN/evaluation.json with its recorded settings, and compare every number.

    The exit code is 6 if one differs.
    """
    from ..runs.run import load
    from ..runs.verify import recorded
    from ..runs.verify import verify as verify_run

    load(run)  # reports damage of the run before damage of its evaluation
    recorded_device = recorded(Path(run))["replay"]["device"] if device is None else device
    opened = load(run, device=recorded_device, data=place, test=test)
    with ProgressLine(quiet) as line:
        verification = verify_run(opened, tolerance=tolerance, watch=line.task("repeating"))
    notify = notifier(quiet)
    for note in verification.notes:
        notify(note)
    if json:
        print_json(verification.to_dict())
    else:
        differences = [str(difference) for difference in verification.differences[:MOST_LISTED]]
        more = len(verification.differences) - MOST_LISTED
        if more > 0:
            differences.append(f"and {more} more")
        limits = f"largest difference {verification.largest:.2g}; tolerance {verification.tolerance:g}"
        print_lines([verification.verdict, *differences, limits])
    return 0 if verification.holds else DIFFERS
