"""`jensen fidelity`: measure how close samples are to data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.commands import command_line
from ..storage.recorded_table import check_table
from ..storage.run_folder import FIDELITY, WEIGHTS
from .flags import NO_FLAGS, Data, Labels, Run, RunFlags, switch
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..runs.fidelity import Fidelity, FidelityScore

__all__ = ["fidelity"]


def fidelity(
    run: Run,
    data: Data = None,
    /,
    *,
    n: Annotated[
        int | None, Parameter(name="-n", help="number of samples, and of rows; by default half the rows")
    ] = None,
    mean: Annotated[bool, switch("use means of p(x | z) instead of samples")] = False,
    labels: Labels = None,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Measure how close samples are to data: Frechet distance, precision and recall, with those of real data.

    They are computed in features of a classifier trained on the run's training rows, or in principal components without
    labels. The result for the run's own test rows is kept in RUN/fidelity.json, for the report.
    """
    check_table(run, data)
    from ..runs.evaluation import versions
    from ..runs.fidelity import fidelity as measure
    from ..storage.files import digest
    from .writing import keep_record

    opened = flags.opened(run)
    with ProgressLine(flags.quiet) as line:
        result = measure(opened, data, labels=labels, n=n, mean=mean, seed=flags.seed, watch=line.task("comparing"))
    record = {
        **result.to_dict(),
        "run": str(opened.path),
        "weights": opened.weights,
        "versions": versions(),
        "weights_sha256": digest(opened.path / WEIGHTS),
    }
    if data is None:
        keep_record(opened.path / FIDELITY, record, "fidelity", notifier(flags.quiet))
    if flags.json:
        print_json(record)
    else:
        print_lines([*_lines(result), f"next: {command_line('report', run, **flags.places)}"])


def _lines(result: Fidelity) -> list[str]:
    """Return the measures, with those of real rows, and how they were computed."""
    distance = result.frechet
    return [
        f"Frechet distance {distance.value:.3g} ± {distance.spread:.2g} of {result.n:,} {result.sampled} from as many "
        f"rows; real rows from others: {distance.real:.3g} ± {distance.real_spread:.2g}",
        f"precision {_fraction(result.precision)}; recall {_fraction(result.recall)}",
        f"in {result.features.phrase}, fitted to {result.features.rows:,} training rows; {result.data}",
        f"± over {result.repeats} repeats; the distance falls with -n: compare at equal n only; seed {result.seed}",
    ]


def _fraction(score: FidelityScore) -> str:
    """Return precision or recall, with that of real rows."""
    return f"{score.value:.2f} ± {score.spread:.2f} (real rows {score.real:.2f})"
