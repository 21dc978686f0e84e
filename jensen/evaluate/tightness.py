"""The tightness of the importance-weighted bound, measured by annealing on some of the rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import JensenError, UsageError
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .annealed import Annealed
from .estimate import Estimate, Kind, ProgressCallback
from .gaps import Bounds, Gaps, lower_bounds
from .missed_modes import SecondStart, TwoStarts, from_two_starts, pooled, scouts, second_share, second_start
from .sandwich import CERTIFIES, Sandwich, Sandwiched
from .strata import stratified, stratified_stderr
from .tightness_plan import TightnessSettings, plan, refusal, start_of

__all__ = ["Assessment", "Tightness", "assess", "assess_within"]

MOST_TEMPERATURES = 3200
MOVES = 0.1  # nats: a larger change by the last doubling means that annealing has not converged
STILL = 0.05  # nats: a smaller change by the last doubling is no reason for another
BASIS = "according to annealed importance sampling"


@runtime_checkable
class Tightness(Protocol):
    """The tightness of an estimate of log p(x): of a bound (`Assessment`), or of a number that is log p(x) itself
    (`ExactTightness`)."""

    @property
    def settings(self) -> TightnessSettings:
        """The settings that repeat the measurement."""
        ...

    @property
    def gaps(self) -> Gaps | None:
        """The gaps of the guide's ELBO; None where they were not measured."""
        ...

    @property
    def seconds(self) -> float:
        """The time taken."""
        ...

    @property
    def loss(self) -> float:
        """Nats per datum by which the estimate may differ from log p(x)."""
        ...

    @property
    def converged(self) -> bool:
        """True if more computation would not change the loss by much."""
        ...

    @property
    def verdict(self) -> str:
        """A sentence: the tightness, or a remedy."""
        ...

    def shifted(self, nats: float) -> Self:
        """Return the tightness in other units: a log-Jacobian added to every log-density."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        ...


@dataclass(frozen=True)
class Assessment:
    """The tightness of the importance-weighted bound.

    Attributes:
        settings: those of the measurement. index: [M] the rows that were annealed, [M] `share` the weight of each in
            the mean over all rows. importance: the importance-weighted bound on all rows. annealed: the annealed bound
            on the M rows, from both starts; `coarse`: with half the temperatures. correction, correction_stderr: the
            gain of annealing in the mean over all rows, and its standard error (over rows drawn within strata, and over
            the Monte Carlo).
        unfinished, unfinished_stderr: the gain by the last doubling of temperatures, and its standard error, of pairs.
        sandwich: lower and upper mean on simulated data.
        gaps: those of the ELBO on the annealed rows.
        seconds: time taken.
        second: the gain of the second start, about the ends of chains from the prior; None where there was none.
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
    second: SecondStart | None = None

    def shifted(self, nats: float) -> Assessment:
        """Return the assessment in other units: a log-Jacobian added to every log-density."""
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
        """Nats by which the importance-weighted bound seems to be below log p(x), with two standard errors of each
        part.

        The gain of annealing, that expected of further temperatures, and what the second start is still ahead where the
        guide seems to miss a mode. Not an upper limit, since nothing bounds log
        p(x) of these rows from above.
        """
        ahead = abs(self.unfinished) + 2 * self.unfinished_stderr
        pair = self.sandwich
        if pair is not None:
            ahead = max(ahead, max(pair.gap, 0.0) + 2 * (pair.gap_stderr or 0.0))
        if self.second is not None and self.second.may_miss:
            ahead += max(self.second.left, 0.0)
        return abs(self.correction) + 2 * self.correction_stderr + ahead

    @property
    def converged(self) -> bool:
        """True if the last doubling of temperatures changed little, annealing is not the worse bound of the two, its
        chains are even enough to estimate their error, the sandwich on simulated data is nearly closed, and the guide
        misses no mode (more chains may find more)."""
        gap = self.sandwich_gap
        if self.annealed.reliable is False or self.misses:
            return False
        is_stable = abs(self.unfinished) <= MOVES and self.correction >= -max(0.1, 2 * self.correction_stderr)
        return is_stable and (gap is None or gap <= 1.0)

    @property
    def sandwich_gap(self) -> float | None:
        """The upper minus the lower mean on simulated data."""
        return None if self.sandwich is None else self.sandwich.gap

    @property
    def verdict(self) -> str:
        """A sentence: the tightness, or a remedy."""
        if self.second is None or not self.misses:
            return self._tightness
        least, missed = self.correction - 2 * self.correction_stderr, self.second.sentence
        if least <= 0:
            return f"{missed}; {self._tightness}"
        remedy = "report the annealed bound, or use a richer guide"
        return f"{missed}; loose by at least {least:.2g} nats, {BASIS}: {remedy}"

    @property
    def misses(self) -> bool:
        """True if the guide misses a mode that chains from the prior find."""
        return self.second is not None and self.second.misses

    @property
    def _tightness(self) -> str:
        """The tightness, or a remedy."""
        if not self.converged:
            return f"not converged: {self._obstacle}; raise --budget"
        if self.loss < 0.5:
            return f"tight to about {self.loss:.2g} nats, {BASIS}"
        remedy = "report the annealed bound" if self.correction > self.loss / 2 else "raise --budget"
        return f"loose by about {self.loss:.1f} nats, {BASIS}: {remedy}"

    @property
    def _obstacle(self) -> str:
        """The first reason why the assessment has not converged."""
        gap, estimate = self.sandwich_gap, self.annealed
        if gap is not None and gap > 1.0:
            return f"on simulated data the bounds differ by {gap:.2g} nats"
        if abs(self.unfinished) > MOVES:
            return f"annealing still changed by {self.unfinished:.2g} nats"
        if estimate.reliable is False:
            return f"annealing has an unreliable error: an effective {estimate.ess_median:.1f} of {estimate.k} chains"
        if self.correction >= 0:
            return "chains may find more modes"
        return f"annealing is {-self.correction:.2g} nats below importance weighting"

    @property
    def caveat(self) -> str:
        """The limits of the verdict."""
        above = "nothing bounds the evidence of these rows from above"
        return above if self.sandwich is None else f"{above}: the sandwich certifies {CERTIFIES}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number."""
        best = None if self.importance.mean is None else self.importance.mean + self.correction
        start = {name: self.annealed.settings.get(name) for name in ("start", "corrected")}
        start |= {"start": "guide and prior"} if self.misses else {}
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
                # the importance-weighted values are constants here: their noise cancels in the corrected mean
                "stderr_mc": self.correction_stderr,
                "stderr_mc_reliable": self.annealed.reliable,
                "unfinished": self.unfinished,
                "unfinished_stderr": self.unfinished_stderr,
                **start,
                **SecondStart.record(self.second),
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


class _Measurements:
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
        self.by_temperatures: dict[int, TwoStarts] = {}

    def chain(self, temperatures: int) -> Annealed:
        """Return the annealing with T temperatures."""
        return Annealed(temperatures, self.settings.leapfrog_steps, self.settings.chains, start_of(self.guide))

    def starts(self, temperatures: int) -> TwoStarts:
        """Anneal the rows with T temperatures, once: the result is also the coarse one of 2 T."""
        if temperatures not in self.by_temperatures:
            self.by_temperatures[temperatures] = from_two_starts(
                self.chain(temperatures),
                self.settings.prior_chains,
                self.model,
                self.guide,
                self.rows,
                self.centres,
                self.seed,
                self.watch,
            )
        return self.by_temperatures[temperatures]

    @cached_property
    def centres(self) -> Tensor | None:
        """The ends of chains from the prior; None where these are not asked for, or all chains start there."""
        if self.settings.prior_chains == 0 or start_of(self.guide) == "prior":
            return None
        return scouts(self.model, self.guide, self.rows, self.settings.leapfrog_steps, self.seed)

    def runs(self, temperatures: int) -> tuple[tuple[TwoStarts, TwoStarts], tuple[Tensor, Tensor]]:
        """Return both starts with T and with T / 2 temperatures, and the weights of the second start in each.

        The weights of each come from the other, whose noise is independent: so both pools are lower bounds.
        """
        fine, coarse = self.starts(temperatures), self.starts(temperatures // 2)
        return (fine, coarse), (second_share(coarse), second_share(fine))

    def pools(self, temperatures: int) -> tuple[Estimate, Estimate]:
        """Return the annealed bound with T and with T / 2 temperatures."""
        (fine, coarse), (share, coarse_share) = self.runs(temperatures)
        return pooled(fine, share), pooled(coarse, coarse_share)

    def unfinished(self, temperatures: int) -> tuple[float, float]:
        """Return the gain in the mean of all rows by the last doubling of temperatures, and its standard error."""
        fine, coarse = self.pools(temperatures)
        gain = torch.as_tensor(fine.nats) - torch.as_tensor(coarse.nats)
        noise = torch.as_tensor(fine.variance_mc) + torch.as_tensor(coarse.variance_mc)
        return float((self.share * gain).sum()), stratified_stderr(gain, self.share, noise, self.n)

    @cached_property
    def bounds(self) -> Bounds | None:
        """The two ELBOs of the gaps; None where they are not asked for."""
        if not self.settings.refine:
            return None
        return lower_bounds(self.model, self.guide, self.rows, self.seed, self.settings.refine)

    def assessment(self, temperatures: int, started: float) -> Assessment:
        """Return the assessment with these temperatures."""
        (fine, coarse), sandwich = self.pools(temperatures), None
        unfinished, error = self.unfinished(temperatures)
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
            # the importance-weighted values of these rows are constants here: only the annealed ones are uncertain
            correction_stderr=stratified_stderr(gain, self.share, torch.as_tensor(fine.variance_mc), self.n),
            unfinished=unfinished,
            unfinished_stderr=error,
            sandwich=sandwich,
            gaps=None if self.bounds is None else Gaps(fine, self.bounds),
            seconds=time.monotonic() - started,
            second=second_start(*self.runs(temperatures), self.share),
        )
        gaps = assessment.gaps
        return assessment if gaps is None else replace(assessment, gaps=replace(gaps, converged=assessment.converged))


def assess(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    importance: Estimate,
    settings: TightnessSettings,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Assessment:
    """Anneal a stratified subsample, and weight its gain to the mean over all rows.

    The correction is a difference on the same rows, so that its error is that of the difference.

    Raises:
        UsageError: fewer than 2 temperatures or chains, or a single one from the prior: convergence and error need two.
        JensenError: there is no importance-weighted bound.
    """
    if settings.temperatures < 2:
        raise UsageError(f"temperatures must be at least 2, got {settings.temperatures}", "Give at least 2.")
    if settings.chains < 2 or settings.prior_chains == 1:
        raise UsageError("the error of annealing needs at least 2 chains, got 1", "Anneal at least 2 chains.")
    started = time.monotonic()
    measurements = _Measurements(model, guide, data, importance, settings, seed, watch)
    return measurements.assessment(settings.temperatures, started)


def assess_within(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    importance: Estimate,
    seconds: float,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Assessment | None:
    """Assess with up to 200 temperatures, and double them until converged or the time is used up.

    None where the budget is too small, or the model has nothing to anneal (see `refusal`). `assess` with the settings
    of the result gives the same numbers. But the settings depend on the results as well as on time: doubling stops when
    `unfinished` is small, which is a selection. Each annealing is the coarse one of the next, and the sandwich is
    measured when the rows have converged or the time does not suffice for another doubling.
    """
    settings = None if refusal(model, guide) else plan(model, guide, data, seconds, seed)
    if settings is None:
        return None
    began, temperatures = time.monotonic(), settings.temperatures
    measurements = _Measurements(model, guide, data, importance, settings, seed, watch)
    sides = 1 + 2 * settings.simulated / len(measurements.index)  # annealing and sandwich, in units of the annealing
    while True:
        is_stable = abs(measurements.unfinished(temperatures)[0]) <= STILL
        ahead = 2.2 * sides * measurements.starts(temperatures).guide.seconds
        if is_stable or _is_last(temperatures, began, ahead, seconds):
            assessment = measurements.assessment(temperatures, began)
            if (is_stable and assessment.converged) or _is_last(temperatures, began, ahead, seconds):
                return assessment
        temperatures *= 2


def _is_last(temperatures: int, began: float, ahead: float, seconds: float) -> bool:
    """Return whether twice the temperatures are too many, or take longer (`ahead` seconds) than is left."""
    return 2 * temperatures > MOST_TEMPERATURES or time.monotonic() - began + ahead > seconds
