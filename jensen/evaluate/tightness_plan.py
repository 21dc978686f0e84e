"""The settings of an assessment of tightness, and their choice for a budget of time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
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
from .missed_modes import SCOUT_TEMPERATURES, SCOUTS

__all__ = [
    "LEAST_ROWS",
    "MOST_ROWS",
    "REFINE",
    "Costs",
    "TightnessSettings",
    "costs",
    "least_seconds",
    "plan",
    "refusal",
    "start_of",
]

MOST_ROWS, LEAST_ROWS = 100, 16
LADDER = (25, 50, 100, 200)  # temperatures to begin with
SIMULATED, REFINE = 32, 300
CHAINS, LEAPFROG_STEPS = 16, 10
PRIOR_CHAINS = 4  # a quarter of the others
TIMED_ROWS = (4, 16, 64)
SLOW = 0.05  # seconds of a step
USED = 0.85  # of a budget


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
    leapfrog_steps: int = LEAPFROG_STEPS
    chains: int = CHAINS
    simulated: int = SIMULATED
    refine: int = REFINE
    prior_chains: int = PRIOR_CHAINS


LESS = TightnessSettings(rows=16, temperatures=25, leapfrog_steps=5, chains=8, simulated=16, refine=100, prior_chains=2)
LITTLE = replace(LESS, rows=8, temperatures=16, simulated=8)
LEAST = replace(LITTLE, temperatures=8, prior_chains=0)


@dataclass(frozen=True)
class Costs:
    """Predicted times of the parts of an assessment with some settings, in seconds.

    Attributes:
        call: seconds of a leapfrog step apart from those of its points.
        point: seconds of each of its points.
    """

    call: float
    point: float

    def scaled(self, factor: float) -> Costs:
        """Return the costs on a machine that takes so many times as long."""
        return Costs(self.call * factor, self.point * factor)

    def annealing(self, settings: TightnessSettings) -> float:
        """Return the time of annealing from both starts, with its pilot."""
        chains, starts = settings.chains + settings.prior_chains, 2 if settings.prior_chains else 1
        pilot = starts * PILOT_CHAINS * min(settings.rows, PILOT_ROWS)
        return self._moves(settings, 1 + PILOT_PASSES, settings.rows * chains + PILOT_PASSES * pilot)

    def scouts(self, settings: TightnessSettings) -> float:
        """Return the time of the chains from the prior, which find modes for the second start."""
        if settings.prior_chains == 0:
            return 0.0
        return self._moves(replace(settings, temperatures=SCOUT_TEMPERATURES), 1, settings.rows * SCOUTS)

    def sandwich(self, settings: TightnessSettings) -> float:
        """Return the time of annealing simulated rows in both directions, with its pilot."""
        n, pilot = settings.simulated, PILOT_CHAINS * min(settings.simulated, PILOT_ROWS)
        return self._moves(settings, 2 + PILOT_PASSES, 2 * n * settings.chains + PILOT_PASSES * pilot)

    def gaps(self, settings: TightnessSettings) -> float:
        """Return the time of both ELBOs, and of the refinement between them."""
        return settings.refine * self.call + settings.rows * (8 * settings.refine + 2 * POINTS) * self.point

    def whole(self, settings: TightnessSettings) -> float:
        """Return the time of an assessment: the annealing with T and T / 2 temperatures, scouts, sandwich and gaps."""
        annealing = self.scouts(settings) + 1.5 * self.annealing(settings)
        return annealing + self.sandwich(settings) + self.gaps(settings)

    def _moves(self, settings: TightnessSettings, calls: int, points: int) -> float:
        return settings.temperatures * (settings.leapfrog_steps + 1) * (calls * self.call + points * self.point)


def costs(model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0) -> Costs:
    """Measure the costs by timing a few moves."""
    trial, noise = Annealed(temperatures=4, start=start_of(guide)), stream(seed, "plan", data.device)
    most = least = math.inf
    n = 1
    for n in sorted({min(rows, len(data), trial.rows(model)) for rows in TIMED_ROWS}):
        batch = next(data.subset(torch.arange(n, device=data.device)).batches(n, noise))
        ends, first, scale = trial.ends(model, guide, batch)
        z = independent_samples(first, CHAINS, noise)
        most, least = (_seconds(ends, points, 0.1 * scale, noise) for points in (z, z[:1]))
        if most > SLOW:  # more rows would take too long to be timed
            break
    point = max(most - least, 0.0) / (n * (CHAINS - 1))
    return Costs(max(least - point * n, 0.0), point)


def plan(cost: Costs, n: int, seconds: float) -> TightnessSettings | None:
    """Choose rows and temperatures to begin with for a budget of time; None where it is too small.

    Where a leapfrog step is slow, as with large images, there are fewer rows, chains and leapfrog steps.

    Args:
        cost: of the parts.
        n: rows of data.
        seconds: the budget, of which some is left over.
    """
    rows, budget = min(MOST_ROWS, n), USED * seconds
    for some in (rows, max(rows // 2, LEAST_ROWS), LEAST_ROWS):
        choices = [TightnessSettings(min(some, n), t) for t in LADDER]
        fitting = [s for s in choices if cost.whole(s) <= budget]
        if fitting and (fitting[-1].temperatures >= 100 or some == LEAST_ROWS):
            return fitting[-1]
    smaller = (replace(s, rows=min(s.rows, n)) for s in (LESS, LITTLE, LEAST))
    return next((s for s in smaller if cost.whole(s) <= budget), None)


def least_seconds(cost: Costs) -> float:
    """Return the smallest budget for which there is a `plan`."""
    return cost.whole(LEAST) / USED


def refusal(model: LatentVariableModel, guide: Guide) -> str | None:
    """Return the reason why this model and guide cannot be annealed, whatever the budget; None where they can."""
    try:
        Annealed(start=start_of(guide)).check(model, guide)
    except (NotNormalised, NotReparameterizable) as error:
        return error.what
    return None


def _seconds(ends: Ends, z: Tensor, size: Tensor, noise: torch.Generator) -> float:
    """Return the seconds of one leapfrog step at these points: the median of five moves of four steps (and an end), or
    of a single step after the first one where that is slow."""
    state, durations = ends.at(z), []
    for steps in (1, 1, 4, 4, 4, 4, 4):
        started = time.monotonic()
        move(ends, state, 0.5, size, steps, noise)
        durations.append((time.monotonic() - started) / (steps + 1))
        if len(durations) == 2 and durations[1] > SLOW / 5:
            return durations[1]
    return sorted(durations[2:])[2]


def start_of(guide: Guide) -> Literal["guide", "prior"]:
    """Return where chains start: from the guide, unless its density is known at its own samples only."""
    return "guide" if guide.scores_any_point else "prior"
