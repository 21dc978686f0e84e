"""An estimate of the evidence: exact, a bound, or an integral, with its errors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from ..core.allocator import keep_freed_memory
from ..core.batch import Rows
from ..core.precision import matmul_precision, resolve_precision
from ..core.shown import Shown
from ..core.wording import format_nats
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .psis import FEWEST, reliable_below
from .quantity import EVIDENCE

__all__ = [
    "Estimate",
    "Evaluator",
    "Kind",
    "ProgressCallback",
    "concatenated",
    "enough_points",
    "exact_products",
    "format_nats",
]

CHAINS = 0.3  # the least effective share of chains for which intervals by the jackknife cover
# effective points for which the delta method gives the error to a tenth (simulated: log-normal weights of all widths):
# ten, or four fifths of the points where these are few; a variance of fewer than five points is too low whatever it is
ENOUGH, SHARE, LEAST = 10.0, 0.8, 5
BY_LEVELS = ("levels", "log_px", "stderr", "stderr_mc")
HEAVY = 0.05  # share of data whose tails may be too heavy
ProgressCallback = Callable[[float], None]  # a progress callback, 0 to 1


def enough_points(k: int) -> float:
    """Return the effective sample size of K weights from which their error can be trusted.

    Example:
        >>> enough_points(5), enough_points(1000)
        (4.0, 10.0)
    """
    return min(ENOUGH, SHARE * k)


class Kind(StrEnum):
    """The kind of an estimate."""

    EXACT = "exact"
    FLOORED = "at the lower limit of a scale"
    QUADRATURE = "quadrature"
    LOWER = "lower bound"
    STOCHASTIC_LOWER = "stochastic lower bound"
    STOCHASTIC_UPPER = "stochastic upper bound"
    UNNORMALISED = "unnormalised"


@dataclass(frozen=True)
class Estimate(Shown):
    """log p(x) or a bound on it, per datum, in nats with all constants.

    Attributes:
        kind: exact, a bound, or unnormalised (then `nats` is None).
        nats: [N].
        elbo, rate, distortion: [N] each, the parts of the bound at K = 1 (None where they mean nothing).
        k: points per datum; None where it means nothing.
        ess: [N] effective sample size, 1 / sum of squared normalised weights, of the K points.
        variance_mc: [N] Monte Carlo variance of each datum's estimate (delta method, or jackknife); None for exact
            kinds, and of a single point.
        k_hat: [N] the Pareto shape of the weights' tail.
        curve: (k, mean, Monte Carlo standard error or None) of the bounds with fewer points, from the same weights.
        by_levels: (T, mean, standard error over data, that over Monte Carlo) of the bounds of chains of T levels, by
            the same network.
        error: that quadrature states, the largest over data.
        acceptance: mean acceptance of the moves, for annealing.
        spread: [N] standard deviation over chains of the log-weight, for annealing.
        settings: of the evaluator, for the record.
        seconds: time taken.
    """

    kind: Kind
    nats: Tensor | None
    distortion: Tensor | None = None
    rate: Tensor | None = None
    k: int | None = None
    ess: Tensor | None = None
    variance_mc: Tensor | None = None
    k_hat: Tensor | None = None
    curve: tuple[tuple[int, float, float | None], ...] = ()
    by_levels: tuple[tuple[int, float, float | None, float], ...] = ()
    error: float | None = None
    acceptance: float | None = None
    spread: Tensor | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def mean(self) -> float | None:
        """The average over data."""
        return None if self.nats is None else float(self.nats.double().mean())

    @property
    def elbo(self) -> Tensor | None:
        """[N], -distortion - rate."""
        return None if self.rate is None or self.distortion is None else -self.distortion - self.rate

    @property
    def stderr(self) -> float | None:
        """The standard error of the mean over data: its spread over test sets of this size."""
        if self.nats is None or len(self.nats) < 2:
            return None
        return float(self.nats.double().std() / math.sqrt(len(self.nats)))

    @property
    def stderr_mc(self) -> float | None:
        """The standard error of the mean over the Monte Carlo: its spread over seeds."""
        if self.nats is None:
            return None
        if self.variance_mc is None:  # a single point has no estimate of its error
            return None if self.kind in (Kind.STOCHASTIC_LOWER, Kind.STOCHASTIC_UPPER) else 0.0
        return float(self.variance_mc.double().sum().sqrt() / len(self.nats))

    @property
    def ess_median(self) -> float | None:
        """The median over data of the effective sample size."""
        return None if self.ess is None else float(self.ess.double().median())

    @property
    def reliable(self) -> bool | None:
        """True if `stderr_mc` can be trusted: there are five points, and they are not `uneven`."""
        uneven = self.uneven
        if uneven is None or self.k is None:
            return None
        return not uneven and (self.k >= LEAST or self.acceptance is not None)

    @property
    def uneven(self) -> bool | None:
        """True if few points carry the weight: a median ESS below 10 and 0.8 K, or tails too heavy in over 5 % of data.

        A tail is too heavy beyond the limit of k-hat, of 50 points at least, unless its weights are so even that their
        ESS is above 0.8 K: k-hat is of the shape of a tail, however small that is. For annealing, whose error is by the
        jackknife over chains, an ESS of 0.3 K is enough (intervals cover at their nominal rate with 16 chains of an
        effective 5).
        """
        if self.k is None or self.ess is None or self.ess_median is None:
            return None
        if self.acceptance is not None:
            return not self.ess_median >= CHAINS * self.k
        heavy = 0.0
        if self.k_hat is not None and self.k >= FEWEST:
            beyond = (self.k_hat > reliable_below(self.k)) & (self.ess < SHARE * self.k)
            heavy = float(beyond.double().mean())
        return heavy > HEAVY or not self.ess_median >= enough_points(self.k)

    def shifted(self, nats: float | Tensor) -> Estimate:
        """Return the estimate in other units: a log-Jacobian, one for all or one each [N], added to log-densities."""
        shifted = None if self.nats is None else self.nats + nats
        average = float(nats.mean()) if isinstance(nats, Tensor) else nats
        curve = tuple((k, mean + average, error) for k, mean, error in self.curve)
        by_levels = tuple((levels, mean + average, *errors) for levels, mean, *errors in self.by_levels)
        distortion = None if self.distortion is None else self.distortion - nats
        return replace(self, nats=shifted, curve=curve, by_levels=by_levels, distortion=distortion)

    def some(self, start: int, stop: int) -> Estimate:
        """Return the numbers of the data from `start` to `stop` - 1; what is of all data stays as it is."""
        return replace(self, **{name: v[start:stop] for name, v in vars(self).items() if isinstance(v, Tensor)})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of the numbers."""

        def average(values: Tensor | None) -> float | None:
            return None if values is None else float(values.double().mean())

        levels = [dict(zip(BY_LEVELS, row, strict=True)) for row in self.by_levels]
        return {
            "log_px": self.mean,
            "kind": str(self.kind),
            "k": self.k,
            "stderr": self.stderr,
            "stderr_mc": self.stderr_mc,
            "ess": self.ess_median,
            "stderr_mc_reliable": self.reliable,
            "ess_quantiles": None if self.ess is None else _quantiles(self.ess),
            "k_hat": self._tails(),
            "curve": [{"k": k, "log_px": mean, "stderr_mc": error} for k, mean, error in self.curve],
            **({"by_levels": levels} if levels else {}),
            "elbo": average(self.elbo),
            "rate": average(self.rate),
            "distortion": average(self.distortion),
            "quadrature_error": self.error,
            "acceptance": self.acceptance,
            "spread": None if self.spread is None else {"mean": average(self.spread), **_quantiles(self.spread)},
            "n": None if self.nats is None and self.distortion is None else len(_first(self.nats, self.distortion)),
            "settings": self.settings,
            "seconds": self.seconds,
        }

    def _tails(self) -> dict[str, float] | None:
        """Return quantiles of k-hat over data, its limit for this K, and the share of data beyond it."""
        if self.k_hat is None or self.k is None:
            return None
        limit = reliable_below(self.k)
        above = float((self.k_hat > limit).double().mean())
        return {**_quantiles(self.k_hat), "limit": limit, "share_above": above}

    def __str__(self) -> str:
        return self.sentence(str(EVIDENCE))

    def __repr__(self) -> str:
        return f"Estimate({self})"

    def sentence(self, of: str) -> str:
        """Return the number with its kind and its error.

        Args:
            of: the quantity, such as "log p(x)".
        """
        if self.nats is None:
            return f"{of} is not defined (unnormalised)"
        sign = {Kind.LOWER: ">=", Kind.STOCHASTIC_LOWER: ">=", Kind.STOCHASTIC_UPPER: "<="}.get(self.kind, "=")
        detail = f", K = {self.k}" if self.k is not None else ""
        detail += "; ± over data" if self.stderr else ""
        return f"{of} {sign} {format_nats(self.mean, self.stderr)} nats per datum ({self.kind}{detail})"


def _quantiles(values: Tensor) -> dict[str, float]:
    """Return quantiles over data and the maximum, JSON-serialisable."""
    finite = values.double().nan_to_num(posinf=1e6, neginf=-1e6)
    quantiles = torch.quantile(finite, torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95, 1.0], dtype=torch.float64))
    return dict(zip(("q05", "q25", "median", "q75", "q95", "max"), quantiles.tolist(), strict=True))


def _first(*tensors: Tensor | None) -> Tensor:
    return next(t for t in tensors if t is not None)


def exact_products(device: torch.device) -> AbstractContextManager[None]:
    """Return the scope in which every evaluator computes: float32 products are as exact as float32.

    An estimate must not depend on the precision of products that is set in a user's process (bfloat16, or 10 bits of
    mantissa on a GPU), nor on the evaluator. "auto" takes the faster library only where it costs no accuracy.
    """
    keep_freed_memory()
    return matmul_precision(resolve_precision("auto", device))


class Evaluator(ABC):
    """An estimator of the evidence."""

    @abstractmethod
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        """Estimate log p(x) of every row, without gradients, in bounded memory."""


def concatenated(parts: list[Tensor]) -> Tensor:
    """Return the per-datum values of consecutive batches as one tensor [N] in main memory."""
    return torch.cat([p.detach().cpu() for p in parts])
