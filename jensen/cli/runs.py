"""`jensen runs`: list the runs in a folder."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from ..core.errors import UsageError
from .flags import Json, Quiet, switch
from .output import notifier, print_json, print_lines

__all__ = ["runs"]


def runs(
    folder: Annotated[str, Parameter(help="that holds runs, also in folders below it")] = "runs",
    /,
    *,
    latex: Annotated[bool, switch("print a table of LaTeX, for the package booktabs")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the runs in a folder: recipe, number with kind and error, rows, epochs, state and time.

    The number is that of the evaluation that a run keeps, or else the last measure of its training.
    """
    if latex and json:
        raise UsageError("--latex and --json exclude each other", "Leave one of them out.")
    from ..runs.listing import COLUMNS, entry_texts, latex_table, run_entries

    entries = list(run_entries(folder))
    if json:
        print_json({"runs": [asdict(entry) for entry in entries]})
        return
    if not entries:
        notifier(quiet)(f"there is no run in {folder}")
        return
    if latex:
        print_lines(latex_table(entries).splitlines(), emphasised=False)
        return
    rows = [list(COLUMNS), *map(entry_texts, entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ([text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows)
    print_lines("  ".join(row).rstrip() for row in cells)
