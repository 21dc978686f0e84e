"""Quadrature on fifty posteriors with known evidence, under three wrong guides each: docs/quadrature.md.

python -m benchmarks.quadrature_zoo
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.pictures import table, write
from benchmarks.quadrature_cases import LIMITS, ZOO, Case, at, prior
from jensen.core.batch import Rows
from jensen.evaluate import Estimate, Quadrature
from jensen.families import Gaussian
from jensen.guides import Shared
from jensen.models.guide import Guide

__all__ = ["GUIDES", "Outcome", "measure"]

GUIDES = ("over-sure", "biased", "wide")
ROUNDING = 1e-10  # nats, of the truths


@dataclass(frozen=True)
class Outcome:
    """An integral beside the truth, in nats."""

    name: str
    guide: str
    truth: float
    value: float
    stated: float
    converged: bool

    @property
    def actual(self) -> float:
        """The error of the value."""
        return abs(self.value - self.truth)

    @property
    def covered(self) -> bool:
        """True if the stated error is no less than the actual one, up to the rounding of the truth."""
        return self.actual <= self.stated + ROUNDING * (1 + abs(self.truth))


def guide(kind: str, latent: int) -> Guide:
    """A Gaussian guide that knows nothing of the posterior: too sure, biased or wide."""
    loc, scale = {"over-sure": (0.4, 0.02), "biased": (-3.0, 0.5), "wide": (0.0, 30.0)}[kind]
    raw = at(loc, scale)
    return Shared(prior(Gaussian(latent), *[raw[0]] * latent, *[raw[1]] * latent))


def measure(case: Case, kind: str) -> tuple[Outcome, Estimate]:
    """Integrate a posterior under a guide."""
    estimate = Quadrature()(case.model, guide(kind, case.latent), Rows(torch.zeros(1, 1, dtype=torch.float64)))
    value, stated = float(estimate.mean or 0.0), float(estimate.error or 0.0)
    return Outcome(case.name, kind, case.truth, value, stated, not estimate.settings["unsettled"]), estimate


def cells(outcome: Outcome, features: int) -> list[str]:
    """A row of the table."""
    covered = "yes" if outcome.covered else "**no**"
    state = covered if outcome.converged else f"{covered}, not converged"
    numbers = [f"{outcome.truth:.8f}", f"{outcome.value:.8f}", f"{outcome.stated:.1e}", f"{outcome.actual:.1e}"]
    return [outcome.name, str(features), outcome.guide, *numbers, state]


def outcomes_of(cases: Sequence[Case]) -> tuple[list[Outcome], list[int], list[list[str]]]:
    """Measure cases under every guide: outcomes, points and rows of the table."""
    outcomes, points, rows = [], [], []
    for case in cases:
        for kind in GUIDES:
            outcome, estimate = measure(case, kind)
            outcomes.append(outcome)
            points.append(int(estimate.settings["points"]))
            rows.append(cells(outcome, case.latent))
            print(*rows[-1], points[-1], sep=" | ", flush=True)
    return outcomes, points, rows


@torch.no_grad()
def main() -> None:
    """Write docs/quadrature.md."""
    start = time.process_time()
    outcomes, points, rows = outcomes_of(ZOO)
    seconds = time.process_time() - start
    _, _, missed = outcomes_of(LIMITS)
    heads = ["posterior", "features", "guide", "log p(x)", "value", "error stated", "actual error", "covered"]
    open_ones = sorted({o.name for o in outcomes if not o.converged})
    settled = [o for o in outcomes if o.converged]
    smooth = {case.name for case in ZOO if case.smooth}
    page = PAGE.format(
        n=len(ZOO),
        runs=len(outcomes),
        covered=sum(o.covered for o in outcomes),
        open=len(open_ones),
        names="".join(f"\n  - {name}" for name in open_ones),
        worst=f"{max(o.actual for o in settled):.1e}",
        worst_smooth=f"{max(o.actual for o in settled if o.name in smooth):.1e}",
        worst_open=f"{max(o.actual for o in outcomes):.1e}",
        median=f"{np.median(points):,.0f}",
        most=f"{max(points):,}",
        seconds=f"{seconds:.0f}",
        table=table(heads, rows),
        missed=table(heads, missed),
    )
    write("quadrature", page, "quadrature_zoo")


PAGE = """
# Quadrature and its stated error

With one or two latent features `jensen evaluate RUN` integrates log p(x) and states an error. This page measures
whether the error is as large as it should be: on {n} posteriors whose evidence is known in closed form or by scipy's
adaptive integration, each under three wrong guides. The over-sure one has its mean at 0.4 and a standard deviation of
0.02, the biased one -3 and 0.5, the wide one 0 and 30, in each feature.

    python -m benchmarks.quadrature_zoo

- **The stated error covers the actual one** in {covered} of {runs} cases.
- **{open} of {n} posteriors are not converged** under some guide: there the points end before the tolerance of 1e-6
  nats is reached, and the error stated is ten times the sum over cells. The record of an evaluation counts such rows as
  `settings.unsettled`, and an error above 0.1 nats turns the verdict into "not converged".
  The largest actual error of these is {worst_open} nats.{names}
- **The largest actual error of the converged ones** is {worst} nats, and {worst_smooth} where the integrand is smooth.
- **Points**: {median} in the median and {most} at most; {seconds} seconds of processor time for all.

How it works: modes are searched from a grid over the prior, samples of the prior, and the guide's points; the moments
of the main mode give coordinates in which the whole space, tails included, is integrated. If an equidistant rule and
Gauss-Legendre agree over all of it, that is the number. Otherwise cells are bisected until Gauss-Kronrod, Gauss and
Clenshaw-Curtis agree, and parabolas through the logarithm look for ridges between nodes.

{table}

## The limit

No rule sees a mode that no point falls upon, and beside which log p(x, z) does not rise towards it. These two are
narrower than the grid of the prior, and are missed; the stated error does not cover them.

{missed}

A narrow posterior of a network is no such case: its log-density falls off over a wide neighbourhood, and the search
follows it.
"""

if __name__ == "__main__":
    main()
