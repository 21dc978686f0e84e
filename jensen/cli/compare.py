"""`jensen compare`: test which of two models is better on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.errors import UsageError
from ..core.wording import format_nats, plural
from ..storage.recorded_table import check_table
from ..storage.run_folder import is_group
from .defaults import EVALUATION_METHODS, POINTS
from .flags import NO_FLAGS, Data, Labels, RunFlags, switch
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..runs.paired import Group, PairedComparison

__all__ = ["compare"]

WORSE = 6  # exit code if --fail-worse fails

Side = Annotated[
    str,
    Parameter(help="a run folder; several, such as seeds of one model, as a,b,c; a group, or GROUP/SETTING of a sweep"),
]


def compare(
    a: Side,
    b: Side,
    data: Data = None,
    /,
    *,
    k: Annotated[int | None, Parameter(name="-k", help=f"latent points per datum [default: {POINTS}]")] = None,
    method: Annotated[str, Parameter(help=f"one of {', '.join(EVALUATION_METHODS)}")] = "auto",
    fail_worse: Annotated[bool, switch("exit with code 6 if A is lower, with zero outside the 95 % interval")] = False,
    labels: Labels = None,
    flags: RunFlags = NO_FLAGS,
) -> int:
    """Test which of two models is better on the same rows, by paired differences of log p(x).

    Several runs of one side, jensen compare s0,s1,s2 t0,t1,t2, count as their mean, with an error over seeds; so do the
    members of a group, and those of one setting of a sweep, jensen compare OUT/beta-0.5 OUT/beta-1. If a
    number is a lower bound, the order of log p(x) remains open, unless the evaluation on record (jensen evaluate RUN)
    estimates that the bound is tighter than the difference.
    """
    sides = [_folders_of(side) for side in (a, b)]
    for folder in (*sides[0], *sides[1]):
        check_table(folder, data)
    runs_a, runs_b = ([flags.opened(folder) for folder in side] for side in sides)
    from ..runs.compare import compare as compare_runs

    with ProgressLine(flags.quiet) as line:
        names = ["comparing"]
        comparison = compare_runs(
            runs_a,
            runs_b,
            data,
            labels=labels,
            k=k,
            method=method,
            seed=flags.seed,
            watch=lambda done: line.update_task(names[-1], done),
            phase=lambda run: names.append(f"evaluating {run}"),
        )
    notify = notifier(flags.quiet)
    for note in comparison.notes:
        notify(note)
    if flags.json:
        print_json(comparison.to_dict())
    else:
        print_lines(_lines(comparison))
    return WORSE if fail_worse and comparison.higher == "B" else 0


def _folders_of(side: str) -> list[str]:
    """Return the runs of one side, the members of its groups among them; a folder may have a comma in its name.

    Raises:
        UsageError: a name between commas is empty.
    """
    names = [side] if Path(side).is_dir() else [name.strip() for name in side.split(",")]
    if not all(names):
        raise UsageError(f"{side!r} names an empty run", "Separate run folders by single commas.")
    return [folder for name in names for folder in _folders(name)]


def _folders(name: str) -> list[str]:
    """Return the runs that a name stands for: itself, or those of a group or of one of its settings."""
    path = Path(name)
    if not is_group(path) and (path.exists() or not is_group(path.parent)):
        return [name]
    from ..runs.group import member_folders

    return list(map(str, member_folders(path)))


def _lines(comparison: PairedComparison) -> list[str]:
    """Return the verdict, the errors, both sides, the rows, and what would decide an open comparison."""
    sides = [_side(name, group) for name, group in (("A", comparison.a), ("B", comparison.b))]
    measure = f"{comparison.quantity} is a {comparison.measure}"
    rows = f"{comparison.data}; {comparison.prepared}; {measure}; seed {comparison.seed}"
    remedy = [] if comparison.remedy is None else [f"to decide it: {comparison.remedy}"]
    return [comparison.verdict, _errors(comparison), *sides, rows, *remedy]


def _errors(comparison: PairedComparison) -> str:
    """Return the standard errors and the interval of the difference."""
    stderr = "-" if comparison.stderr_data is None else f"{comparison.stderr_data:.2g}"
    parts = [f"standard error {stderr} over {plural(len(comparison.differences), 'paired datum')}"]
    if comparison.stderr_seeds is not None:
        paired = comparison.paired_seeds
        parts.append(f"{comparison.stderr_seeds:.2g} over {f'{paired} paired seeds' if paired else 'seeds'}")
    if comparison.interval is not None:
        is_turned = comparison.higher == "B"  # as in the verdict, which says by how much B is higher
        ends = [-end for end in reversed(comparison.interval)] if is_turned else comparison.interval
        low, high = (format_nats(end, comparison.stderr).split(" ")[0] for end in ends)
        of = "B - A" if is_turned else "A - B"
        freedom = comparison.degrees_of_freedom
        degrees = "" if freedom is None else f" (t, {freedom:.3g} d.f.)"
        parts.append(f"95 % interval of {of} {low} to {high}{degrees}")
    share = float((comparison.differences > 0).double().mean())
    parts.append(f"A is higher on {share:.0%} of them")
    return "; ".join(parts)


def _side(name: str, group: Group) -> str:
    """Return the number of one side, its kind, and its runs."""
    numbers, first = group.to_dict(), group.scores[0]
    k = "" if first.estimate.k is None else f", K = {first.estimate.k:,}"
    loose = f", loose by about {group.below:.2g}" if group.is_bound and group.below is not None else ""
    spread = "" if group.spread is None else f", {len(group.scores)} seeds with s.d. {group.spread:.2g}"
    runs = ", ".join(score.run for score in group.scores)
    value = format_nats(numbers["log_px"], numbers["stderr"])
    return f"{name}: {value} ({' and '.join(group.kinds)}{k}{loose}{spread}): {runs}"
