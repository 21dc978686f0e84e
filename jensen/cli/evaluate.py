"""`jensen evaluate`: how good is it, and how sure are we."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ..core.wording import plural
from ..core.errors import UsageError
from ..evaluate import Annealed, Assessment, Estimate, ExactTightness
from ..evaluate.choose import METHODS
from ..evaluate.estimate import format_nats
from ..evaluate.gaps import told
from ..runs.classify import Classified
from ..runs.run import Evaluation, load
from ..runs.sandwich import Certificate, certify
from .flags import Data, Device, Json, Labels, Quiet, Run, Seed
from .output import notifier, print_json, print_lines
from .progress import Line

__all__ = ["evaluate"]


SANDWICH = "sandwich"


def evaluate(
    run: Run,
    data: Data = None,
    /,
    *,
    k: Annotated[
        int | None,
        Parameter(name="-k", help="latent points per datum: that bound alone (default 5000, then annealing)"),
    ] = None,
    method: Annotated[str, Parameter(help=f"one of {', '.join((*METHODS, SANDWICH))}")] = "auto",
    budget: Annotated[
        float | None,
        Parameter(help="seconds for annealing, which says how tight the bound is; 0: none [120; auto alone]"),
    ] = None,
    temperatures: Annotated[int | None, Parameter(help="of annealing, or of the sandwich [200]")] = None,
    leaps: Annotated[int | None, Parameter(help="leapfrog steps at each temperature, likewise [10]")] = None,
    chains: Annotated[int | None, Parameter(help="per datum, likewise [16]")] = None,
    start: Annotated[
        Literal["guide", "prior"] | None, Parameter(help="where chains start: q(z|x) or p(z), likewise [guide]")
    ] = None,
    rows: Annotated[int | None, Parameter(help="data to simulate, for the sandwich [100]")] = None,
    labels: Labels = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate log p(x), and say what kind of number it is.

    Without DATA it is that of the run's own test rows, and is kept in RUN/evaluation.json, or beside a plain evaluation
    of the same weights in RUN/evaluations. The method sandwich bounds log p(x) from both sides, on data that the model
    simulates, and keeps nothing.
    """
    annealing = _annealing(temperatures=temperatures, leaps=leaps, chains=chains, start=start)
    _refuse(method, data, k, budget, rows)
    opened, tell = load(run, device=device), notifier(quiet)
    if method == SANDWICH:
        with Line(quiet) as line:
            job = {"annealing": annealing, "rows": 100 if rows is None else rows, "seed": seed}
            pair = certify(opened, **job, watch=lambda done: line.fraction("annealing both ways", done))
        for note in pair.notes:
            tell(note)
        print_json(pair.to_dict()) if json else print_lines(_certified(pair))
        return
    with Line(quiet) as line:
        asked = {"k": k, "method": method, "budget": 120.0 if budget is None else budget, "annealing": annealing}
        found = opened.evaluate(
            data, **asked, labels=labels, seed=seed, watch=lambda done: line.fraction("evaluating", done)
        )
    for note in found.notes:
        tell(note)
    if data is None:
        kept = opened.keep(found)  # before anything is printed: the reader of a pipe may leave
        if kept.name != "evaluation.json":
            tell(f"kept in {kept}: evaluation.json keeps the plain evaluation of these weights")
    print_json(found.to_dict()) if json else print_lines(_lines(found))


def _annealing(**given: Any) -> Annealed | None:
    """The settings of annealing, if any is given."""
    found = {name: value for name, value in given.items() if value is not None}
    return Annealed(**found) if found else None


def _refuse(method: str, data: str | None, k: int | None, budget: float | None, rows: int | None) -> None:
    """Refuse what the method would leave aside.

    Raises:
        UsageError: naming the flag.
    """
    if method == SANDWICH and data is not None:
        what = f"the sandwich is made of data that the model simulates, and not of {data}"
        raise UsageError(what, "Leave out DATA, or use --method annealed.")
    if method == SANDWICH and k is not None:
        raise UsageError(f"-k {k} is of importance weighting, and the sandwich has chains", f"Use --chains {k}.")
    if method != SANDWICH and rows is not None:
        raise UsageError(f"--rows {rows} is of the sandwich, and the method is {method}", "Add --method sandwich.")
    if method in (SANDWICH, "annealed") and budget is not None:
        what = f"--budget {budget:g} chooses how much a plain evaluation anneals, and the method is {method}"
        raise UsageError(what, "Use --temperatures, --leaps and --chains.")


def _lines(found: Evaluation) -> list[str]:
    numbers = found.estimate.to_dict()
    lines = [str(found.estimate), f"{found.data}; {found.prepared}; {found.weights} weights; seed {found.seed}"]
    if found.estimate.nats is not None:
        lines.append(_errors(found))
    if found.estimate.acceptance is not None:
        lines.append(_chains(found.estimate))
    if numbers["elbo"] is not None:
        elbo = format_nats(numbers["elbo"], numbers["stderr"]).split(" ")[0]
        lines.append(f"ELBO {elbo}: rate {numbers['rate']:.2f}, distortion {numbers['distortion']:.2f}")
    elif numbers["distortion"] is not None:
        lines.append(f"distortion {numbers['distortion']:.2f} nats per datum")
    if found.bits_per_dim is not None:
        error = None if found.estimate.stderr is None else found.estimate.stderr / found.bits_scale
        sign = "<= " if "lower bound" in found.estimate.kind else ""
        lines.append(
            f"{sign}{format_nats(found.bits_per_dim, error)} bits per dimension{' (± over data)' if error else ''}"
        )
    if found.assessment is not None:
        lines += _assessed(found.assessment)
    if found.halves is not None:
        lines.append(f"{found.halves.sentence} (± over rows)" if found.halves.stderr else found.halves.sentence)
    if found.classified is not None:
        told = found.classified
        lines.append(str(Classified(told["accuracy"], told["n"], told["labels_in_training"])))
    return [*map(found.worded, lines), f"next: jensen report {found.run}"]


def _chains(estimate: Estimate) -> str:
    """What annealing did, and how far its chains are apart, in a line."""
    done, spread = estimate.settings, estimate.to_dict()["spread"]
    steps = f"{plural(done['temperatures'], 'temperature')}, {plural(done['leaps'], 'leapfrog step')}"
    start = f"{done['start']}, corrected on simulated data" if done["corrected"] else done["start"]
    words = f"annealed from the {start}: {steps}, {plural(done['chains'], 'chain')}"
    words += f"; acceptance {estimate.acceptance:.2f}"
    if spread is None:
        return words
    told = f"median {_small(spread['median'])}, 95 % {_small(spread['q95'])} over rows"
    return f"{words}; chains spread by {_small(spread['mean'])} nats on average ({told})"


def _certified(found: Certificate) -> list[str]:
    """The number first, then what it is of."""
    bounds, numbers = found.bounds, found.bounds.to_dict()
    ends = [format_nats(end.mean, end.stderr) for end in bounds]
    about = f"{plural(numbers['simulated_rows'], 'row')} simulated from the model; {found.weights} weights"
    error = "" if bounds.gap_stderr is None else f" ± {_small(bounds.gap_stderr)}"
    return [
        f"gap {_small(bounds.gap)}{error} nats between the bounds (largest of a row {_small(numbers['gap_largest'])})",
        f"{ends[0]} <= log p(x) <= {ends[1]} nats per datum (stochastic bounds; ± over rows)",
        f"{about}; seed {found.seed}",
        _chains(bounds.lower),
        f"this certifies {numbers['certifies']}",
    ]


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


def _assessed(found: Assessment | ExactTightness) -> list[str]:
    numbers = found.to_dict()
    chain, split = numbers["annealed"], numbers["gaps"]
    lines = [f"verdict: {found.verdict}"]
    if chain is not None:
        lines += [_caveat(numbers), _annealed(chain)]
    if split is not None:
        lines.append(f"lost by the ELBO: {told(split)}. {split['advice']}")
    return lines


def _caveat(numbers: dict[str, Any]) -> str:
    """What the verdict does not say, with the sandwich where there is one."""
    pair = numbers["sandwich"]
    if pair is None:
        return f"but {numbers['caveat']}"
    error = "" if pair["gap_stderr"] is None else f" ± {_small(pair['gap_stderr'])}"
    rows = plural(pair["simulated_rows"], "simulated row")
    return f"but {numbers['caveat']} (open by {_small(pair['gap'])}{error} nats on {rows})"


def _annealed(chain: dict[str, Any]) -> str:
    """The bound that annealing of some rows makes of all."""
    sure = chain["stderr_mc_reliable"] is not False
    better = format_nats(chain["log_px"], chain["stderr_mc"] if sure else None)
    error = "± Monte Carlo and choice of these rows" if sure else "error unreliable"
    start = f"from the {chain['start']}{', corrected' if chain['corrected'] else ''}"
    about = f"{plural(chain['rows'], 'row')} ({start}; {chain['temperatures']} temperatures; {error})"
    return f"log p(x) >= {better} by annealing {about}"


def _small(x: float | None) -> str:
    return "-" if x is None else f"{x:.2g}"
