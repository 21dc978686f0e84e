"""`jensen represent`: measure how well codes predict labels and factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.commands import command_line
from ..storage.recorded_table import check_table
from ..storage.run_folder import REPRESENTATION, WEIGHTS
from .flags import NO_FLAGS, Data, Labels, Run, RunFlags
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..runs.represent import Representation, RepresentationScore

__all__ = ["represent"]


def represent(
    run: Run,
    data: Data = None,
    /,
    *,
    labels: Labels = None,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Measure how well codes predict labels and factors, with the chance level of each measure.

    The measures are the accuracy of a linear probe, agreement with k-means clusters, MIG, SAP, DCI and the FactorVAE
    score. They are fitted to the run's training rows and scored on its test rows; of other data, on two halves. The
    result for the run's own rows is kept in RUN/representation.json, for the report.
    """
    check_table(run, data)
    from ..runs.evaluation import versions
    from ..runs.represent import represent as measure
    from ..storage.files import digest
    from .writing import keep_record

    opened, notify = flags.opened(run), notifier(flags.quiet)
    with ProgressLine(flags.quiet) as line:
        result = measure(opened, data, labels=labels, seed=flags.seed, watch=line.task("measuring"))
    record = {
        **result.to_dict(),
        "run": str(opened.path),
        "weights": opened.weights,
        "versions": versions(),
        "weights_sha256": digest(opened.path / WEIGHTS),
    }
    for note in result.notes:
        notify(note)
    if data is None:
        keep_record(opened.path / REPRESENTATION, record, "represent", notify)
    if flags.json:
        print_json(record)
    else:
        print_lines([*_lines(result), f"next: {command_line('report', run, **flags.places)}"])


def _lines(result: Representation) -> list[str]:
    """Return one line for all linear probes, one for k-means, and one for each measure of disentanglement."""
    (n, fitted), (m, scored) = result.fitted, result.scored
    probes = [s for s in result.scores if s.name == "linear probe"]
    lines = [f"linear probe: {'; '.join(f'{s.of} {_value(s)}' for s in probes)}"]
    clusters = [s for s in result.scores if s.name.startswith("k-means")]
    if clusters:
        agreements = "; ".join(f"{s.name.removeprefix('k-means ')} {_value(s)}" for s in clusters)
        lines.append(f"k-means, {clusters[0].of}: {agreements}")
    lines += [f"{s.name} {_value(s)}" for s in result.scores if s.of == "factors"]
    rows = f"fitted to {_rows(n, fitted)}, scored on {_rows(m, scored)}; seed {result.seed}"
    return [*lines, f"codes of {result.size} features, {rows}"]


def _rows(n: int, name: str) -> str:
    """Return the number and the name of rows, once."""
    return name if f"{n} " in name or f"{n:,} " in name else f"{n:,} rows, {name}"


def _value(score: RepresentationScore) -> str:
    """Return a measure with its error and its chance level."""
    error = "" if score.stderr is None else f" ± {score.stderr:.3f}"
    return f"{score.value:.3f}{error} (chance {score.chance:.3f})"
