"""`jensen doctor`: what is wrong with a run, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.wording import plural
from ..analysis.doctor import Diagnosis, Finding
from ..evaluate.estimate import format_nats
from ..runs.run import load
from .flags import Device, Json, Quiet, Run, Seed
from .output import notifier, print_json, print_lines
from .progress import Line

__all__ = ["doctor"]

FINDINGS = 6  # the exit code


def doctor(
    run: Run,
    /,
    *,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """What is wrong with a run, why, and what to do.

    The exit code is 6 if there is a problem; notes do not count.
    """
    opened = load(run, device=device)
    with Line(quiet) as line:
        found = opened.doctor(seed=seed, watch=lambda done: line.fraction("examining", done))
    tell = notifier(quiet)
    for note in found.notes:
        tell(note)
    if json:
        print_json({"run": str(opened.path), "weights": opened.weights, "seed": seed, **found.to_dict()})
    else:
        told = [text for finding in found.findings for text in _told(finding)]
        about = f"{opened.weights} weights; seed {seed}"
        print_lines([_verdict(found), *told, *_numbers(found.measures), about, f"next: jensen report {run}"])
    return 0 if found.healthy else FINDINGS


def _verdict(found: Diagnosis) -> str:
    problems, notes = len(found.problems), len(found.findings) - len(found.problems)
    others = f", {plural(notes, 'note')}" if notes else ""
    return f"{plural(problems, 'problem') if problems else 'nothing alarming'}{others}"


def _told(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity}: {finding.name}: {finding.what}"
    yield f"  why: {finding.cause}"
    yield f"  try: {finding.remedy}"


def _numbers(m: dict[str, Any]) -> Iterator[str]:
    """The key measures, those that there are."""
    if "gap" in m:
        train, test = (format_nats(m[k], m["gap_stderr"]).split(" ")[0] for k in ("score_train", "score_test"))
        gap = format_nats(m["gap"], m["gap_stderr"])
        yield f"{m['score']} is {train} nats per training row, {test} per other row: a gap of {gap}"
    if "rate" in m:
        active = f"; {m['active_features']} of {m['features']} features active" if "features" in m else ""
        yield f"rate {m['rate']:.2f}, of which I(x; z) is at least {m['mutual_information']:.2f}{active}"
    if "codebook_perplexity" in m:
        yield f"perplexity of the codes {m['codebook_perplexity']:.1f} of {m['codes']}; {m['codes_used']} of them occur"
    if "marginal_kl_at_least" in m:
        yield f"KL(q(z) || p(z)) between {m['marginal_kl_at_least']:.2f} and {m['marginal_kl_at_most']:.2f} nats"
    if "sample_distance_ratio" in m:
        ratio = m["sample_distance_ratio"]
        yield f"samples lie {ratio:.2f} times as far from the training rows as unseen rows do"
