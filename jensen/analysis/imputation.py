"""Imputation of missing entries: draws of p(x_missing | x_observed), with diagnostics of their reliability."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.distributions import Independent

from ..core.batch import Batch, Rows
from ..core.divided import by_groups
from ..core.errors import CompositionError, NotNormalised, UsageError
from ..core.random import stream
from ..core.validation import require_integer
from ..evaluate.annealed import Annealed
from ..evaluate.estimate import ProgressCallback, exact_products
from ..evaluate.importance import widest
from ..evaluate.psis import reliable_below
from ..families import Gaussian
from ..models.codebooks import CodePrior
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from . import chain_imputation
from .gibbs import Chains, likelihood_at, missing_at
from .weighted_points import WeightedPoints

__all__ = ["METHODS", "Imputation", "Statistics", "imputations", "impute"]

MOST = 1_000_000  # versions of a datum, points of one, and steps of a chain
METHODS = ("sir", "gibbs", "annealed")
NUMBERS = 1 << 20  # numbers of the widest layer in memory at once
POINTS, CHAINS = 1000, 6  # points of the guide per datum, and annealed chains per draw
STEPS = {"gibbs": 1000, "annealed": 200, "particles": chain_imputation.STEPS}
LEAPFROG_STEPS = 5
ROWS = 256  # in a piece of importance weighting, so that several processes have some each
RESAMPLED = 1 << 24  # numbers of all points of a batch, which resampling needs in memory at once
MIXED = 1.1  # R-hat above which chains have not mixed
MOVING = 0.02  # acceptance below which a chain hardly moves


@dataclass(frozen=True)
class Statistics:
    """Statistics of the missing entries that are computed where they are drawn, so that draws need not be kept.

    Attributes:
        of_params: of the parameters of p(x | z): from [..., P], and which entries were hidden on purpose [..., D] (see
            `Batch`), to [..., S]; their average over p(z | x_observed) is wanted in place of the mean.
        of_draws: of draws of p(x_missing | x_observed): from [n, B, D] to [B, R].
        n: the number of draws that these are of.
    """

    of_params: Callable[[Tensor, Tensor | None], Tensor]
    of_draws: Callable[[Tensor], Tensor]
    n: int


@dataclass(frozen=True)
class Imputation:
    """Draws of the missing entries, in the units of the prepared data; every tensor has a row for each of the N data.

    Attributes:
        x: [m, N, D]; an observed entry has its value in each of the m.
        z: [m, N, Z] the latent points of the draws; NaN where nothing is missing.
        mean: [N, D] E[x | x_observed]: by the normalised weights of the K points, or along the chains; with statistics,
            the average of those of the parameters [N, S], NaN where nothing is missing.
        k: points per datum of the importance weights, annealed chains, or particles.
        ess: [N] their effective number, of particles that of their ancestors; NaN where nothing is missing.
        k_hat: [N] shape of the weights' tail (see `jensen.evaluate.psis`); NaN where nothing is missing, or annealed.
        acceptance: [N] fraction of accepted proposals of a datum's chains; None without chains.
        r_hat: [N] the larger split R-hat of two scalars of the chains, log p(x_observed, z) and the mean of the
            missing entries; None without chains.
        steps: of each chain, or temperatures; None where there are none.
        method: by which they were drawn.
        of_draws: [N, R] the statistics of draws, NaN where nothing is missing; None without.
    """

    x: Tensor
    z: Tensor
    mean: Tensor
    k: int
    ess: Tensor
    k_hat: Tensor
    acceptance: Tensor | None = None
    r_hat: Tensor | None = None
    steps: int | None = None
    of_draws: Tensor | None = None
    method: str = "sir"

    @property
    def holed(self) -> Tensor:
        """[N], True where an entry is missing."""
        return ~self.ess.isnan()

    @property
    def unreliable(self) -> Tensor:
        """[N], True where the draws are unreliable: weights with too heavy a tail or an ESS below 2 m, of ancestors m;
        chains that did not mix or hardly moved."""
        if self.r_hat is not None and self.acceptance is not None:
            return self.holed & ~((self.r_hat < MIXED) & (self.acceptance > MOVING))
        is_enough = self.ess > (1 if self.method == "particles" else 2) * len(self.x)
        if self.steps is None:
            is_enough &= self.k_hat < reliable_below(self.k)
        return self.holed & ~is_enough

    @property
    def warning(self) -> str | None:
        """A warning with its remedy where draws are unreliable; None otherwise."""
        bad, n = int(self.unreliable.sum()), int(self.holed.sum())
        if not bad:
            return None
        if self.r_hat is None:
            symptom = f"weights of {bad:,} of {n:,} rows are carried by too few of {self.k:,}"
            if self.method == "particles":
                return f"{symptom} particles: give more (-k)"
            if self.steps is not None:
                return f"{symptom} chains: give more (-k), or more temperatures (--steps)"
            return f"{symptom} points: give more (-k), anneal (--method annealed) or run chains (--method gibbs)"
        return f"chains of {bad:,} of {n:,} rows have not mixed in {self.steps:,} steps: give more (--steps)"


@torch.no_grad()
def impute(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    m: int = 5,
    *,
    method: str | None = None,
    k: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
    statistics: Statistics | None = None,
) -> Imputation:
    r"""Draw the missing entries m times, given the observed ones; and which these are, if that is modelled.

    .. math:: p(x_m | x_o) = \int p(x_m | z)\, p(z | x_o)\, dz, \qquad w_k = p(x_o | z_k)\, p(z_k) / q(z_k | x_o)

    "sir" resamples m of K points of the guide by their weights, and draws x_m at each (sampling-importance-resampling,
    Rubin 1987). "gibbs" continues from there with m chains: z' ~ q(z | x_o, x_m) is accepted by the rule of Metropolis
    and Hastings, then x_m is drawn anew at z (Mattei & Frellsen, "Leveraging the exact likelihood of deep latent
    variable models", 2018). "annealed" moves K chains from the prior to p(z | x_o) by Hamiltonian moves, and resamples
    their end points (see `Annealed`): slow, but it needs no guide. All are exact in the limit of many points or steps.
    A diffusion has "particles", see `jensen.analysis.chain_imputation`.

    Args:
        model: its likelihood's features are independent given z.
        guide: its input has `Rows.fill` in the place of missing entries.
        rows: [N, D] with a mask.
        m: draws of each datum.
        method: "sir", "gibbs" or "annealed", see above; by default "sir", and of a diffusion "particles".
        k: K, by default 1000 points, 6 m annealed chains, or 64 particles.
        steps: of each chain, by default 1000, of which the first half is left out of means and diagnostics; or
            temperatures, by default 200; or of particles, by default 100.
        seed: seed of all random streams.
        watch: progress callback, called with the fraction done, 0 to 1.
        statistics: to compute beside the draws; those of draws are of `statistics.n`, of which the first m are kept.

    Raises:
        UsageError: a number is too small, or there is no such method.
        CompositionError: features depend on each other, the guide scores its own points only, or z has no gradient.
        NotNormalised, NumericalError: the guide has no density; no point of a datum has a finite weight.
    """
    how = {"method": method, "k": k, "steps": steps, "seed": seed, "watch": watch, "statistics": statistics}
    (imputation,) = imputations(model, guide, rows, m, size=len(rows), **how)
    return imputation


def imputations(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    m: int = 5,
    *,
    size: int,
    method: str | None = None,
    k: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
    statistics: Statistics | None = None,
) -> Iterator[Imputation]:
    """Yield the imputations of so many rows after another: the numbers are those that `impute` returns for all rows.

    Random streams are those of batches of rows with missing entries, whose size follows from the model, m and k alone.

    Args:
        model, guide, rows, m, method, k, steps, seed, watch, statistics: see `impute`.
        size: rows of each; the last may have fewer.
    """
    method = chain_imputation.imputation_method(model, guide, method)
    k = {"annealed": CHAINS * m, "particles": chain_imputation.PARTICLES}.get(method, POINTS) if k is None else k
    steps = STEPS.get(method) if steps is None or method not in STEPS else steps
    _check(model, guide, m, method, k, steps)
    rows = rows.fixed(stream(seed, "imputed rows", rows.device))
    holed = torch.zeros(0, dtype=torch.long) if rows.mask is None else (~rows.mask.all(-1)).nonzero()[:, 0]
    with torch.no_grad(), exact_products(rows.device):
        weigher = _Weigher(model, guide, rows, holed, method, k, steps, seed, statistics)
        pieces = holed.split(weigher.size(m)) if len(holed) else ()
    each = max(size // max(len(piece) for piece in pieces), 1) if pieces else 1
    results = by_groups(_watched(pieces, watch), lambda index: weigher.imputed(rows.take(index), m), each)
    computed = zip(pieces, results, strict=True)
    over: list[tuple[Tensor, Sequence[Tensor]]] = []  # of batches with rows of the next imputation
    for start in range(0, len(rows), size):
        index = torch.arange(start, min(start + size, len(rows)), device=rows.device)
        with torch.no_grad(), exact_products(rows.device):  # not while others go on with what is yielded
            some = _Some(weigher, rows.take(index), m)
            over = [(index, values) for index, values in over if not some.takes(index, values)]
            while not over and (piece := next(computed, None)) is not None:
                over = [] if some.takes(*piece) else [piece]
        yield some.imputation(k, steps, method)
    next(computed, None)  # reports that all is done


class _Some:
    """The imputation of some rows, from the results of batches, which may hold other rows too.

    Args:
        weigher: of the batches.
        batch: the rows.
        m: draws of each.
    """

    def __init__(self, weigher: _Weigher, batch: Batch, m: int) -> None:
        x, n = batch.x, len(batch)
        self.index = torch.as_tensor(batch.index)
        self.draws, self.at = x.expand(m, *x.shape).clone(), x.new_full((m, n, weigher.model.latent), math.nan)
        # ESS, k-hat, acceptance and R-hat
        self.of_rows = torch.full((4, n), math.nan, dtype=torch.float64, device=x.device)
        self.mean, self.of_draws = weigher.statistics_of(x)
        self.has_statistics = weigher.statistics is not None

    def takes(self, index: Tensor, values: Sequence[Tensor]) -> bool:
        """Take the results of a batch of these numbers, as far as they are of these rows; False if later rows are left
        in it."""
        start, stop = int(self.index[0]), int(self.index[-1]) + 1
        inside = (index >= start) & (index < stop)
        place, (*of_rows, z, drawn) = index[inside] - start, (tensor[inside] for tensor in values)
        for whole, own in zip((*self.of_rows, self.mean, self.of_draws), of_rows, strict=True):
            whole[place] = own
        self.at[:, place], self.draws[:, place] = z.transpose(0, 1).to(self.at), drawn.transpose(0, 1)
        return int(index[-1]) < stop

    def imputation(self, k: int, steps: int | None, method: str) -> Imputation:
        """Return the imputation."""
        ess, k_hat, acceptance, r_hat = self.of_rows
        of_draws = self.of_draws if self.has_statistics else None
        how = {"steps": steps, "of_draws": of_draws, "method": method}
        whole = Imputation(self.draws, self.at, self.mean, k, ess, k_hat, **how)
        return replace(whole, acceptance=acceptance, r_hat=r_hat) if method == "gibbs" else whole


def _watched(pieces: Sequence[Tensor], watch: ProgressCallback | None) -> Iterator[Tensor]:
    """Yield the numbers of the rows of each piece, and report progress."""
    for done, index in enumerate(pieces, 1):
        yield index
        if watch is not None:
            watch(done / len(pieces))


def _check(model: LatentVariableModel, guide: Guide, m: int, method: str, k: int, steps: int | None) -> None:
    """Refuse invalid numbers, models and guides before anything is computed."""
    if method not in METHODS:
        if method != "particles":
            raise UsageError(f"there is no method {method!r} to impute by", f"Choose from {', '.join(METHODS)}.")
        chain_imputation.check_particles(model, guide)
    for name, value, least in (("-m", m, 1), ("-k", k, 1), ("--steps", steps, 8)):
        if value is not None and value < least:
            raise UsageError(f"{name} must be at least {least}, got {value}", f"Give {name} {least} or more.")
        if value is not None:
            require_integer(least, MOST, **{name: value})
    if not model.likelihood.has_density:
        raise NotNormalised(
            "this model only samples: p(x|z) has no density by which points could be weighted",
            "Train a recipe with a density, such as miwae.",
        )
    if not guide.has_density and method != "annealed":
        raise NotNormalised(
            "a deterministic encoder has no density q(z|x), so its points cannot be weighted",
            "Train a recipe with a density, such as miwae.",
        )
    if method == "gibbs" and not guide.scores_any_point:
        raise CompositionError(f"{type(guide).__name__} cannot score points that it did not draw", "Use --method sir.")
    if method == "annealed":
        if model.latent == 0 or _is_discrete(model):
            raise CompositionError(
                "annealing needs the gradient of a real latent, and this model has none", "Use --method sir."
            )
        Annealed(steps or 1, LEAPFROG_STEPS, k, "prior").check(model, guide)
    like = next(iter(model.parameters()))
    usual = model.usual
    distribution = likelihood_at(model, like.new_zeros(1, 1, model.latent), None if usual is None else usual[None])
    if not (
        isinstance(distribution, Independent)
        and distribution.base_dist.event_shape == ()
        and len(distribution.event_shape) == 1
    ):
        raise CompositionError(
            f"features of {model.likelihood.family.phrase} depend on each other given z, so that missing entries"
            " cannot be drawn independently of observed ones",
            "Train with a likelihood that factorises over features, such as that of recipe miwae.",
        )


def _is_discrete(model: LatentVariableModel) -> bool:
    if isinstance(model.prior.family, Gaussian) and not isinstance(model.prior, CodePrior):
        return False
    return bool(model.prior(model.usual).support.is_discrete)  # pyright: ignore[reportOptionalMemberAccess]


class _Weigher:
    """Draws K weighted points for each datum of a batch: from the guide, or by chains annealed from the prior."""

    def __init__(
        self,
        model: LatentVariableModel,
        guide: Guide,
        rows: Rows,
        holed: Tensor,
        method: str,
        k: int,
        steps: int | None,
        seed: int,
        statistics: Statistics | None,
    ) -> None:
        self.model, self.guide, self.k, self.moves, self.statistics = model, guide, k, method == "gibbs", statistics
        self.method = method
        self.of_params = None if statistics is None else statistics.of_params
        self.holed, self.steps, self.seed = holed, steps, seed
        self.annealed, self.tuned = None, None
        if method == "annealed" and steps is not None and len(holed):
            self.annealed = Annealed(steps, LEAPFROG_STEPS, k, "prior")
            self.tuned = self.annealed.tune(model, guide, rows.subset(holed), seed)

    def size(self, m: int) -> int:
        """Return the number of data at once."""
        points = max(NUMBERS // widest(self.model), 1)
        limits = [points, RESAMPLED // (self.k * (self.model.latent + 1))]
        if self.method == "particles":
            limits = [chain_imputation.AT_ONCE // self.k]
        elif self.annealed is not None:
            limits.append(self.annealed.rows(self.model))
        else:  # chains are moved together, and slowly: as many as fit
            limits.append(points // self.draws(m) if self.moves else ROWS)
        return max(min(limits), 1)

    def draws(self, m: int) -> int:
        """Return the number of draws of each datum that m of them and their statistics need."""
        return m if self.statistics is None else max(m, self.statistics.n)

    def statistics_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and statistics of draws [N, ...] for rows x [N, D] without missing entries: x, or NaN."""
        if self.statistics is None:
            return x.clone(), x.new_zeros(len(x), 0)
        params, draws = x.new_zeros(self.model.likelihood.family.size), x.new_zeros(self.statistics.n, 1, x.shape[1])
        sizes = (self.statistics.of_params(params, None).shape[-1], self.statistics.of_draws(draws).shape[-1])
        return x.new_full((len(x), sizes[0]), math.nan), x.new_full((len(x), sizes[1]), math.nan)

    def imputed(self, batch: Batch, m: int) -> list[Tensor]:
        """Return ESS, k-hat, acceptance and R-hat [B], E[x | x_observed] [B, D] and statistics of draws [B, R], and m
        draws, z [B, m, Z] and x [B, m, D]; NaN in the place of what there is not."""
        noise, n = self.noise(batch), self.draws(m)
        points = self(batch, noise)
        at_once = n if self.statistics is None else max(NUMBERS // widest(self.model) // len(batch), 1)
        z, drawn = points.resampled(self.model, batch, n, at_once, noise)
        moved, mean = torch.full_like(points.ess, math.nan).expand(2, -1), points.mean
        if self.moves:
            chains = Chains(self.model, self.guide, batch, z, drawn, noise, self.of_params)
            *moved, mean, z, drawn = chains.run(self.steps or 0)
        if self.statistics is None:
            mean = torch.where(torch.as_tensor(batch.mask), batch.x.double(), mean)
        of_draws = drawn.new_zeros(len(batch), 0) if self.statistics is None else self.statistics.of_draws(drawn)
        kept = [z[:m].transpose(0, 1), drawn[:m].transpose(0, 1)]
        return [points.ess, points.k_hat, *moved, mean.to(batch.x), of_draws, *kept]

    def noise(self, batch: Batch) -> torch.Generator:
        """Return the random stream of a batch, which is its own: what is drawn does not depend on other rows, which
        may be in another process."""
        start = int(torch.as_tensor(batch.index)[0])
        purpose = "imputation" if start == int(self.holed[0]) else f"imputation from row {start}"
        return stream(self.seed, purpose, batch.x.device)

    def __call__(self, batch: Batch, noise: torch.Generator) -> WeightedPoints:
        if self.method == "particles":
            return chain_imputation.particles(self.model, self.guide, batch, self.k, self.steps or 1, noise)
        if self.annealed is None or self.tuned is None:
            at_once = max(NUMBERS // widest(self.model) // len(batch), 1)
            return WeightedPoints.of(self.model, self.guide, batch, self.k, at_once, noise, self.of_params)
        z, log_w, _ = self.annealed.arrivals(self.model, self.guide, batch, self.tuned, noise)
        log_w = log_w.double()
        if self.of_params is None:
            x = missing_at(self.model, z, batch).mean.double()
        else:
            params = self.model.likelihood_params(z, batch.context)
            x = self.of_params(params, batch.hidden).double().expand(*log_w.shape, -1)
        mean = torch.einsum("kb,kbd->bd", torch.softmax(log_w, 0), x)
        return WeightedPoints.checked(z, log_w, mean, annealed=True)
