"""Simulation-based calibration of q(z | x): ranks of the true z among draws of the guide, on simulated data."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import CompositionError, NotInvertible, NotNormalised, NumericalError, UsageError
from ..core.random import stream
from ..core.validation import require_integer
from ..core.wording import plural
from ..evaluate.estimate import ProgressCallback, exact_products
from ..evaluate.importance import widest
from ..evaluate.simulated import masks_note, masks_of, simulate_like
from ..models.draw import place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .uniformity import LEVEL, rank_counts, rank_grid, uniform_band, uniform_p

__all__ = ["Calibration", "Coverage", "Misfit", "Shape", "calibrate"]

JOINT, LIKELIHOOD, GUIDE = DENSITIES = ("log p(x, z)", "log p(x|z)", "log q(z|x)")
FEWEST, MOST = 20, 1_000_000  # simulations
NUMBERS = 1 << 20  # numbers of the widest layer, in memory at once
NAMED = 5  # largest number of features named in a sentence
SLIGHT = 2.0  # standard errors below which neither slope nor bend is significant


class Shape(StrEnum):
    """A miscalibration of the guide, read off the shape of a rank histogram."""

    NARROW = "over-confident"  # the true z is too often at either end: U
    WIDE = "under-confident"  # too often in the middle: an arch
    LOW = "biased low"  # the true z is too often above the draws
    HIGH = "biased high"
    PROBABLE = "draws too probable"  # of a log-density: the guide is concentrated at the peak
    IMPROBABLE = "draws too improbable"  # it is too wide, misplaced, or ignores x or a correlation
    OTHER = "wrong in another way"


@dataclass(frozen=True)
class Misfit:
    """A quantity whose ranks are not uniform, by its p-value (Holm's, over all quantities)."""

    name: str
    shape: Shape
    p: float


@dataclass(frozen=True)
class Coverage:
    """The coverage of the true z by the guide's regions of highest density.

    Attributes:
        levels: [M] nominal, 0.05 .. 0.95.
        fractions: [M] of the simulations.
        stderr: [M] binomial, of a calibrated guide.
    """

    levels: Tensor
    fractions: Tensor
    stderr: Tensor

    def at(self, level: float) -> tuple[float, float]:
        """Return fraction and standard error at one of the levels."""
        i = int((self.levels - level).abs().argmin())
        return float(self.fractions[i]), float(self.stderr[i])


@dataclass(frozen=True)
class Calibration:
    """Ranks 0..l of the true z among l draws of the guide, per simulation and quantity; uniform if the guide is exact.

    Attributes:
        ranks: [n, Q].
        names: of the Q quantities: z1 .. zZ (none where z is discrete), then three log-densities.
        l: draws per simulation.
        p_values: [Q], each exact for n uniform ranks (see `uniform_p`).
        seconds: time taken.
        masks: how entries are missing from the simulated data; None where they are complete.
    """

    ranks: Tensor
    names: tuple[str, ...]
    l: int  # noqa: E741 (the letter of the literature)
    p_values: Tensor
    seconds: float = 0.0
    masks: str | None = None

    @property
    def holed(self) -> bool:
        """True if entries are missing from the simulated data."""
        return self.masks is not None

    @property
    def basis(self) -> str:
        """The data of which it is, in words."""
        words = f"{plural(self.n, 'datum')} simulated by the model, not on yours"
        return words if self.masks is None else f"{words} ({self.masks})"

    @property
    def n(self) -> int:
        """The number of simulations."""
        return len(self.ranks)

    @property
    def histograms(self) -> Tensor:
        """The counts [Q, bins], in bins of equally many ranks."""
        bins = _bins(self.l)
        counts = rank_counts(self.ranks, self.l)
        return counts.reshape(len(counts), bins, -1).sum(-1)

    @property
    def ecdf_difference(self) -> Tensor:
        """The fraction of ranks up to r, less (r + 1) / (l + 1), for r = 0..l-1: [Q, l]."""
        fraction = rank_counts(self.ranks, self.l).cumsum(-1)[:, :-1].double() / self.n
        return fraction - rank_grid(self.l)

    @property
    def band(self) -> tuple[Tensor, Tensor]:
        """Limits [l], low and high, that the `ecdf_difference` of a calibrated quantity keeps with probability 95 %."""
        lower, upper = (torch.as_tensor(counts / self.n) for counts in uniform_band(self.n, self.l, LEVEL))
        return lower - rank_grid(self.l), upper - rank_grid(self.l)

    @property
    def adjusted(self) -> Tensor:
        """The p-values [Q], adjusted for their number (Holm, 1979)."""
        order = self.p_values.argsort()
        values = (self.p_values[order] * torch.arange(len(order), 0, -1)).cummax(0).values.clamp(max=1.0)
        return torch.empty_like(values).scatter_(0, order, values)

    @property
    def findings(self) -> list[Misfit]:
        """The quantities that are not uniform, at 5 % over all of them."""
        return [
            Misfit(name, _shape(self.ranks[:, i], self.l, name in DENSITIES), float(p))
            for i, (name, p) in enumerate(zip(self.names, self.adjusted, strict=True))
            if p <= LEVEL
        ]

    @property
    def coverage(self) -> Coverage:
        """The coverage of regions of highest density; a level between two ranks counts the rank in proportion."""
        levels = torch.arange(1, 20, dtype=torch.float64) / 20
        denser = self.l - self.ranks[:, self.names.index(GUIDE)]  # draws of higher density than the true z
        inside = (levels * (self.l + 1) - denser[:, None]).clamp(0, 1)
        return Coverage(levels, inside.mean(0), (levels * (1 - levels) / self.n).sqrt())

    @property
    def verdict(self) -> str:
        """A sentence without its full stop."""
        findings = self.findings
        if not findings:
            return f"calibrated at this resolution ({self.n:,} simulations, {self.l} draws each)"
        words = [
            f"{shape} in {_listed([f.name for f in findings if f.shape is shape])}"
            for shape in Shape
            if any(f.shape is shape for f in findings)
        ]
        only_densities = len(self.names) > len(DENSITIES) and all(f.name in DENSITIES for f in findings)
        return ("right feature by feature, not together: " if only_densities else "") + "; ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of every number (the ECDF has the information of the ranks)."""
        shapes = {f.name: str(f.shape) for f in self.findings}
        keys = ("name", "finding", "p", "p_adjusted", "histogram", "ecdf_difference")
        numbers = (self.p_values, self.adjusted, self.histograms, self.ecdf_difference)
        columns = zip(self.names, map(shapes.get, self.names), *(x.tolist() for x in numbers), strict=True)
        lower, upper = self.band
        return {
            "verdict": self.verdict,
            "calibrated": not shapes,
            "level": LEVEL,
            "n": self.n,
            "l": self.l,
            "masks": self.masks,
            "quantities": [dict(zip(keys, column, strict=True)) for column in columns],
            "band": {"lower": lower.tolist(), "upper": upper.tolist()},
            "coverage": {name: values.tolist() for name, values in vars(self.coverage).items()},
            "seconds": self.seconds,
        }


@torch.no_grad()
def calibrate(
    model: LatentVariableModel,
    guide: Guide,
    *,
    n: int = 1000,
    l: int = 127,  # noqa: E741
    seed: int = 0,
    watch: ProgressCallback | None = None,
    like: Rows | None = None,
) -> Calibration:
    r"""Simulation-based calibration: z* ~ p(z), x ~ p(x|z*), z_1 .. z_l ~ q(z|x), and the rank of z* among them.

    .. math:: r_f = \#\{k : f(z_k, x) < f(z^*, x)\} \sim \mathrm{Uniform}\{0..l\} \quad\text{for every } f
              \text{, if } q(z|x) = p(z|x)

    for each latent feature, and for log p(x, z), log p(x|z) and log q(z|x), which detect what single features do not:
    correlations, and a guide that ignores x. Ties are broken at random. The draws are independent, so they need no
    thinning. This tests the guide on data simulated from the model, not the fit of the model to other data.

    Args:
        n: simulations.
        l: draws for each; 4 to 20 equal bins must divide l + 1.
        seed: seed of all random streams.
        watch: progress callback, called with the fraction done, 0 to 1.
        like: rows of the user's: where entries of them are missing, the same entries of simulated data are hidden, and
            x is the observed part.

    Raises:
        NotNormalised: the guide is a point mass.
        CompositionError: the model has no latents.
        UsageError: n is too small, or l gives no 4 to 20 equal bins.
        NumericalError: a density is not a number.

    Example:
        >>> from jensen.models.conditionals import Linear, Unconditional
        >>> from jensen.families import Gaussian
        >>> from jensen.guides import Exact
        >>> likelihood = Linear(1, 3)
        >>> likelihood.assign(torch.ones(3, 1), torch.zeros(3), torch.ones(1))
        >>> model = LatentVariableModel(Unconditional(Gaussian(1)), likelihood)
        >>> calibrate(model, Exact(model), n=200).verdict
        'calibrated at this resolution (200 simulations, 127 draws each)'

    Source: Talts, Betancourt, Simpson, Vehtari & Gelman, "Validating Bayesian inference algorithms with
    simulation-based calibration", 2018; Modrak et al., "Simulation-based calibration checking for Bayesian
    computation: the choice of test quantities shapes sensitivity", 2023.
    """
    _check(model, guide, n, l)
    started = time.monotonic()
    ranks = _simulated_ranks(model, guide, n, l, seed, watch, like)
    is_discrete = ranks.shape[1] == len(DENSITIES)
    names = (*(() if is_discrete else (f"z{i + 1}" for i in range(model.latent))), *DENSITIES)
    p = torch.tensor([uniform_p(column, l) for column in ranks.T], dtype=torch.float64)
    masks = None if like is None or like.mask is None else masks_note(model)
    return Calibration(ranks, names, l, p, time.monotonic() - started, masks)


def _simulated_ranks(
    model: LatentVariableModel,
    guide: Guide,
    n: int,
    draws: int,
    seed: int,
    watch: ProgressCallback | None,
    like: Rows | None = None,
) -> Tensor:
    """Simulate and return the ranks [n, Q], in bounded memory."""
    device = next(model.parameters()).device
    noise, ranks = stream(seed, "calibration", device), []
    rows, index = max(NUMBERS // (widest(model) * (draws + 1)), 1), masks_of(like, n, seed, "calibration")
    with exact_products(device):
        for start in range(0, n, rows):
            size = min(rows, n - start)
            values, where = _values(
                model, guide, size, draws, noise, like, None if index is None else index[start : start + size]
            )
            ranks.append(_ranks(values, where, noise).cpu())
            if watch is not None:
                watch(min(start + rows, n) / n)
    return torch.cat(ranks)


def _check(model: LatentVariableModel, guide: Guide, n: int, draws: int) -> None:
    """Refuse models and guides without a posterior to calibrate, and invalid sizes."""
    if model.latent == 0:
        raise CompositionError("this model has no latents, so there is no guide to calibrate", "Use jensen evaluate.")
    if not model.likelihood.has_density or not guide.infers:
        raise NotNormalised(
            f"there is no posterior p(z|x) with which to compare {guide.phrase}: p(x|z) has no density"
            if guide.infers
            else f"{guide.phrase} does not infer z from x, so that there is nothing to calibrate",
            "Train a recipe with a density, such as vae.",
        )
    if not guide.has_density:
        raise NotNormalised(
            "a deterministic encoder has no density q(z|x), so it has no uncertainty to calibrate",
            "Train a recipe with a density, such as vae.",
        )
    if guide.is_certain:
        raise NotNormalised(
            f"{guide.phrase}: all its mass is on one state, so it has no uncertainty to calibrate",
            "Train a recipe with noise in q(z|x), such as vae, or categorical.",
        )
    if not guide.scores_any_point:
        raise NotInvertible(
            f"{guide.phrase}: its density is known at its own samples only, and calibration needs that of the true z",
            "Use a flow with a cheap inverse: AffineCoupling, SplineCoupling.",
        )
    require_integer(1, MOST, **{"-n": n})
    if n < FEWEST:
        raise UsageError(
            f"-n must be at least {FEWEST} simulations, got {n}", f"Give -n at least {FEWEST}, such as -n 1000."
        )
    if draws < 3 or _bins(draws) < 4:
        raise UsageError(f"l must give ranks that 4 to 20 equal bins divide, got l={draws}", "Give l=127, 99 or 63.")


def _bins(draws: int) -> int:
    """Return the largest number of bins, up to 20, that divides the l + 1 ranks evenly."""
    return max(b for b in range(1, 21) if (draws + 1) % b == 0)


def _values(
    model: LatentVariableModel,
    guide: Guide,
    n: int,
    draws: int,
    noise: torch.Generator,
    like: Rows | None = None,
    index: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return every quantity [Q, l + 1, n] of the true z and the draws, and the position [n] of the true z."""
    truth, batch = simulate_like(model, n, noise, like, index)
    q = guide(batch)
    where = torch.randint(draws + 1, (n,), generator=noise, device=truth.device)
    z = _among(truth, place(q, draws, noise)[0], where)
    draw = weigh(model, q, z, batch)
    log_prior, log_guide = draw.log_prior.sum(-1), draw.log_guide.sum(-1)
    densities = torch.stack([draw.log_lik + log_prior, draw.log_lik, log_guide])
    is_discrete = model.prior(model.usual).support.is_discrete  # pyright: ignore[reportOptionalMemberAccess]
    values = densities if is_discrete else torch.cat([z.movedim(-1, 0).to(densities), densities])
    if (bad := values.isnan().any(0).any(0)).any():
        raise NumericalError(
            f"a density is not a number in {int(bad.sum())} of {n} simulations", "Look at the run: jensen report RUN."
        )
    return values, where


def _among(truth: Tensor, drawn: Tensor, where: Tensor) -> Tensor:
    """Return points [l + 1, n, Z]: the draws [l, n, Z], and the true z [n, Z] at the positions [n].

    The positions are random: rounding may depend on the position in a batch, and must not single out the true z.
    """
    z, column = torch.cat([drawn, drawn[:1]]), torch.arange(len(truth), device=truth.device)
    z[-1] = z[where, column]  # the draw at that position goes last (unless the true z does)
    z[where, column] = truth
    return z


def _ranks(values: Tensor, where: Tensor, noise: torch.Generator) -> Tensor:
    """Return the ranks [n, Q] of values [Q, K, n] at the positions [n] among the others; ties are broken at random."""
    truth = values.gather(1, where.expand(len(values), 1, -1))
    below, equal = (values < truth).sum(1), (values == truth).sum(1)  # the true z is equal to itself
    u = torch.rand(below.shape, generator=noise, device=values.device, dtype=torch.float64)
    return (below + (u * equal).long()).T


def _listed(names: list[str]) -> str:
    remaining = len(names) - NAMED
    return ", ".join(names) if remaining < 2 else f"{', '.join(names[:NAMED])} and {remaining} more"


def _shape(ranks: Tensor, draws: int, is_density: bool) -> Shape:
    """Classify by the larger of slope and bend: the first two moments of centred ranks, in standard errors of uniform
    ones."""
    u = (ranks.double() + 0.5) / (draws + 1) - 0.5
    slope = float(u.mean()) * math.sqrt(12 * len(u))
    bend = (float(u.square().mean()) - (1 - (draws + 1) ** -2) / 12) * math.sqrt(180 * len(u))
    if max(abs(slope), abs(bend)) < SLIGHT:
        return Shape.OTHER
    if abs(slope) < abs(bend):
        return Shape.OTHER if is_density else Shape.NARROW if bend > 0 else Shape.WIDE
    if is_density:
        return Shape.IMPROBABLE if slope > 0 else Shape.PROBABLE
    return Shape.LOW if slope > 0 else Shape.HIGH
