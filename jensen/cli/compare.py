"""`jensen compare`: which of two models is better on the same rows, and how surely."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..core.wording import plural
from ..core.errors import UsageError
from ..evaluate.choose import METHODS
from ..evaluate.estimate import format_nats
from ..runs.compare import compare as compare_runs
from ..runs.paired import Comparison, Group
from ..runs.run import Run, load
from .flags import Data, Device, Json, Labels, Quiet, Seed, switch
from .output import notifier, print_json, print_lines
from .progress import Line

__all__ = ["compare"]

WORSE = 6  # the exit code of a gate that is not passed

Side = Annotated[str, Parameter(help="a run folder; several, such as seeds of one model, as a,b,c")]


def compare(
    a: Side,
    b: Side,
    data: Data = None,
    /,
    *,
    k: Annotated[int | None, Parameter(name="-k", help="latent points per datum (default 5000)")] = None,
    method: Annotated[str, Parameter(help=f"one of {', '.join(METHODS)}")] = "auto",
    fail_worse: Annotated[bool, switch("exit with 6 if A's number is lower, beyond the 95 % interval")] = False,
    labels: Labels = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Which of two models is better on the same rows, and how surely: paired differences of log p(x).

    Several runs of one side, jensen compare s0,s1,s2 t0,t1,t2, count as their mean, with an error over seeds. A number
    that is a lower bound leaves the order of log p(x) open unless the run's own evaluation, jensen evaluate RUN, has
    found that the bound is less loose than the difference.
    """
    first, second = (_opened(side, device) for side in (a, b))
    with Line(quiet) as line:
        told = {"labels": labels, "k": k, "method": method, "seed": seed}
        found = compare_runs(first, second, data, **told, watch=lambda done: line.fraction("comparing", done))
    tell = notifier(quiet)
    for note in found.notes:
        tell(note)
    if json:
        print_json(found.to_dict())
    else:
        print_lines(_lines(found))
    return WORSE if fail_worse and found.higher == "B" else 0


def _opened(side: str, device: str) -> list[Run]:
    """The runs of one side; a folder whose name holds a comma is a run all the same."""
    names = [side] if Path(side).is_dir() else [name.strip() for name in side.split(",")]
    if not all(names):
        raise UsageError(f"{side!r} names an empty run", "Separate run folders by single commas.")
    return [load(name, device=device) for name in names]


def _lines(found: Comparison) -> list[str]:
    error = "-" if found.stderr_data is None else f"{found.stderr_data:.2g}"
    words = [f"standard error {error} over {plural(len(found.differences), 'paired datum')}".replace("datums", "data")]
    if found.stderr_seeds is not None:
        words.append(f"{found.stderr_seeds:.2g} over seeds")
    share = float((found.differences > 0).double().mean())
    if found.interval is not None:
        low, high = (format_nats(end, found.stderr).split(" ")[0] for end in found.interval)
        freedom = found.degrees_of_freedom
        words.append(f"95 % interval {low} to {high}" + ("" if freedom is None else f" (t, {freedom:.3g} d.f.)"))
    words.append(f"A is higher on {share:.0%} of them")
    sides = [_side(name, group) for name, group in (("A", found.a), ("B", found.b))]
    about = f"{found.data}; {found.prepared}; log p(x) is a {found.measure}; seed {found.seed}"
    remedy = [] if found.remedy is None else [f"to settle it: {found.remedy}"]
    return [found.verdict, "; ".join(words), *sides, about, *remedy]


def _side(name: str, group: Group) -> str:
    numbers, first = group.to_dict(), group.scores[0]
    k = "" if first.estimate.k is None else f", K = {first.estimate.k:,}"
    loose = f", loose by about {group.below:.2g}" if group.is_bound and group.below is not None else ""
    spread = "" if group.spread is None else f", {len(group.scores)} seeds with s.d. {group.spread:.2g}"
    who = ", ".join(score.run for score in group.scores)
    value = format_nats(numbers["log_px"], numbers["stderr"])
    return f"{name}: {value} ({' and '.join(group.kinds)}{k}{loose}{spread}): {who}"
