"""Findings about a recorded evaluation: how far its number can be trusted, and a remedy that can help."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.commands import command_line
from ..core.wording import fixed, plural
from ..evaluate.estimate import HEAVY, SHARE, Estimate, enough_points
from ..evaluate.psis import FEWEST
from .findings import Finding

__all__ = ["Trained", "evaluation_findings", "more_points_help", "points_remedy", "worse_than_uniform"]

FEW_ESS = 3.0  # below, a single point carries most of the weight, and ten times as many points leave it so
LOOSE = 0.5  # nats by which a bound may be too low before it is called loose
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Trained:
    """The training whose model was evaluated, as far as findings depend on it.

    Attributes:
        run: path of the run, for the commands of remedies.
        points: K of the importance-weighted bound that was maximised; 1 for any other objective.
        steps: of the optimiser, that were taken; None where they are not recorded.
        uniform: nats per datum of the uniform distribution over the known levels of all features; None where there are
            no levels.
    """

    run: str = "RUN"
    points: int = 1
    steps: int | None = None
    uniform: float | None = None


def more_points_help(k: int | None, ess: float | None, heavy: float | None) -> bool:
    """Return whether more importance points per datum would make the bound reliable.

    Not where a point or two carry all weight, nor where tails are too heavy: the weights that matter are those that a
    sample of any affordable size does not contain.

    Args:
        k: points per datum.
        ess: the median effective sample size of these.
        heavy: the share of rows beyond the k-hat limit; None where it was not measured.

    Source: Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance sampling", 2024.

    Example:
        >>> more_points_help(10, 5.0, 0.0), more_points_help(1000, 1.0, 0.0), more_points_help(1000, 8.0, 0.84)
        (True, False, False)
    """
    if k is None or ess is None or not math.isfinite(ess):
        return False
    return not _is_concentrated(k, ess) and (heavy is None or heavy <= HEAVY)


def _is_concentrated(k: int, ess: float) -> bool:
    """Return whether a point or two carry all weight; of few points, most of the points must be without any."""
    return not ess >= min(FEW_ESS, k / 2)


def points_remedy(estimates: Sequence[Estimate]) -> str:
    """Return what helps against heavy-tailed importance weights of some of these estimates: a larger K or annealing."""
    bad = [e.to_dict() for e in estimates if e.uneven]
    if all(more_points_help(e["k"], e["ess"], _heavy(e)) for e in bad):
        return "raise -k"
    return "more points do not help: --method annealed"


def evaluation_findings(record: Record | None, trained: Trained | None = None) -> tuple[Finding, ...]:
    """Return the findings about an evaluation, of which `Evaluation.to_dict` or evaluation.json is the record.

    A number without a bound has none; one whose looseness annealing has measured is judged by that.
    """
    if not record or record.get("log_px") is None:
        return ()
    checks = (_not_finite, _weights, _chains, _tightness, _noise, _rule, _overfitting)
    record = record if trained is None else {**record, "run": trained.run}
    findings = [finding for check in checks if (finding := check(record)) is not None]
    best = max(record["log_px"], ((record.get("assessment") or {}).get("annealed") or {}).get("log_px") or -math.inf)
    findings += worse_than_uniform(best, trained, "lower bound" in record["kind"])
    return tuple(sorted(findings, key=lambda f: f.severity != "problem"))


def worse_than_uniform(score: float, trained: Trained | None, is_bound: bool = True) -> tuple[Finding, ...]:
    """Return a finding where the model gives data of known levels less than the uniform distribution does.

    Args:
        score: nats per datum, in the data's own units.
        trained: with the score of the uniform distribution.
        is_bound: whether the score is a lower bound, so that the model may be better than it says.

    Example:
        >>> [f.what for f in worse_than_uniform(-9.0, Trained(steps=5, uniform=-8.0), False)]
        ['the model is worse than the uniform distribution: -9.00 nats per datum against -8.00']
    """
    uniform = None if trained is None else trained.uniform
    if trained is None or uniform is None or not math.isfinite(score) or score >= uniform:
        return ()
    by = "by this bound, " if is_bound else ""
    scores = f"{fixed(score, 2)} nats per datum against {fixed(uniform, 2)}"
    taken = "" if trained.steps is None else f" ({plural(trained.steps, 'step')} taken)"
    return (
        Finding(
            "worse-than-uniform",
            "problem",
            f"{by}the model is worse than the uniform distribution: {scores}",
            "it has hardly learned from the data, or not from such data",
            f"Train longer{taken}: more --epochs, or a smaller --batch.",
        ),
    )


def _not_finite(e: Record) -> Finding | None:
    if math.isfinite(e["log_px"]):
        return None
    return Finding(
        "number-not-finite",
        "problem",
        f"the estimate is {e['log_px']}",
        "a row lies where the model has no density",
        "Look for odd rows in the data: jensen data FILE.",
    )


def _heavy(e: Record) -> float | None:
    """Return the share of rows beyond the k-hat limit; None where it means nothing.

    That is of few points, whose limit is near 0, and of weights so even that their tails do not matter.
    """
    k = e.get("k") or 0
    if k < FEWEST or (e.get("stderr_mc_reliable") and (e.get("ess") or 0) >= SHARE * k):
        return None
    return (e.get("k_hat") or {}).get("share_above")


def _more_points(e: Record) -> str:
    """Return the remedy against too few effective points."""
    k = e.get("k")
    if k is not None and more_points_help(k, e.get("ess"), _heavy(e)):
        return f"Use a larger K: {command_line('evaluate', e.get('run') or 'RUN')} -k {10 * k}."
    return f"More points do not help here: {_annealing(e)}."


def _annealing(e: Record) -> str:
    """Return how annealing can measure the looseness: with more time, where it was left out for lack of it."""
    run, replay = e.get("run") or "RUN", e.get("replay") or {}
    guide = "train with a richer guide"
    if replay.get("method") != "auto" or replay.get("k") is not None:
        return f"measure it by annealing ({command_line('evaluate', run)}), or {guide}"
    left_out = (re.search(r"--budget (\S+) has room", note) for note in e.get("notes") or ())
    budget = next((match[1] for match in left_out if match), None)
    if budget is None:
        return guide
    command = f"{command_line('evaluate', run)} --budget {budget}"
    return f"measure it by annealing, which takes more time ({command}), or {guide}"


def _weights(e: Record) -> Finding | None:
    """Return a finding on importance weights that a few points carry.

    A note where annealing finds the bound tight, where more points are all that is needed, and where it is of some rows
    among many with even weights.
    """
    k, ess, heavy, assessed = e.get("k"), e.get("ess"), _heavy(e), e.get("assessment")
    is_annealed = (e.get("settings") or {}).get("temperatures") is not None
    if e["kind"] != "stochastic lower bound" or k is None or ess is None or is_annealed:
        return None
    is_heavy, few = heavy is not None and heavy > HEAVY, not ess >= enough_points(k)
    if not (is_heavy or few) or (assessed and not is_heavy):
        return None
    share = f"{100 * heavy:.0f} % of rows are beyond the k-hat limit" if heavy is not None and is_heavy else ""
    size = f"the effective sample size is {ess:.1f} (median) of K = {plural(k, 'point')} per datum" if few else ""
    cause = "few points carry the weight: q(z|x) misses part of the posterior, so the bound may be loose"
    if assessed:
        what = f"{share}, so the Monte Carlo error of the weighted bound is unreliable"
        return Finding("heavy-tailed-weights", "note", what, cause, "Go by the annealed bound and the verdict on it.")
    what = " and ".join(s for s in (size, share) if s)
    if not (_is_concentrated(k, ess) or (is_heavy and ess < SHARE * k)):
        cause = "few points carry the weight of some data, so the bound may be loose"
        return Finding("loose-bound", "note", what, cause, _more_points(e))
    return Finding("loose-bound", "problem", what, f"{cause} by an unknown amount", _more_points(e))


def _chains(e: Record) -> Finding | None:
    """Return a finding on annealed chains of which few carry the weight."""
    settings, ess, k = e.get("settings") or {}, e.get("ess"), e.get("k")
    if not settings.get("temperatures") or e.get("stderr_mc_reliable") is not False or ess is None or k is None:
        return None
    what = f"annealing has an unreliable error: an effective {ess:.1f} of {plural(k, 'chain')} per datum"
    cause = "the chains do not reach the posterior in so few temperatures"
    return Finding("loose-bound", "problem", what, cause, f"Use --temperatures {4 * settings['temperatures']}.")


def _tightness(e: Record) -> Finding | None:
    """Return a finding on the tightness as annealing measured it."""
    assessed = e.get("assessment")
    if not assessed:
        return None
    if assessed.get("converged") is False:
        remedy = "Raise --budget, or train with a richer guide."
        return Finding("unknown-tightness", "problem", assessed["verdict"], "annealing has not converged", remedy)
    loss = assessed.get("loss")
    if e["kind"] != "stochastic lower bound" or loss is None or loss < LOOSE:
        return None
    cause = "q(z|x) is too far from the posterior for importance weighting"
    what, _, advice = assessed["verdict"].rpartition(": ")  # the remedy that the evaluation prints
    richer = "" if "richer guide" in advice else ", or train with a richer guide"
    return Finding("loose-bound", "note", what, cause, f"{advice[:1].upper()}{advice[1:]}{richer}.")


def _noise(e: Record) -> Finding | None:
    """Return a finding on a Monte Carlo error above that over data."""
    error, mc = e.get("stderr"), e.get("stderr_mc")
    if not error or not mc or mc <= error:
        return None
    what = f"the Monte Carlo error ({mc:.2g}) exceeds that over data ({error:.2g})"
    chains = (e.get("settings") or {}).get("temperatures") is not None
    remedy = "Use more --chains." if chains else _more_points(e)
    return Finding("monte-carlo-error", "note", what, "too few points per datum", remedy)


def _rule(e: Record) -> Finding | None:
    """Return a finding on an inexact quadrature."""
    rule = e.get("quadrature_error")
    if rule is None or rule <= (e.get("stderr") or 0.01):
        return None
    return Finding(
        "inexact-quadrature",
        "problem",
        f"the quadrature has an error of {rule:.2g} nats",
        "the posterior of some rows is too narrow for the rule",
        "Use --method importance.",
    )


def _overfitting(e: Record) -> Finding | None:
    """Return a finding on training rows that score higher than these."""
    gap = e.get("train_test")
    if not gap or not gap.get("over_fitting"):
        return None
    return Finding(
        "over-fitting",
        "note",
        f"training rows score {fixed(gap['difference'], 1)} ± {fixed(gap['stderr'], 1)} nats higher than these",
        "the model describes its training rows more closely than the distribution that they come from",
        "Train a smaller model, or use more data.",
    )
