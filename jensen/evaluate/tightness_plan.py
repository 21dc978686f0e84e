"""The settings of an assessment of tightness, and their choice for a budget of time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import NotNormalised, NotReparameterizable
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .annealed import PILOT_CHAINS, PILOT_PASSES, PILOT_ROWS, Annealed, independent_samples
from .gaps import POINTS
from .hamiltonian import Ends, move

__all__ = ["MOST_ROWS", "REFINE", "TightnessSettings", "plan", "refusal", "start_of"]

MOST_ROWS, LEAST_ROWS = 100, 16
LADDER = (25, 50, 100, 200)  # temperatures to begin with
SIMULATED, REFINE = 32, 300
PRIOR_CHAINS = 4  # a quarter of the others


@dataclass(frozen=True)
class TightnessSettings:
    """The settings of an assessment of tightness; recorded, so that the assessment can be repeated.

    Attributes:
        rows: how many rows are annealed.
        temperatures, leapfrog_steps, chains: of the annealing, which is repeated with half the temperatures to measure
            convergence.
        simulated: rows of the sandwich.
        refine: steps per datum of the gaps, where the guide's family can be refined; 0 leaves the gaps out.
        prior_chains: more chains per row, from a second start that has modes found by chains from the prior, where the
            others start from the guide; 0 for none, and at least 2 otherwise, for their error.
    """

    rows: int
    temperatures: int
    leapfrog_steps: int = 10
    chains: int = 16
    simulated: int = SIMULATED
    refine: int = REFINE
    prior_chains: int = PRIOR_CHAINS


def plan(
    model: LatentVariableModel, guide: Guide, data: Rows, seconds: float, seed: int = 0
) -> TightnessSettings | None:
    """Choose rows and temperatures for a budget of time by timing a few moves; None where the budget is too small."""
    trial = Annealed(temperatures=4, start=start_of(guide))
    rows = min(MOST_ROWS, len(data))
    few = data.subset(torch.arange(min(rows, 64), device=data.device))
    noise = stream(seed, "plan", data.device)
    batch = next(few.batches(len(few), noise))
    ends, first, scale = trial.ends(model, guide, batch)
    z = independent_samples(first, trial.chains, noise)
    most, least = (_seconds(ends, points, 0.1 * scale, noise) for points in (z, z[:1]))
    point = max(most - least, 0.0) / (len(few) * (trial.chains - 1))
    call = max(least - point * len(few), 0.0)  # seconds of a leapfrog step apart from those of its points

    def cost(temperatures: int, n: int) -> float:
        # both annealings (T and T/2), the sandwich's two directions, and the pilots of all three; then the gaps
        calls, pilots = 1.5 + 2 + 2.5 * PILOT_PASSES, PILOT_PASSES * PILOT_ROWS * PILOT_CHAINS / trial.chains
        points = 1.5 * n * (1 + PRIOR_CHAINS / trial.chains) + 2 * SIMULATED + (1.5 * 2 + 1) * pilots
        moves = temperatures * (trial.leapfrog_steps + 1) * (calls * call + points * trial.chains * point)
        return moves + REFINE * call + n * (8 * REFINE + 2 * POINTS) * point

    # a fifth is left over, for the scouts of the second start among others
    for n in (rows, max(rows // 2, LEAST_ROWS), LEAST_ROWS):
        fitting = [t for t in LADDER if cost(t, n) <= 0.8 * seconds]
        if fitting and (fitting[-1] >= 100 or n == LEAST_ROWS):
            return TightnessSettings(min(n, len(data)), fitting[-1])
    return None


def refusal(model: LatentVariableModel, guide: Guide) -> str | None:
    """Return the reason why this model and guide cannot be annealed, whatever the budget; None where they can."""
    try:
        Annealed(start=start_of(guide)).check(model, guide)
    except (NotNormalised, NotReparameterizable) as error:
        return error.what
    return None


def _seconds(ends: Ends, z: Tensor, size: Tensor, noise: torch.Generator) -> float:
    """Return the seconds of one leapfrog step at these points: the median of five moves of four steps (and an end)."""
    state, durations = ends.at(z), []
    for _ in range(5):
        started = time.monotonic()
        move(ends, state, 0.5, size, 4, noise)
        durations.append((time.monotonic() - started) / 5)
    return sorted(durations)[2]


def start_of(guide: Guide) -> Literal["guide", "prior"]:
    """Return where chains start: from the guide, unless its density is known at its own samples only."""
    return "guide" if guide.scores_any_point else "prior"
