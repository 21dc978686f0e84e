"""`jensen report`: write one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..core.errors import RunExistsError, UsageError
from ..storage.run_folder import REPORT
from .flags import Force, Json, Place, Quiet, Run, TestPlace, switch
from .output import print_json, print_lines
from .progress import ProgressLine

__all__ = ["report"]


def report(
    run: Run,
    /,
    *,
    out: Annotated[str | None, Parameter(help="the page to write [default: RUN/report.html]")] = None,
    examples: Annotated[
        bool, Parameter(help="show examples of the data (default), or none", show_default=False)
    ] = True,
    quick: Annotated[
        bool, switch("leave out what takes long: the doctor's checks, checkpoints, most of an evaluation")
    ] = False,
    place: Place = None,
    test: TestPlace = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one page with numbers, pictures and findings."""
    from ..report import write
    from ..runs.run import load

    opened = load(run, data=place, test=test)
    path = opened.path / REPORT if out is None else Path(out)
    if path.is_dir() or (out is not None and path.exists() and not force):
        raise RunExistsError(f"{path} exists", "Give --out another name, or replace it with --force.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "Make it first, or give --out another name.")
    with ProgressLine(quiet) as line:
        written = write(opened, path, examples=examples, quick=quick, phases=line.task)
    if json:
        print_json({"report": written, "run": run, "examples": examples, "quick": quick})
    else:
        print_lines([f"report: {written}"])
