"""The measurement of how tight a bound is: once by given settings, or by settings that fit into a budget of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import JensenError, UsageError
from ..core.wording import plural
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .annealed import Annealed
from .estimate import Estimate, ProgressCallback
from .gaps import Bounds, Gaps, lower_bounds
from .missed_modes import TwoStarts, from_two_starts, pooled, scouts, second_share, second_start
from .sandwich import Sandwich, Sandwiched
from .schedule import Schedule
from .strata import stratified, stratified_stderr
from .tightness import Assessment
from .tightness_plan import Costs, TightnessSettings, costs, least_seconds, plan, refusal, start_of

__all__ = ["assess", "assess_within"]

MOST_TEMPERATURES = 3200
STILL = 0.05  # nats: a smaller change by the last doubling is no reason for another


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
        schedule: Schedule,
    ) -> None:
        if importance.nats is None or importance.ess is None:
            raise JensenError("there is no importance-weighted bound to assess", "Use --method importance first.")
        self.model, self.guide, self.importance, self.bound = model, guide, importance, importance.nats.double()
        self.settings, self.seed, self.schedule = settings, seed, schedule
        self.index, self.share = stratified(-importance.ess, settings.rows, seed)
        self.data, self.n, self.device = data, len(data), data.device
        self.rows = data.subset(self.index.to(data.device))
        self.by_temperatures: dict[int, TwoStarts] = {}
        self.sandwiches: dict[int, Sandwiched] = {}
        self.began = schedule.spent

    def chain(self, temperatures: int) -> Annealed:
        """Return the annealing with T temperatures."""
        return Annealed(temperatures, self.settings.leapfrog_steps, self.settings.chains, start_of(self.guide))

    def starts(self, temperatures: int) -> TwoStarts:
        """Anneal the rows with T temperatures, once: the result is also the coarse one of 2 T."""
        if temperatures not in self.by_temperatures:
            centres = self.centres
            self.schedule.begin(f"annealing {plural(len(self.index), 'row')}")
            self.by_temperatures[temperatures] = from_two_starts(
                self.chain(temperatures),
                self.settings.prior_chains,
                self.model,
                self.guide,
                self.rows,
                centres,
                self.seed,
                self.schedule.progress,
            )
        return self.by_temperatures[temperatures]

    @cached_property
    def centres(self) -> Tensor | None:
        """The ends of chains from the prior; None where these are not asked for, or all chains start there."""
        if self.settings.prior_chains == 0 or start_of(self.guide) == "prior":
            return None
        self.schedule.begin("second start")
        return scouts(self.model, self.guide, self.rows, self.settings.leapfrog_steps, self.seed)

    def runs(self, temperatures: int) -> tuple[tuple[TwoStarts, TwoStarts], tuple[Tensor, Tensor]]:
        """Return both starts with T and with T / 2 temperatures, and the weights of the second start in each.

        The weights of each come from the other, whose noise is independent: so both pools are lower bounds.
        """
        coarse, fine = self.starts(temperatures // 2), self.starts(temperatures)
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

    def sandwich(self, temperatures: int) -> Sandwiched:
        """Return both bounds on simulated data, annealed with T temperatures once."""
        if temperatures not in self.sandwiches:
            self.schedule.begin(f"annealing {plural(self.settings.simulated, 'simulated row')}")
            pair, progress = Sandwich(self.chain(temperatures), self.settings.simulated), self.schedule.progress
            self.sandwiches[temperatures] = pair(
                self.model, self.guide, self.seed, self.device, progress, like=self.data
            )
        return self.sandwiches[temperatures]

    @cached_property
    def bounds(self) -> Bounds:
        """The two ELBOs of the gaps."""
        self.schedule.begin("gaps")
        return lower_bounds(self.model, self.guide, self.rows, self.seed, self.settings.refine)

    def assessment(self, temperatures: int) -> Assessment:
        """Return the assessment with these temperatures; its settings are those of the measurements."""
        settings, (fine, coarse) = self.settings, self.pools(temperatures)
        unfinished, error = self.unfinished(temperatures)
        gain = torch.as_tensor(fine.nats) - self.bound[self.index]
        assessment = Assessment(
            replace(settings, temperatures=temperatures),
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
            sandwich=self.sandwich(temperatures) if settings.simulated else None,
            gaps=Gaps(fine, self.bounds) if settings.refine else None,
            seconds=self.schedule.spent - self.began,
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
    schedule = Schedule(watch=watch)
    measurements = _Measurements(model, guide, data, importance, settings, seed, schedule)
    return measurements.assessment(settings.temperatures)


def assess_within(
    model: LatentVariableModel, guide: Guide, data: Rows, importance: Estimate, schedule: Schedule, seed: int = 0
) -> Assessment | None:
    """Assess with up to 200 temperatures, and double them until converged or the time is used up.

    None where the time left is too short, or the model has nothing to anneal (see `refusal`). `assess` with the
    settings of the result gives the same numbers. But the settings depend on the results as well as on time: doubling
    stops when `unfinished` is small, which is a selection. Each annealing is the coarse one of the next, and the
    sandwich is measured when the rows have converged or the time does not suffice for another doubling.

    An annealing is begun if it fits into the time left, by the measured time of the one before, and counts only as a
    whole: one that is not done in time is given up, and the one before stands. Sandwich and gaps are left out where
    annealing took longer than planned.
    """
    if refusal(model, guide):
        return None
    schedule.begin("planning")
    cost = costs(model, guide, data, seed)
    settings = plan(cost, len(data), schedule.left)
    if settings is None:
        least = least_seconds(cost)
        schedule.leave_out("the tightness of the bound", least, 4 / 3 * least)  # training rows may take a quarter
        return None
    measurements = _Measurements(model, guide, data, importance, settings, seed, schedule)
    return _Doubling(measurements, cost).assessment()


class _Doubling:
    """The loop of `assess_within`, with costs that are corrected by the time of each annealing."""

    def __init__(self, measurements: _Measurements, cost: Costs) -> None:
        self.measurements, self.schedule, self.cost = measurements, measurements.schedule, cost

    def at(self, temperatures: int) -> TightnessSettings:
        """Return the settings with T temperatures."""
        return replace(self.measurements.settings, temperatures=temperatures)

    def assessment(self) -> Assessment | None:
        """Return the last assessment that the time suffices for; None where there is none."""
        temperatures = self.first()
        if temperatures is None or not self.anneal(temperatures):
            self.schedule.leave_out("the tightness of the bound", 1.25 * self.cost.whole(self.at(temperatures or 4)))
            return None
        while True:
            is_stable = abs(self.measurements.unfinished(temperatures)[0]) <= STILL
            if is_stable or not self.has_room_for(2 * temperatures):
                assessment = self.finished(temperatures)
                if (is_stable and assessment.converged) or not self.has_room_for(2 * temperatures):
                    return assessment
            if not self.anneal(2 * temperatures):
                return self.finished(temperatures)
            temperatures *= 2

    def first(self) -> int | None:
        """Anneal with half the temperatures of the plan, and return how many the time suffices for; None for none."""
        temperatures = self.measurements.settings.temperatures
        if not self.schedule.completes(lambda: self.measurements.centres, self.measurements.model):
            return None
        while temperatures >= 4 and self.anneal(temperatures // 2):
            is_done = temperatures in self.measurements.by_temperatures
            if is_done or self.schedule.fits(self.cost.annealing(self.at(temperatures))):
                return temperatures
            temperatures //= 2
            if not self.schedule.fits(self.cost.annealing(self.at(temperatures // 2))):
                return None
        return None

    def anneal(self, temperatures: int) -> bool:
        """Anneal with T temperatures, and correct the costs by the time that it took; return whether it is done."""
        if temperatures in self.measurements.by_temperatures:
            return True
        began = self.schedule.spent
        if not self.schedule.completes(lambda: self.measurements.starts(temperatures), self.measurements.model):
            return False
        taken = self.schedule.spent - began
        self.cost = self.cost.scaled(taken / max(self.cost.annealing(self.at(temperatures)), 1e-9))
        return True

    def has_room_for(self, temperatures: int) -> bool:
        """Return whether T temperatures are allowed, and fit into the time left with all that follows them."""
        ahead = self.cost.annealing(self.at(temperatures)) + self.cost.sandwich(self.at(temperatures))
        gaps = 0.0 if "bounds" in self.measurements.__dict__ else self.cost.gaps(self.at(temperatures))
        return temperatures <= MOST_TEMPERATURES and self.schedule.fits(ahead + gaps)

    def finished(self, temperatures: int) -> Assessment:
        """Return the assessment, without sandwich or gaps where the time does not suffice for them."""
        m = self.measurements
        if m.settings.simulated and temperatures not in m.sandwiches:
            seconds = self.cost.sandwich(self.at(temperatures))
            is_done = self.does(lambda: m.sandwich(temperatures), "the sandwich on simulated rows", seconds)
            m.settings = m.settings if is_done else replace(m.settings, simulated=0)
        if m.settings.refine and "bounds" not in m.__dict__:
            is_done = self.does(lambda: m.bounds, "the gaps of the ELBO", self.cost.gaps(m.settings))
            m.settings = m.settings if is_done else replace(m.settings, refine=0)
        return m.assessment(temperatures)

    def does(self, work: Callable[[], object], what: str, seconds: float) -> bool:
        """Do a part of the assessment if it fits into the time left; return whether it is done."""
        if self.schedule.fits(seconds) and self.schedule.completes(work, self.measurements.model):
            return True
        self.schedule.leave_out(what, seconds)
        return False
