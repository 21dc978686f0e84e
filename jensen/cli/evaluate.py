"""`jensen evaluate`: estimate log p(x), with the kind of the number and its error."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ..core.errors import UsageError
from ..core.validation import require_integer
from ..core.wording import fixed, plural
from ..evaluate import Annealed, Estimate, Importance, Tightness
from ..evaluate.choose import METHODS
from ..evaluate.estimate import format_nats
from ..evaluate.gaps import describe_gaps
from ..evaluate.quantity import Quantity
from ..recipes import option_flag
from ..runs.classify import Classified
from ..runs.run import Evaluation
from ..runs.run import Run as LoadedRun
from ..runs.sandwich import Certificate, certify
from ..storage.run_folder import EVALUATION
from .flags import NO_FLAGS, Data, Labels, Run, RunFlags
from .output import notifier, print_json, print_lines
from .progress import ProgressLine
from .writing import keep_result

__all__ = ["evaluate"]

SANDWICH = "sandwich"
CHAIN = {f.name: f.default for f in fields(Annealed)}
BUDGET = inspect.signature(LoadedRun.evaluate).parameters["budget"].default
ROWS = inspect.signature(certify).parameters["rows"].default


K = Annotated[
    int | None,
    Parameter(
        name="-k", help=f"latent points per datum, for that bound alone; by default {Importance.k:,}, and annealing"
    ),
]
Method = Annotated[str, Parameter(help=f"one of {', '.join((*METHODS, SANDWICH))}")]
Budget = Annotated[
    float | None,
    Parameter(
        help="seconds for annealing, which measures how tight the bound is; 0 for none; with the method auto only"
        f" [default: {BUDGET:g}]"
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
Rows = Annotated[int | None, Parameter(help=f"number of data to simulate, for the method sandwich [default: {ROWS}]")]


def evaluate(
    run: Run,
    data: Data = None,
    /,
    *,
    k: K = None,
    method: Method = "auto",
    budget: Budget = None,
    temperatures: Temperatures = None,
    leapfrog_steps: LeapfrogSteps = None,
    chains: Chains = None,
    start: Start = None,
    rows: Rows = None,
    labels: Labels = None,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Estimate log p(x), with the kind of the number and its error.

    Without DATA the result is that of the run's own test rows, and is kept in RUN/evaluation.json; of another method or
    -k, beside a plain evaluation of the same weights, in RUN/evaluations. The method sandwich bounds log p(x) from both
    sides, on data simulated by the model, and keeps nothing.
    """
    annealing = _annealing(temperatures=temperatures, leapfrog_steps=leapfrog_steps, chains=chains, start=start)
    _refuse_unused(method, data, k, budget, rows)
    opened, notify = flags.opened(run), notifier(flags.quiet)
    if method == SANDWICH:
        with ProgressLine(flags.quiet) as line:
            watch = line.task("annealing in both directions")
            size = ROWS if rows is None else rows
            certificate = certify(opened, annealing=annealing, rows=size, seed=flags.seed, watch=watch)
        for note in certificate.notes:
            notify(note)
        print_json(certificate.to_dict()) if flags.json else print_lines(_certificate_lines(certificate))
        return
    with ProgressLine(flags.quiet) as line:
        evaluation = opened.evaluate(
            data,
            labels=labels,
            k=k,
            method=method,
            budget=BUDGET if budget is None else budget,
            annealing=annealing,
            seed=flags.seed,
            watch=line.task("evaluating"),
        )
    for note in evaluation.notes:
        notify(note)
    if data is None:
        path = keep_result(lambda: opened.keep(evaluation), "evaluate", run)  # before printing: stdout may be closed
        if path is not None and path.name != EVALUATION:
            notify(f"kept in {path}: evaluation.json keeps the plain evaluation of these weights")
    print_json(evaluation.to_dict()) if flags.json else print_lines(_lines(evaluation))


def _annealing(**given: Any) -> Annealed | None:
    """Return the settings of annealing, None if none is given.

    Raises:
        UsageError: a number is below 1.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    for name in settings.keys() & {"temperatures", "leapfrog_steps", "chains"}:
        require_integer(1, **{option_flag(name): settings[name]})
    return Annealed(**settings) if settings else None


def _refuse_unused(method: str, data: str | None, k: int | None, budget: float | None, rows: int | None) -> None:
    """Refuse options that the method would ignore.

    Raises:
        UsageError: naming the flag.
    """
    if method == SANDWICH and data is not None:
        what = f"the sandwich is computed on data simulated by the model, not on {data}"
        raise UsageError(what, "Leave out DATA, or use --method annealed.")
    if method == SANDWICH and k is not None:
        raise UsageError(f"-k {k} is of importance weighting, and the sandwich has chains", f"Use --chains {k}.")
    if method != SANDWICH and rows is not None:
        raise UsageError(f"--rows {rows} is of the sandwich, and the method is {method}", "Add --method sandwich.")
    if method in ("exact", "quadrature") and k is not None:
        raise UsageError(f"-k {k} is of importance weighting, and the method is {method}", "Leave -k out.")
    if method != "auto" and budget is not None:
        what = f"--budget {budget:g} limits the annealing of a plain evaluation, and the method is {method}"
        raise UsageError(what, "Use --temperatures, --leapfrog-steps and --chains.")


def _lines(evaluation: Evaluation) -> list[str]:
    """Return the lines of an evaluation: the number, its errors, how tight it is, and the next command."""
    estimate, numbers = evaluation.estimate, evaluation.estimate.to_dict()
    rows = f"{evaluation.data}; {evaluation.prepared}"
    lines = [
        estimate.sentence(str(evaluation.quantity)),
        f"{rows}; {evaluation.weights} weights; seed {evaluation.seed}",
    ]
    if estimate.nats is not None:
        lines.append(_errors(estimate))
    if estimate.acceptance is not None:
        lines.append(_chains(estimate))
    if numbers["elbo"] is not None:
        elbo = format_nats(numbers["elbo"], numbers["stderr"]).split(" ")[0]
        lines.append(f"ELBO {elbo}: rate {fixed(numbers['rate'], 2)}, distortion {fixed(numbers['distortion'], 2)}")
    elif numbers["distortion"] is not None:
        lines.append(f"distortion {fixed(numbers['distortion'], 2)} nats per datum")
    if evaluation.bits_per_dim is not None:
        lines.append(_bits(evaluation, evaluation.bits_per_dim))
    if evaluation.assessment is not None:
        lines += _tightness_lines(evaluation.assessment, evaluation.quantity)
    if evaluation.halves is not None:
        gap = evaluation.halves
        lines.append(f"{gap.sentence} (± over rows)" if gap.stderr else gap.sentence)
    if evaluation.classified is not None:
        counts = evaluation.classified
        lines.append(str(Classified(counts["accuracy"], counts["n"], counts["labels_in_training"])))
    return [*lines, f"next: jensen report {evaluation.run}"]


def _bits(evaluation: Evaluation, bits: float) -> str:
    """Return the bits per dimension."""
    stderr = evaluation.estimate.stderr
    error = None if stderr is None else stderr / evaluation.bits_scale
    sign = "<= " if "lower bound" in evaluation.estimate.kind else ""
    return f"{sign}{format_nats(bits, error)} bits per dimension{' (± over data)' if error else ''}"


def _chains(estimate: Estimate) -> str:
    """Return the settings of annealing, its acceptance, and the spread of its chains."""
    settings, spread = estimate.settings, estimate.to_dict()["spread"]
    sizes = ", ".join(
        plural(settings[name], noun)
        for name, noun in (("temperatures", "temperature"), ("leapfrog_steps", "leapfrog step"), ("chains", "chain"))
    )
    start = f"{settings['start']}, corrected on simulated data" if settings["corrected"] else settings["start"]
    line = f"annealed from the {start}: {sizes}; acceptance {estimate.acceptance:.2f}"
    if spread is None:
        return line
    quantiles = f"median {_small(spread['median'])}, 95 % {_small(spread['q95'])} over rows"
    return f"{line}; chains spread by {_small(spread['mean'])} nats on average ({quantiles})"


def _certificate_lines(certificate: Certificate) -> list[str]:
    """Return the gap between both bounds, the bounds, and their basis."""
    bounds, numbers = certificate.bounds, certificate.bounds.to_dict()
    lower, upper = (format_nats(bound.mean, bound.stderr) for bound in bounds)
    rows = f"{plural(numbers['simulated_rows'], 'row')} simulated from the model"
    error = "" if bounds.gap_stderr is None else f" ± {_small(bounds.gap_stderr)}"
    return [
        f"gap {_small(bounds.gap)}{error} nats between the bounds (largest of a row {_small(numbers['gap_largest'])})",
        f"{lower} <= log p(x) <= {upper} nats per datum (stochastic bounds; ± over rows)",
        f"{rows}; {certificate.weights} weights; seed {certificate.seed}",
        _chains(bounds.lower),
        f"this certifies {numbers['certifies']}",
    ]


def _errors(estimate: Estimate) -> str:
    """Return the errors of an estimate."""
    parts = [f"standard error {_small(estimate.stderr)} over data, {_small(estimate.stderr_mc)} over Monte Carlo"]
    if estimate.reliable is False:
        parts = [f"standard error {_small(estimate.stderr)} over data; over Monte Carlo unreliable"]
    if estimate.ess_median is not None:
        parts.append(f"median effective sample size {estimate.ess_median:.0f} of {estimate.k}")
    if estimate.error is not None:
        parts.append(f"quadrature error {_small(estimate.error)}")
    return "; ".join(parts)


def _tightness_lines(tightness: Tightness, quantity: Quantity) -> list[str]:
    """Return how tight the number is, and what the ELBO loses."""
    numbers = tightness.to_dict()
    annealed, gaps = numbers["annealed"], numbers["gaps"]
    lines = [f"verdict: {tightness.verdict}"]
    if annealed is not None:
        lines += [_caveat(numbers), _annealed_bound(annealed, quantity)]
    if gaps is not None:
        lines.append(f"lost by the ELBO: {describe_gaps(gaps)}. {gaps['advice']}")
    return lines


def _caveat(numbers: dict[str, Any]) -> str:
    """Return the limits of the verdict, with the sandwich if there is one."""
    pair = numbers["sandwich"]
    if pair is None:
        return f"but {numbers['caveat']}"
    error = "" if pair["gap_stderr"] is None else f" ± {_small(pair['gap_stderr'])}"
    rows = plural(pair["simulated_rows"], "simulated row")
    return f"but {numbers['caveat']} (open by {_small(pair['gap'])}{error} nats on {rows})"


def _annealed_bound(annealed: dict[str, Any], quantity: Quantity) -> str:
    """Return the bound for all rows that follows from annealing some of them."""
    is_reliable = annealed["stderr_mc_reliable"] is not False
    bound = format_nats(annealed["log_px"], annealed["stderr_mc"] if is_reliable else None)
    error = "± Monte Carlo and choice of these rows" if is_reliable else "error unreliable"
    start = f"from the {annealed['start']}{', corrected' if annealed['corrected'] else ''}"
    rows = plural(annealed["rows"], "row")
    return f"{quantity} >= {bound} by annealing {rows} ({start}; {annealed['temperatures']} temperatures; {error})"


def _small(x: float | None) -> str:
    """Return a number with two digits, - for none."""
    return "-" if x is None else f"{x:.2g}"
