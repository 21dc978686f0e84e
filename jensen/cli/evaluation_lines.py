"""The lines that `jensen evaluate` prints: the number first, then its errors and how tight it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.commands import command_line
from ..core.wording import fixed, format_nats, plural

if TYPE_CHECKING:
    from ..analysis.reliability import Trained
    from ..evaluate import Estimate, Tightness
    from ..evaluate.quantity import Quantity
    from ..runs.run import Evaluation
    from ..runs.sandwich import Certificate

__all__ = ["certificate_lines", "evaluation_lines", "tightness_lines"]


def evaluation_lines(evaluation: Evaluation, places: dict[str, str | None] | None = None) -> list[str]:
    """Return the lines of an evaluation: the number, its errors, how tight it is, and the next command."""
    from ..runs.classify import Classified

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
    if "solver_error" in estimate.settings:
        lines += _solver(estimate.settings)
    if numbers["elbo"] is not None:
        elbo = format_nats(numbers["elbo"], numbers["stderr"]).split(" ")[0]
        parts = f"ELBO {elbo}: rate {fixed(numbers['rate'], 2)}, distortion {fixed(numbers['distortion'], 2)}"
        lines.append(f"{parts}{_objective(evaluation)}")
    elif numbers["distortion"] is not None:
        lines.append(f"distortion {fixed(numbers['distortion'], 2)} nats per datum")
    if evaluation.bits_sentence is not None:
        lines.append(f"{evaluation.bits_sentence}{' (± over data)' if estimate.stderr else ''}")
    lines += _by_levels(evaluation)
    if evaluation.assessment is not None:
        lines += tightness_lines(evaluation.assessment, evaluation.quantity)
    if evaluation.halves is not None:
        gap = evaluation.halves
        lines.append(f"{gap.sentence} (± over rows)" if gap.stderr else gap.sentence)
    if evaluation.classified is not None:
        counts = evaluation.classified
        lines.append(str(Classified(counts["accuracy"], counts["n"], counts["labels_in_training"])))
    lines += _outlook(evaluation.to_dict(), evaluation.trained)
    return [*lines, f"next: {command_line('report', evaluation.run, **(places or {}))}"]


def _objective(evaluation: Evaluation) -> str:
    """Return which bound was maximised, where the ELBO is not it and may be far below."""
    trained = evaluation.trained
    if trained is None or trained.points == 1:
        return ""
    return f" (parts of the ELBO; trained by the importance-weighted bound with K = {trained.points})"


def _outlook(record: dict[str, Any], trained: Trained | None) -> list[str]:
    """Return the verdict on the number by all that is known about it, and remedies; nothing where nothing was found.

    What the verdict on tightness and the line on training rows say is not said again.
    """
    from ..analysis.findings import overall_verdict
    from ..analysis.reliability import evaluation_findings

    findings = evaluation_findings(record, trained)
    if not findings:
        return []
    names = [[f.title for f in findings if f.severity == severity] for severity in ("problem", "note")]
    shown = {"unknown-tightness", "over-fitting"} | ({"loose-bound"} if record["assessment"] else set())
    return [
        overall_verdict(*names),
        *(f"{f.severity}: {f.what}: {f.cause}. {f.remedy}" for f in findings if f.name not in shown),
    ]


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


def _solver(settings: dict[str, Any]) -> list[str]:
    """Return which density a flow's number is of, and how exactly the flow was followed."""
    points = plural(settings["points"], "point")
    trace = "" if settings["trace"] == "exact" else ", divergence estimated by a random probe for each point"
    error = f"error {_small(settings['solver_error'])} nats at most"
    return [
        f"of the probability flow, another density than the chain's; {points} per datum{trace}",
        f"solver: tolerance {settings['tolerance']:g}, {settings['evaluations']} evaluations of the network; {error},"
        f" of {plural(settings['checked'], 'row')} against a tenth of the tolerance",
    ]


def _by_levels(evaluation: Evaluation) -> list[str]:
    """Return the table of the bounds of chains of T levels, by the same network."""
    bounds = evaluation.estimate.by_levels
    if not bounds:
        return []
    is_bits = evaluation.bits_per_dim is not None
    heads = ["levels", "log p(x) >=", "± over data", "± Monte Carlo"] + (["bits per dimension <="] if is_bits else [])
    rows = [heads]
    for levels, mean, error, mc in bounds:
        shown, _, plus = format_nats(mean, error).partition(" ± ")
        bits = [fixed(-mean / evaluation.bits_scale, 3)] if is_bits else []
        rows.append([f"{levels:,}", shown, plus or "-", _small(mc), *bits])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in rows]


def certificate_lines(certificate: Certificate) -> list[str]:
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
        word = "unknown, of a single point" if estimate.k == 1 else "unreliable"
        parts = [f"standard error {_small(estimate.stderr)} over data; over Monte Carlo {word}"]
    if estimate.ess_median is not None:
        parts.append(f"median effective sample size {estimate.ess_median:.0f} of {estimate.k}")
    if estimate.error is not None:
        parts.append(f"quadrature error {_small(estimate.error)}")
    return "; ".join(parts)


def tightness_lines(tightness: Tightness, quantity: Quantity) -> list[str]:
    """Return how tight the number is, and what the ELBO loses."""
    from ..evaluate.gaps import describe_gaps

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
