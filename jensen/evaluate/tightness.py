"""The tightness of the importance-weighted bound, measured by annealing on some of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor

from .estimate import Estimate, Kind
from .gaps import Gaps
from .missed_modes import SecondStart
from .sandwich import Sandwiched
from .tightness_plan import TightnessSettings

__all__ = ["Assessment", "Tightness"]

MOVES = 0.1  # nats: a larger change by the last doubling means that annealing has not converged
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

    def shifted(self, nats: float | Tensor) -> Self:
        """Return the tightness in other units: a log-Jacobian, one for all or one each [N], added to log-densities."""
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

    def shifted(self, nats: float | Tensor) -> Assessment:
        """Return the assessment in other units: a log-Jacobian, one for all or one each [N], added to log-densities."""
        own = nats[self.index.to(nats.device)] if isinstance(nats, Tensor) and nats.dim() else nats
        return replace(
            self,
            importance=self.importance.shifted(nats),
            annealed=self.annealed.shifted(own),
            coarse=self.coarse.shifted(own),
            sandwich=None if self.sandwich is None else self.sandwich.shifted(nats),
            gaps=None if self.gaps is None else self.gaps.shifted(own),
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
        return above if self.sandwich is None else f"{above}: the sandwich certifies {self.sandwich.certifies}"

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
