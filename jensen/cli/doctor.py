"""`jensen doctor`: find the problems of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core.commands import command_line
from ..core.wording import fixed, format_nats
from .flags import NO_FLAGS, Run, RunFlags
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..analysis.doctor import Finding

__all__ = ["doctor"]

FINDINGS = 6  # exit code if there is a problem


def doctor(
    run: Run,
    /,
    *,
    flags: RunFlags = NO_FLAGS,
) -> int:
    """Find the problems of a run, with causes and remedies.

    The exit code is 6 if there is a problem; notes do not count.
    """
    opened = flags.opened(run)
    with ProgressLine(flags.quiet) as line:
        diagnosis = opened.doctor(seed=flags.seed, watch=line.task("examining"))
    notify = notifier(flags.quiet)
    for note in diagnosis.notes:
        notify(note)
    if flags.json:
        print_json({"run": str(opened.path), "weights": opened.weights, "seed": flags.seed, **diagnosis.to_dict()})
    else:
        findings = [line for finding in diagnosis.findings for line in _finding_lines(finding)]
        basis = f"{opened.weights} weights; seed {flags.seed}"
        measures = _measure_lines(diagnosis.measures)
        print_lines(
            [diagnosis.verdict, *findings, *measures, basis, f"next: {command_line('report', run, **flags.places)}"]
        )
    return 0 if diagnosis.healthy else FINDINGS


def _finding_lines(finding: Finding) -> Iterator[str]:
    """Yield the lines of a finding."""
    yield f"{finding.severity}: {finding.name}: {finding.what}"
    yield f"  why: {finding.cause}"
    yield f"  try: {finding.remedy}"


def _measure_lines(m: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the main measures, as far as they exist."""
    if "gap" in m:
        train, test = (format_nats(m[k], m["gap_stderr"]).split(" ")[0] for k in ("score_train", "score_test"))
        gap = format_nats(m["gap"], m["gap_stderr"])
        yield f"{m['score']} is {train} nats per training row, {test} per other row: a gap of {gap}"
    if "rate" in m:
        active = f"; {m['active_features']} of {m['features']} features active" if "features" in m else ""
        yield f"rate {fixed(m['rate'], 2)}, of which I(x; z) is at least {fixed(m['mutual_information'], 2)}{active}"
    if "codebook_perplexity" in m:
        yield f"codebook perplexity {m['codebook_perplexity']:.1f} of {m['codes']}; {m['codes_used']} codes are used"
    if "marginal_kl_at_least" in m:
        least, most = (fixed(m[f"marginal_kl_at_{end}"], 2) for end in ("least", "most"))
        yield f"KL(q(z) || p(z)) between {least} and {most} nats"
    if "sample_distance_ratio" in m:
        ratio = m["sample_distance_ratio"]
        yield f"samples lie {ratio:.2f} times as far from the training rows as unseen rows do"
