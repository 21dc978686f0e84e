"""`jensen evaluate`: estimate log p(x), with the kind of the number and its error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..core.errors import UsageError
from ..core.validation import require_integer
from ..core.wording import option_flag
from ..storage.recorded_table import check_table
from ..storage.run_folder import EVALUATION
from .defaults import BUDGET, CHAIN, EVALUATION_METHODS, FLOW, POINTS, SIMULATED_ROWS
from .evaluation_lines import certificate_lines, evaluation_lines
from .flags import NO_FLAGS, Data, Force, Labels, Run, RunFlags, Safe
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..evaluate import Annealed
    from ..runs.run import Evaluation
    from ..runs.run import Run as OpenedRun
    from .writing import Target

__all__ = ["evaluate"]

SANDWICH = "sandwich"
TABLES = (".csv", ".npz")
STOPPED = "the evaluation was stopped: how tight the number is was not measured"


K = Annotated[
    int | None,
    Parameter(name="-k", help=f"latent points per datum, for that bound alone; by default {POINTS:,}, and annealing"),
]
Method = Annotated[str, Parameter(help=f"one of {', '.join((*EVALUATION_METHODS, SANDWICH))}")]
Budget = Annotated[
    float | None,
    Parameter(
        help="seconds for everything: the number, training rows, and annealing, which measures how tight the bound is;"
        f" 0 for the number alone; with the method auto only [default: {BUDGET:g}]"
    ),
]
Temperatures = Annotated[
    int | None, Parameter(help=f"temperatures of the methods annealed and sandwich [default: {CHAIN['temperatures']}]")
]
LeapfrogSteps = Annotated[
    int | None, Parameter(help=f"leapfrog steps at each temperature [default: {CHAIN['leapfrog_steps']}]")
]
Chains = Annotated[int | None, Parameter(help=f"chains per datum [default: {CHAIN['chains']}]")]
Start = Annotated[
    Literal["guide", "prior"] | None,
    Parameter(help="start of the chains: q(z|x) or p(z)", show_default=f"{CHAIN['start']}"),
]
Simulated = Annotated[
    int | None, Parameter(help=f"number of data to simulate, for the method sandwich [default: {SIMULATED_ROWS}]")
]
RowFile = Annotated[
    str | None,
    Parameter(name="--rows", help="file for a table of all rows, with what identifies each: .csv or .npz"),
]


@Parameter(name="*")
@dataclass(frozen=True)
class ChainFlags:
    """The flags of diffusions: bounds by the number of levels, and the probability flow."""

    levels: Annotated[
        str | None,
        Parameter(help="numbers of levels such as 1,4,16,64,256: the bound of a diffusion's chain of so many for each"),
    ] = None
    tolerance: Annotated[
        float | None,
        Parameter(name="--tolerance", help=f"of the solver of the method flow [default: {FLOW['tolerance']:g}]"),
    ] = None
    rows_at_most: Annotated[
        int | None,
        Parameter(help=f"rows of the method flow, evenly spaced, since it is slow [default: {FLOW['rows']}]"),
    ] = None

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of levels.

        Raises:
            UsageError: they are no whole numbers.
        """
        words = [] if self.levels is None else self.levels.replace(",", " ").split()
        if (self.levels is not None and not words) or not all(word.isdecimal() for word in words):
            raise UsageError(f"--levels must be whole numbers, got {self.levels}", "Give --levels 1,4,16,64,256.")
        return tuple(map(int, words))


NO_CHAIN = ChainFlags()
Online = Annotated[
    bool,
    Parameter(help="send a kept evaluation to the servers that train --online wrote to", negative=""),
]


def evaluate(
    run: Run,
    data: Data = None,
    /,
    *,
    k: K = None,
    method: Method = "auto",
    budget: Budget = None,
    rows: RowFile = None,
    temperatures: Temperatures = None,
    leapfrog_steps: LeapfrogSteps = None,
    chains: Chains = None,
    start: Start = None,
    simulated: Simulated = None,
    labels: Labels = None,
    online: Online = False,
    force: Force = False,
    safe: Safe = False,
    chain: ChainFlags = NO_CHAIN,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Estimate log p(x), with the kind of the number and its error.

    The number is printed first, and then, within --budget seconds of its beginning, how tight it is. Without DATA the
    result is that of the run's own test rows, and is kept in RUN/evaluation.json; of another method or -k, beside a
    plain evaluation of the same weights, in RUN/evaluations. The method sandwich bounds log p(x) from both sides, on
    data simulated by the model, and keeps nothing. The method flow is of the probability flow of diffusions.
    """
    _refuse_unused(method, data, k, budget, rows, simulated, safe, chain)
    annealing = _annealing(temperatures=temperatures, leapfrog_steps=leapfrog_steps, chains=chains, start=start)
    target = None if rows is None else _row_target(rows, force, safe, flags.quiet)
    check_table(run, data)
    opened = flags.opened(run)
    if method == SANDWICH:
        return _print_sandwich(opened, annealing, simulated, flags)
    from ..core.divided import divided
    from ..core.processes import joined
    from ..runs.evaluate import evaluate as evaluate_run

    with ProgressLine(flags.quiet) as line, joined() as processes, divided(processes):
        first = processes.is_first
        outcome = _Outcome(run, opened, line, flags, target if first else None, data is None and first, online)
        with outcome.kept_if_stopped():
            evaluation = evaluate_run(
                opened,
                data,
                labels=labels,
                k=k,
                method=method,
                budget=BUDGET if budget is None else budget,
                annealing=annealing,
                levels=chain.counts,
                tolerance=chain.tolerance,
                rows_at_most=chain.rows_at_most,
                seed=flags.seed,
                watch=outcome.watch,
                phase=outcome.name_phase,
                first=outcome.print_number,
            )
    outcome.finish(evaluation)


class _Outcome:
    """The outcome of an evaluation as it comes in: the number is printed first, and kept even if the rest is stopped.

    Args:
        run: the folder, as the user wrote it.
        opened: the run.
        line: of progress.
        flags: of the command.
        target: of the table of rows; None for none.
        is_kept: whether the evaluation is kept in the run.
        online: whether trackers on servers get it too.
    """

    def __init__(
        self,
        run: str,
        opened: OpenedRun,
        line: ProgressLine,
        flags: RunFlags,
        target: Target | None,
        is_kept: bool,
        online: bool,
    ) -> None:
        self.run, self.opened, self.line, self.flags, self.target, self.is_kept = (
            run,
            opened,
            line,
            flags,
            target,
            is_kept,
        )
        self.notify, self.phase, self.online = notifier(flags.quiet), "", online
        self.number: Evaluation | None = None

    def name_phase(self, phase: str) -> None:
        """Take the name of the phase that begins."""
        self.phase = phase

    def watch(self, done: float) -> None:
        """Show progress."""
        self.line.update_task(self.phase, done)

    def print_number(self, evaluation: Evaluation) -> None:
        """Print the number; with --json everything is printed at the end."""
        self.number = evaluation
        if not self.flags.json:
            self.line.clear()
            print_lines(evaluation_lines(evaluation)[:1])

    @contextmanager
    def kept_if_stopped(self) -> Iterator[None]:
        """Keep the number if the scope is left by Ctrl-C or an error after it."""
        try:
            yield
        except BaseException:
            if self.number is not None:
                self.line.clear()
                self.keep(replace(self.number, notes=(*self.number.notes, STOPPED)))
                self.notify(STOPPED)
            raise

    def keep(self, evaluation: Evaluation) -> None:
        """Write the evaluation into the run, and the table of rows where one was asked for."""
        from .writing import keep_result

        if self.is_kept:
            path = keep_result(lambda: self.opened.keep(evaluation, self.online, self.notify), "evaluate", self.run)
            if path is not None and path.name != EVALUATION:
                is_flow = evaluation.replay["method"] == "flow"
                why = "is of the chain itself" if is_flow else "keeps the plain evaluation of these weights"
                self.notify(f"kept in {path}: evaluation.json {why}")
        if self.target is not None:
            _write_rows(self.target, evaluation)

    def finish(self, evaluation: Evaluation) -> None:
        """Keep the evaluation, and print what has not been printed yet."""
        for note in evaluation.notes:
            self.notify(note)
        self.keep(evaluation)  # before printing: stdout may be closed
        if self.flags.json:
            print_json(evaluation.to_dict())
            return
        lines = evaluation_lines(evaluation, self.flags.places)[1:]
        if self.target is not None:
            lines.insert(-1, f"values of every row: {self.target.path}")
        print_lines(lines, emphasised=False)


def _print_sandwich(opened: OpenedRun, annealing: Annealed | None, simulated: int | None, flags: RunFlags) -> None:
    """Print bounds from both sides, on simulated data; of several processes the first one does, undivided."""
    from ..core.processes import joined
    from ..runs.sandwich import certify

    notify = notifier(flags.quiet)
    with joined() as processes, ProgressLine(flags.quiet) as line:
        if not processes.is_first:
            return
        watch = line.task("annealing in both directions")
        size = SIMULATED_ROWS if simulated is None else simulated
        certificate = certify(opened, annealing=annealing, rows=size, seed=flags.seed, watch=watch)
    for note in certificate.notes:
        notify(note)
    print_json(certificate.to_dict()) if flags.json else print_lines(certificate_lines(certificate))


def _row_target(rows: str, force: bool, safe: bool, quiet: bool) -> Target:
    """Return the file of the table of rows, checked before any work.

    Raises:
        UsageError: it is neither a .csv nor an .npz, or its folder does not exist.
        RunExistsError: it exists, and `force` is not given.
    """
    if Path(rows).suffix.lower() not in TABLES:
        remedy = f"Give a file: --rows rows.csv{'; simulated rows: --simulated ' + rows if rows.isdigit() else ''}."
        raise UsageError(f"--rows must end in {' or '.join(TABLES)}, got {rows}", remedy)
    from .writing import Target

    return Target.choose(rows, Path(rows), force, pictures=False, safe=safe, quiet=quiet)


def _write_rows(target: Target, evaluation: Evaluation) -> None:
    """Write the table of rows: what identifies each first, then numbers; one that is not known is empty."""
    import numpy as np

    columns = evaluation.rows
    if target.path is not None and target.path.suffix.lower() == ".npz":
        files = "file" if "files" in columns else "files"  # as the other results call them
        target.write_arrays({files if name == "file" else name: values for name, values in columns.items()})
        return
    names = list(columns)
    first = names.index("kind") + 1
    x = np.stack([columns[name] for name in names[first:]], 1)
    target.write(x, names[first:], bytes, before={name: columns[name] for name in names[:first]})


def _annealing(**given: Any) -> Annealed | None:
    """Return the settings of annealing, None if none is given.

    Raises:
        UsageError: a number is below 1.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    if not settings:
        return None
    from ..evaluate import Annealed
    from ..evaluate.annealed import MOST

    for name in settings.keys() & MOST.keys():
        require_integer(1, MOST[name], **{option_flag(name): settings[name]})
    return Annealed(**settings)


def _refuse_unused(
    method: str,
    data: str | None,
    k: int | None,
    budget: float | None,
    rows: str | None,
    simulated: int | None,
    safe: bool,
    chain: ChainFlags,
) -> None:
    """Refuse options that the method, or what is written, would ignore.

    Raises:
        UsageError: naming the flag.
    """
    if safe and rows is None:
        raise UsageError("--spreadsheet-safe is of the table of rows", "Give --rows FILE.csv, or leave it out.")
    if method not in (*EVALUATION_METHODS, SANDWICH):
        raise UsageError(f"there is no method {method!r}", f"Choose from {', '.join((*EVALUATION_METHODS, SANDWICH))}.")
    if method == SANDWICH and data is not None:
        what = f"the sandwich is computed on data simulated by the model, not on {data}"
        raise UsageError(what, "Leave out DATA, or use --method annealed.")
    if method == SANDWICH and k is not None:
        raise UsageError(f"-k {k} is of importance weighting, and the sandwich has chains", f"Use --chains {k}.")
    if method == SANDWICH and chain != NO_CHAIN:
        flags = [option_flag(name) for name, value in vars(chain).items() if value is not None]
        raise UsageError(f"{flags[0]} is of diffusions, and these have no sandwich", "Leave one of them out.")
    require_integer(1, **{"--levels": chain.counts})
    if method == SANDWICH and rows is not None:
        what = f"--rows {rows} is a table of the run's rows, and the sandwich is of simulated ones"
        raise UsageError(what, f"For their number: --simulated {rows}." if rows.isdigit() else "Leave --rows out.")
    if method != SANDWICH and simulated is not None:
        what = f"--simulated {simulated} is of the sandwich, and the method is {method}"
        raise UsageError(what, "Add --method sandwich.")
    if method in ("exact", "quadrature") and k is not None:
        raise UsageError(f"-k {k} is of importance weighting, and the method is {method}", "Leave -k out.")
    if method != "auto" and budget is not None:
        what = f"--budget {budget:g} limits a plain evaluation, and the method is {method}"
        limits = "--rows-at-most and -k" if method == "flow" else "--temperatures, --leapfrog-steps and --chains"
        raise UsageError(what, f"Use {limits}.")
