"""A table of the runs in a folder: what each is, how far it came, and its number with kind and error."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.errors import CorruptRunError, UsageError
from ..core.wording import format_nats
from ..data.dataframes import library
from ..storage.metrics import lines_of
from ..storage.run_folder import CHECKPOINTS, EVALUATION, METRICS, MOVING, REPLACED, SPEC, STATE
from ..storage.schemas import EvaluationRecord, read_record
from ..storage.specification import read_spec
from .training_line import format_duration

__all__ = ["COLUMNS", "RunEntry", "entry_texts", "latex_table", "list_runs", "run_entries"]

COLUMNS = ("run", "recipe", "nats per datum", "kind", "rows", "epochs", "state", "time")
NUMBER, RIGHT = 2, ("nats per datum", "epochs", "time")
_ESCAPED = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}
INSIDE = (CHECKPOINTS, MOVING, REPLACED, STATE)  # folders of a run, in which no other is looked for


@dataclass(frozen=True)
class RunEntry:
    """One run of a folder.

    Attributes:
        name: the path within the folder.
        recipe: "model" for one of the user's own parts.
        data: the name of its data.
        epochs: that were trained.
        state: why training ended, such as "finished"; "training" where it has not, or was killed; "damaged".
        bound: in nats per datum: the evaluation of its test rows that it keeps, or else the last measure of training.
        kind: of that number, such as "exact" or "stochastic lower bound, K = 5000"; "ELBO" of validation or training
            rows, where it was not evaluated; "objective" where that is no bound.
        stderr: its standard error over rows; None where it is not known.
        rows: it is a mean of.
        seconds: of training.
    """

    name: str
    recipe: str
    data: str | None = None
    epochs: int = 0
    state: str = "training"
    bound: float | None = None
    kind: str | None = None
    stderr: float | None = None
    rows: str | None = None
    seconds: float | None = None


def list_runs(folder: str | Path, *, latex: bool = False) -> Any:
    """Return the runs in a folder, and in folders below it, as a DataFrame of pandas; see `RunEntry` for the columns.

    Without pandas it is a dictionary of lists.

    Args:
        folder: that holds them.
        latex: return a table of LaTeX instead, as text, with numbers and their errors; see `latex_table`.

    Raises:
        UsageError: there is no such folder.
    """
    if latex:
        return latex_table(run_entries(folder))
    entries = [asdict(entry) for entry in run_entries(folder)]
    columns = {field.name: [entry[field.name] for entry in entries] for field in fields(RunEntry)}
    return columns if find_spec("pandas") is None else library("pandas").DataFrame(columns)


def entry_texts(entry: RunEntry) -> list[str]:
    """Return what `COLUMNS` name of a run, as texts; a number with the digits that its error supports."""
    number = "" if entry.bound is None else format_nats(entry.bound, entry.stderr)
    seconds = "" if entry.seconds is None else format_duration(entry.seconds)
    epochs = "" if entry.state == "damaged" else f"{entry.epochs:,}"
    return [entry.name, entry.recipe, number, entry.kind or "", entry.rows or "", epochs, entry.state, seconds]


def latex_table(entries: Iterable[RunEntry]) -> str:
    r"""Return runs as a table of LaTeX, by the rules of the package booktabs.

    Example:
        >>> entry = RunEntry("a_1", "vae", "digits", 3, "finished", -88.13, "exact", 0.42, "180 test rows", 65.0)
        >>> print(latex_table([entry]).splitlines()[4])
        a\_1 & vae & $-88.1 \pm 0.4$ & exact & 180 test rows & 3 & finished & 1:05 \\
    """
    rows = [[_latex(text, i == NUMBER) for i, text in enumerate(entry_texts(entry))] for entry in entries]
    lines = [" & ".join(row) + r" \\" for row in rows]
    head = " & ".join(COLUMNS) + r" \\"
    alignment = "".join("r" if name in RIGHT else "l" for name in COLUMNS)
    begin = rf"\begin{{tabular}}{{{alignment}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"])


def _latex(text: str, is_number: bool) -> str:
    """Return a text with LaTeX's special characters escaped; a number with its error as a formula."""
    if is_number:
        return "$" + text.replace("±", r"\pm") + "$" if text else ""
    return "".join(_ESCAPED.get(character, character) for character in text)


def run_entries(folder: str | Path) -> Iterator[RunEntry]:
    """Yield the runs in a folder and in folders below it, in the order of their names.

    Raises:
        UsageError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "Give the folder that holds runs, such as runs.")
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in INSIDE)
        if SPEC in files:
            place = Path(path)
            name = place.name if place == folder else place.relative_to(folder).as_posix()
            yield _entry(place, name)


def _entry(place: Path, name: str) -> RunEntry:
    """Return the entry of a run; of one that is damaged, its name only."""
    try:
        spec, lines = read_spec(place), list(lines_of(place / METRICS))
        bound, kind, stderr, rows = _evaluated(place) or _trained(lines)
    except CorruptRunError:
        return RunEntry(name, "", state="damaged")
    epochs = [line for line in lines if line["event"] == "epoch"]
    last = lines[-1] if lines else {}
    has_ended = last.get("event") == "stopped"
    return RunEntry(
        name=name,
        recipe=str(spec["command"].get("recipe") or "model"),
        data=str(spec["command"]["data"]),
        epochs=int(last["epoch"]) if has_ended else len(epochs),
        state=str(last["reason"]) if has_ended else "training",
        bound=bound,
        kind=kind,
        stderr=stderr,
        rows=rows,
        seconds=float(last["seconds"]) if has_ended else float(epochs[-1]["seconds"]) if epochs else None,
    )


Number = tuple[float | None, str | None, float | None, str | None]  # with its kind, its error and its rows


def _evaluated(place: Path) -> Number | None:
    """Return the number of the evaluation that a run keeps; None where there is none.

    Raises:
        CorruptRunError: it is damaged.
    """
    if not os.path.lexists(place / EVALUATION):
        return None
    record = read_record(place / EVALUATION, EvaluationRecord, "Delete it, or evaluate again.")
    kind = record["kind"] if record["k"] is None else f"{record['kind']}, K = {record['k']}"
    return record["log_px"], kind, record["stderr"], record.get("data")


def _trained(lines: list[dict[str, Any]]) -> Number:
    """Return the measure of the epoch whose weights a run has: of validation rows, or of training rows without any."""
    epochs = [line for line in lines if line["event"] == "epoch"]
    if not epochs:
        return None, None, None, None
    last = lines[-1]
    kept = last["kept_epoch"] if last["event"] == "stopped" else epochs[-1]["epoch"]
    line = next((line for line in epochs if line["epoch"] == kept), epochs[-1])
    part, rows = ("train", "training rows") if line["valid"] is None else ("valid", "validation rows")
    is_bound = line[part]["bound"] is not None
    return line[part]["bound" if is_bound else "objective"], "ELBO" if is_bound else "objective", None, rows
