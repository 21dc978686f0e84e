"""`jensen evaluate`: how good is it, and how sure are we."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..evaluate.assess import Assessment
from ..evaluate.estimate import format_nats
from ..evaluate.policy import METHODS
from ..runs import Evaluation, load
from .flags import Data, Device, Json, Quiet, Run, Seed
from .output import emit, notices, show
from .progress import Line

__all__ = ["evaluate"]


def evaluate(
    run: Run,
    data: Data = None,
    /,
    *,
    k: Annotated[
        int | None,
        Parameter(name="-k", help="latent points per datum: that bound alone (default 5000, then annealing)"),
    ] = None,
    method: Annotated[str, Parameter(help=f"one of {', '.join(METHODS)}")] = "auto",
    budget: Annotated[
        float, Parameter(help="seconds for annealing, which says how tight the bound is; 0: none")
    ] = 120.0,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate log p(x), and say what kind of number it is.

    Without DATA it is that of the run's own test rows, and is kept in RUN/evaluation.json.
    """
    opened = load(run, device=device)
    with Line(quiet) as line:
        found = opened.evaluate(
            data, k=k, method=method, budget=budget, seed=seed, watch=lambda done: line.fraction("evaluating", done)
        )
    tell = notices(quiet)
    for note in found.notes:
        tell(note)
    if data is None:
        opened.keep(found)  # before anything is printed: the reader of a pipe may leave
    if json:
        emit(found.to_dict())
    else:
        show(_lines(found))


def _lines(found: Evaluation) -> list[str]:
    numbers = found.estimate.to_dict()
    lines = [str(found.estimate), f"{found.data}; {found.prepared}; {found.weights} weights; seed {found.seed}"]
    if found.estimate.nats is not None:
        lines.append(_errors(found))
    if numbers["elbo"] is not None:
        elbo = format_nats(numbers["elbo"], numbers["stderr"]).split(" ")[0]
        lines.append(f"ELBO {elbo}: rate {numbers['rate']:.2f}, distortion {numbers['distortion']:.2f}")
    elif numbers["distortion"] is not None:
        lines.append(f"distortion {numbers['distortion']:.2f} nats per datum")
    if found.bits_per_dim is not None:
        error = None if found.estimate.stderr is None else found.estimate.stderr / found.bits_scale
        sign = "<= " if "lower bound" in found.estimate.kind else ""
        lines.append(f"{sign}{format_nats(found.bits_per_dim, error)} bits per dimension")
    if found.assessment is not None:
        lines += _assessed(found.assessment)
    return [*lines, f"next: jensen report {found.run}"]


def _errors(found: Evaluation) -> str:
    estimate = found.estimate
    words = [f"standard error {_small(estimate.stderr)} over data, {_small(estimate.stderr_mc)} over Monte Carlo"]
    if estimate.reliable is False:
        words = [f"standard error {_small(estimate.stderr)} over data; over Monte Carlo unreliable"]
    if estimate.ess_median is not None:
        words.append(f"median effective sample size {estimate.ess_median:.0f} of {estimate.k}")
    if estimate.error is not None:
        words.append(f"quadrature error {_small(estimate.error)}")
    return "; ".join(words)


def _assessed(found: Assessment) -> list[str]:
    numbers = found.to_dict()
    chain, split = numbers["annealed"], numbers["gaps"]
    better = format_nats(chain["log_px"], chain["stderr_mc"])
    words = f"log p(x) >= {better} by annealing {chain['rows']} rows ({chain['temperatures']} temperatures)"
    lines = [f"verdict: {found.verdict}", words]
    if split is not None:
        parts = f"family {split['approximation']['mean']:.2f}, encoder {split['amortisation']['mean']:.2f}"
        lines.append(f"lost by the ELBO: {parts} nats. {split['advice']}")
    return lines


def _small(x: float | None) -> str:
    return "-" if x is None else f"{x:.2g}"
