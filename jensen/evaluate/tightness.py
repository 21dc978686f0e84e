"""The policy behind a plain evaluation: a bound on every row, then how much it lost, measured on some of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import JensenError, NotNormalised, NotReparameterizable, UsageError
from ..core.random import stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .annealed import PILOT_PASSES, PILOT_ROWS, Annealed, sample
from .estimate import Estimate, Kind, ProgressCallback
from .gaps import POINTS, Bounds, Gaps, lower_bounds
from .hamiltonian import Ends, move
from .sandwich import CERTIFIES, Sandwich, Sandwiched
from .strata import stratified, stratified_stderr

__all__ = ["Assessment", "TightnessSettings", "assess", "assess_within", "plan", "refusal"]

MOST_ROWS, LEAST_ROWS = 100, 16
LADDER = (25, 50, 100, 200)  # temperatures to begin with
MOST_TEMPERATURES = 3200
STILL = 0.05  # nats: less than this by the last doubling is no reason for another
SIMULATED, REFINE = 32, 300
SEEN = "as far as annealing sees"


@dataclass(frozen=True)
class TightnessSettings:
    """The settings of an assessment; chosen once, by time and by what came out, recorded, and enough to repeat it.

    Attributes:
        rows: how many rows are annealed.
        temperatures, leapfrog_steps, chains: of the annealing; a second one with half the temperatures shows its
            convergence.
        simulated: rows of the sandwich.
        refine: steps per datum of the gaps, where the guide's family can be refined; 0 leaves the gaps out.
    """

    rows: int
    temperatures: int
    leapfrog_steps: int = 10
    chains: int = 16
    simulated: int = SIMULATED
    refine: int = REFINE


@dataclass(frozen=True)
class Assessment:
    """The tightness of the importance-weighted bound.

    Attributes:
        settings: what was done.
        index: [M] the rows that were annealed, [M] `share` the weight of each in the mean over all rows.
        annealed: on those rows; `coarse`: with half the temperatures.
        correction, correction_stderr: what annealing adds to the mean over all rows, and its standard error (rows drawn
            within strata, and Monte Carlo).
        unfinished, unfinished_stderr: what doubling the temperatures still added, and its standard error, of pairs.
        sandwich: lower and upper mean on simulated data.
        gaps: on the annealed rows.
    """

    settings: TightnessSettings
    index: Tensor
    share: Tensor
    importance: Estimate
    annealed: Estimate
    coarse: Estimate
    correction: float
    correction_stderr: float
    unfinished: float
    unfinished_stderr: float
    sandwich: Sandwiched | None
    gaps: Gaps | None
    seconds: float

    def shifted(self, nats: float) -> Assessment:
        """Return the same in other units: a log-Jacobian added to every log-density."""
        return replace(
            self,
            importance=self.importance.shifted(nats),
            annealed=self.annealed.shifted(nats),
            coarse=self.coarse.shifted(nats),
            sandwich=None if self.sandwich is None else self.sandwich.shifted(nats),
            gaps=None if self.gaps is None else self.gaps.shifted(nats),
        )

    @property
    def loss(self) -> float:
        """Nats that the importance-weighted bound seems to lie below log p(x), with two standard errors of each part.

        It is what annealing added and seems still to add; no upper limit, since nothing bounds these rows from above.
        """
        ahead = abs(self.unfinished) + 2 * self.unfinished_stderr
        pair = self.sandwich
        if pair is not None:
            ahead = max(ahead, max(pair.gap, 0.0) + 2 * (pair.gap_stderr or 0.0))
        return abs(self.correction) + 2 * self.correction_stderr + ahead

    @property
    def converged(self) -> bool:
        """True if doubling the temperatures changed nothing that matters, annealing is not the worse bound of the two,
        its chains are even enough to tell their error, and little is open on simulated data."""
        gap = self.sandwich_gap
        if self.annealed.reliable is False:
            return False
        still = abs(self.unfinished) <= 0.1 and self.correction >= -max(0.1, 2 * self.correction_stderr)
        return still and (gap is None or gap <= 1.0)

    @property
    def sandwich_gap(self) -> float | None:
        """Upper minus lower mean on the model's own data."""
        return None if self.sandwich is None else self.sandwich.gap

    @property
    def verdict(self) -> str:
        """A sentence: how tight, or what to do."""
        if not self.converged:
            return f"not converged: {self._unsettled}; raise --budget"
        if self.loss < 0.5:
            return f"tight to about {self.loss:.2g} nats, {SEEN}"
        remedy = "report the annealed bound" if self.correction > self.loss / 2 else "raise --budget"
        return f"loose by about {self.loss:.1f} nats, {SEEN}: {remedy}"

    @property
    def _unsettled(self) -> str:
        """The first reason why it has not converged."""
        gap, estimate = self.sandwich_gap, self.annealed
        if gap is not None and gap > 1.0:
            return f"on simulated data annealing leaves {gap:.2g} nats open"
        if abs(self.unfinished) > 0.1:
            return f"annealing still moved by {self.unfinished:.2g} nats"
        if estimate.reliable is False:
            return f"an effective {estimate.ess_median:.1f} of {estimate.k} chains leave annealing's error unreliable"
        return f"annealing ends {-self.correction:.2g} nats below importance"

    @property
    def caveat(self) -> str:
        """A caveat: what the verdict does not cover."""
        above = "nothing bounds log p(x) of these rows from above"
        return above if self.sandwich is None else f"{above}: the sandwich certifies {CERTIFIES}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        best = None if self.importance.mean is None else self.importance.mean + self.correction
        start = {name: self.annealed.settings.get(name) for name in ("start", "corrected")}
        return {
            "verdict": self.verdict,
            "caveat": self.caveat,
            "converged": self.converged,
            "loss": self.loss,
            "annealed": {
                "log_px": best,
                "kind": str(Kind.STOCHASTIC_LOWER),
                "correction": self.correction,
                "correction_stderr": self.correction_stderr,
                # the importance-weighted values are given numbers: their noise cancels in what is added to them
                "stderr_mc": self.correction_stderr,
                "stderr_mc_reliable": self.annealed.reliable,
                "unfinished": self.unfinished,
                "unfinished_stderr": self.unfinished_stderr,
                **start,
                "rows": len(self.index),
                "temperatures": self.settings.temperatures,
                "leapfrog_steps": self.settings.leapfrog_steps,
                "chains": self.settings.chains,
                "acceptance": self.annealed.acceptance,
                "spread": None if self.annealed.spread is None else float(self.annealed.spread.mean()),
                "ess": self.annealed.ess_median,
            },
            "sandwich": None if self.sandwich is None else self.sandwich.to_dict(),
            "gaps": None if self.gaps is None else self.gaps.to_dict(),
            "seconds": self.seconds,
        }


def plan(
    model: LatentVariableModel, guide: Guide, data: Rows, seconds: float, seed: int = 0
) -> TightnessSettings | None:
    """Choose rows and temperatures for a budget of time by timing a few moves; None where it buys no honest answer."""
    trial = Annealed(temperatures=4, start=_start(guide))
    rows = min(MOST_ROWS, len(data))
    few = data.subset(torch.arange(min(rows, 64), device=data.device))
    noise = stream(seed, "plan", data.device)
    batch = next(few.batches(len(few), noise))
    ends, first, scale = trial.ends(model, guide, batch)
    z = sample(first, trial.chains, noise)
    most, least = (_seconds(ends, points, 0.1 * scale, noise) for points in (z, z[:1]))
    point = max(most - least, 0.0) / (len(few) * (trial.chains - 1))
    call = max(least - point * len(few), 0.0)  # what a leap costs however few its points

    def cost(temperatures: int, n: int) -> float:
        # both annealings (T and T/2), the sandwich's two directions, and the pilots of all three; then the gaps
        calls, points = 1.5 + 2 + 2.5 * PILOT_PASSES, 1.5 * n + 2 * SIMULATED + 2.5 * PILOT_PASSES * PILOT_ROWS / 4
        moves = temperatures * (trial.leapfrog_steps + 1) * (calls * call + points * trial.chains * point)
        return moves + REFINE * call + n * (8 * REFINE + 2 * POINTS) * point

    for n in (rows, max(rows // 2, LEAST_ROWS), LEAST_ROWS):
        fitting = [t for t in LADDER if cost(t, n) <= 0.8 * seconds]
        if fitting and (fitting[-1] >= 100 or n == LEAST_ROWS):
            return TightnessSettings(min(n, len(data)), fitting[-1])
    return None


def refusal(model: LatentVariableModel, guide: Guide) -> str | None:
    """Return the reason why this model and guide cannot be annealed, whatever the budget; None where they can."""
    try:
        Annealed(start=_start(guide)).check(model, guide)
    except (NotNormalised, NotReparameterizable) as error:
        return error.what
    return None


def _seconds(ends: Ends, z: Tensor, size: Tensor, noise: torch.Generator) -> float:
    """Return the seconds of one leapfrog step at these points, the median of five moves of four steps (and an end
    each)."""
    state, durations = ends.at(z), []
    for _ in range(5):
        started = time.monotonic()
        move(ends, state, 0.5, size, 4, noise)
        durations.append((time.monotonic() - started) / 5)
    return sorted(durations)[2]


def _start(guide: Guide) -> Literal["guide", "prior"]:
    """Chains start from the guide, unless its density is known at its own samples only."""
    return "guide" if guide.scores_any_point else "prior"


class _Bench:
    """The measurements of an assessment on the same rows; what does not depend on the temperatures is made once."""

    def __init__(
        self,
        model: LatentVariableModel,
        guide: Guide,
        data: Rows,
        importance: Estimate,
        settings: TightnessSettings,
        seed: int,
        watch: ProgressCallback | None,
    ) -> None:
        if importance.nats is None or importance.ess is None:
            raise JensenError("there is no importance-weighted bound to assess", "Use --method importance first.")
        self.model, self.guide, self.importance, self.bound = model, guide, importance, importance.nats.double()
        self.settings, self.seed, self.watch = settings, seed, watch
        self.index, self.share = stratified(-importance.ess, settings.rows, seed)
        self.n, self.device = len(data), data.device
        self.rows = data.subset(self.index.to(data.device))
        self.made: dict[int, Estimate] = {}

    def chain(self, temperatures: int) -> Annealed:
        return Annealed(temperatures, self.settings.leapfrog_steps, self.settings.chains, _start(self.guide))

    def annealed(self, temperatures: int) -> Estimate:
        """Anneal the rows; the run with T temperatures is the coarse one beside that with 2 T."""
        if temperatures not in self.made:
            run = self.chain(temperatures)
            self.made[temperatures] = run(self.model, self.guide, self.rows, self.seed, self.watch)
        return self.made[temperatures]

    def unfinished(self, temperatures: int) -> tuple[float, float]:
        """Return the gain in the mean of all rows by the last doubling of temperatures, and its standard error."""
        fine, coarse = (self.annealed(t) for t in (temperatures, temperatures // 2))
        if fine.variance_mc is None or coarse.variance_mc is None:
            raise UsageError("a single chain tells nothing of its error", "Anneal at least 2 chains.")
        added = torch.as_tensor(fine.nats) - torch.as_tensor(coarse.nats)
        error = stratified_stderr(added, self.share, fine.variance_mc + coarse.variance_mc, self.n)
        return float((self.share * added).sum()), error

    @cached_property
    def bounds(self) -> Bounds | None:
        """The two ELBOs of the gaps."""
        if not self.settings.refine:
            return None
        return lower_bounds(self.model, self.guide, self.rows, self.seed, self.settings.refine)

    def assessment(self, temperatures: int, started: float) -> Assessment:
        """Everything, with these temperatures."""
        fine, coarse, sandwich = self.annealed(temperatures), self.annealed(temperatures // 2), None
        added, error = self.unfinished(temperatures)
        gain = torch.as_tensor(fine.nats) - self.bound[self.index]
        if self.settings.simulated:
            pair = Sandwich(self.chain(temperatures), self.settings.simulated)
            sandwich = pair(self.model, self.guide, self.seed, self.device)
        assessment = Assessment(
            replace(self.settings, temperatures=temperatures),
            self.index,
            self.share,
            self.importance,
            fine,
            coarse,
            correction=float((self.share * gain).sum()),
            # the importance-weighted values of these rows are given numbers: only the annealed ones are uncertain
            correction_stderr=stratified_stderr(gain, self.share, torch.as_tensor(fine.variance_mc), self.n),
            unfinished=added,
            unfinished_stderr=error,
            sandwich=sandwich,
            gaps=None if self.bounds is None else Gaps(fine, self.bounds),
            seconds=time.monotonic() - started,
        )
        split = assessment.gaps
        return assessment if split is None else replace(assessment, gaps=replace(split, converged=assessment.converged))


def assess(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    importance: Estimate,
    settings: TightnessSettings,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Assessment:
    """Anneal a stratified subsample, and weigh what it adds back to the whole.

    The correction is a difference on the same rows, so that its error is that of the difference.

    Raises:
        UsageError: fewer than 2 temperatures or chains, which tell nothing of convergence or error.
        JensenError: there is no importance-weighted bound.
    """
    if settings.temperatures < 2:
        raise UsageError("a single temperature cannot be halved, to see what it misses", "Give at least 2.")
    started = time.monotonic()
    bench = _Bench(model, guide, data, importance, settings, seed, watch)
    return bench.assessment(settings.temperatures, started)


def assess_within(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    importance: Estimate,
    seconds: float,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Assessment | None:
    """Assess with up to 200 temperatures, and double them until the answer holds still or the time is used up.

    None where the budget buys no honest answer, or the model has nothing to anneal (see `refusal`). `assess` with the
    settings of the result gives the same numbers. But settings are chosen by what came out as well as by time: doubling
    stops when `unfinished` is small, so that it is selected to be small. A run is the coarse one of the next, and the
    sandwich is made when the rows hold still or nothing more can be afforded.
    """
    settings = None if refusal(model, guide) else plan(model, guide, data, seconds, seed)
    if settings is None:
        return None
    began, temperatures = time.monotonic(), settings.temperatures
    bench = _Bench(model, guide, data, importance, settings, seed, watch)
    sides = 1 + 2 * settings.simulated / len(bench.index)  # annealing and sandwich, in units of the annealing
    while True:
        still = abs(bench.unfinished(temperatures)[0]) <= STILL
        ahead = 2.2 * sides * bench.annealed(temperatures).seconds
        if still or _last(temperatures, began, ahead, seconds):
            assessment = bench.assessment(temperatures, began)
            if (still and assessment.converged) or _last(temperatures, began, ahead, seconds):
                return assessment
        temperatures *= 2


def _last(temperatures: int, began: float, ahead: float, seconds: float) -> bool:
    """Return whether twice the temperatures, which take so long, are too many or would come too late."""
    return 2 * temperatures > MOST_TEMPERATURES or time.monotonic() - began + ahead > seconds
