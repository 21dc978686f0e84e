"""Adaptive quadrature over one or two latent features: a grid that locates the posterior, datum by datum."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from ..core.batch import Batch, Rows
from ..core.errors import CompositionError
from ..core.random import stream
from ..core.validation import require_above, require_integer
from ..estimators.base import GradientEstimator
from ..estimators.quadrature import Quadrature as Rule
from ..estimators.reparameterized import Pathwise
from ..models.guide import Guide
from ..models.ladder import LadderDistribution
from ..models.model import LatentVariableModel
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, concatenated, exact_products
from .importance import NUMBERS, widest

__all__ = ["Quadrature", "integrable"]

REACH = 7.0  # standard deviations from the centre of a grid to its sides
NODES = {1: 40, 2: 20}  # per feature, while the posterior is located: apart by 0.35 and 0.7 standard deviations
MOVES = 40
PRIOR_REACH, PRIOR_NODES = 6.5, {1: 512, 2: 48}
FLAT = 0.8  # part of a grid's half-width within which its weight is 1; beyond, the prior's grid takes over
ROUGH, MOST_ROUGH = 1e-2, 1 << 18  # data that still change by this many nats may take that many points
AT_ONCE = 1 << 20  # points times data
NEGLIGIBLE = -18.0  # log of a share of the evidence (1.5e-8) that does not matter
ROWS = 64


def integrable(model: LatentVariableModel) -> bool:
    """Return whether the latent is one or two continuous features, and the prior has mean and variance."""
    prior = model.prior(model.usual)
    if isinstance(prior, LadderDistribution):  # its variance has no closed form
        return False
    return model.latent in (1, 2) and not prior.support.is_discrete  # pyright: ignore[reportOptionalMemberAccess]


@dataclass(frozen=True)
class Quadrature(Evaluator):
    r"""log p(x) as an integral over one or two latent features, whatever the guide.

    .. math:: \log p(x) = \log \sum_j h\, p(x, z_j), \qquad z_j = m + S u_j

    A grid of equally spaced nodes u_j begins at the guide (at the prior, where the guide is not Gaussian) and takes its
    centre m and its axes S from the posterior's own moments until converged; a second grid over the prior integrates
    what lies outside of it. For smooth densities that fade at the grid's sides the equidistant rule converges
    geometrically (Trefethen & Weideman, "The exponentially convergent trapezoidal rule", 2014), for several modes
    too. Nodes are doubled, for the data that need it, until the last doubling changed less than the tolerance; that
    change, the largest of all data, is the error. A second mode is missed that is far from the first and narrower
    than about 0.005 of the prior's standard deviation (0.04 with two features).

    Args:
        tolerance: nats, per datum; at least the rounding error of the model's precision.
        most: largest number of points per datum; sixteen times as many where an error of 0.01 nats remains.

    Raises:
        UsageError: a tolerance that is not positive, or fewer than 1600 points.
        CompositionError: the latent has no or more than two features, or is discrete.
    """

    tolerance: float = 1e-6
    most: int = 1 << 14

    def __post_init__(self) -> None:
        require_above(0, tolerance=self.tolerance)
        require_integer(1600, most=self.most)  # the error needs two grids

    def check(self, model: LatentVariableModel) -> None:
        """Refuse a latent that is discrete, or has no or more than two features."""
        if not integrable(model):
            kind = "discrete" if model.latent in (1, 2) else f"of {model.latent}"
            raise CompositionError(
                f"quadrature is for one or two continuous latent features, and this latent is {kind}",
                "Use --method auto.",
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        self.check(model)
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        parts: list[tuple[Tensor, ...]] = []
        points, at_once, by_rule = 0, max(NUMBERS // widest(model), 1), False
        rows = max(min(ROWS, at_once, len(data)), 1)
        with exact_products(data.device):
            for batch in data.batches(rows, noise):
                q = guide(batch)
                distortion, rate = _distortion_and_rate(model, guide, q, batch, noise, at_once)
                by_rule = _is_gaussian(q)
                log_px, error, used = self._batch(_Joint(model, batch, at_once), q)
                parts.append((log_px, error, distortion, rate))
                points = max(points, used)
                if watch is not None:
                    watch(min(len(parts) * rows / len(data), 1.0))
        log_px, error, distortion, rate = (concatenated(list(column)) for column in zip(*parts, strict=True))
        return Estimate(
            Kind.QUADRATURE,
            log_px,
            distortion=distortion,
            rate=rate if guide.has_density else None,
            error=float(error.max()),
            settings={"tolerance": self.tolerance, "points": points, "elbo": "quadrature" if by_rule else "samples"},
            seconds=time.monotonic() - started,
        )

    def _batch(self, density: _Joint, q: Distribution) -> tuple[Tensor, Tensor, int]:
        """Return log p(x) [B], its error [B], and the largest number of points of a datum."""
        prior, dim = _prior_box(density.model, density.batch), density.model.latent
        box = _posterior_box(density, _gaussian_box(q, len(density.batch), prior).scaled(REACH))
        inside = self._doubled(density, box, None, None, NODES[dim])
        outside = self._doubled(density, prior.scaled(PRIOR_REACH), box, inside.value, PRIOR_NODES[dim])
        value = torch.logaddexp(inside.value, outside.value)
        # the error of a part's logarithm counts in proportion to the part
        part = torch.exp(outside.value - value).nan_to_num(0.0)
        error = inside.error * (1 - part) + outside.error * part
        return value, error, max(inside.points, outside.points)

    def _doubled(self, density: _Joint, box: _Box, hole: _Box | None, known: Tensor | None, nodes: int) -> _Integral:
        """Return the log-integral over a box, with nodes doubled while they change it; `known` is the other part's."""
        value = _integral(density, box, hole, nodes)
        error = torch.zeros_like(value)
        other = torch.full_like(value, -torch.inf) if known is None else known
        # a part that is negligible beside the other need not be refined
        is_open = (known is None) | (value - other > NEGLIGIBLE)
        index = torch.arange(len(value), device=value.device)[is_open & torch.isfinite(value)]
        dim = box.loc.shape[-1]
        while len(index) and (2 * nodes) ** dim <= max(MOST_ROUGH, self.most):
            nodes *= 2
            new = _integral(density.of(index), box.of(index), None if hole is None else hole.of(index), nodes)
            change = (new - value[index]).abs().nan_to_num(0.0, posinf=torch.inf)
            value[index], error[index] = new, change
            total = torch.logaddexp(new, other[index])
            rounding = 2 * density.epsilon * total.abs()
            least = torch.maximum(rounding, torch.full_like(new, self.tolerance))
            if (2 * nodes) ** dim > self.most:
                least = least.clamp_min(ROUGH)
            index = index[change * torch.exp(new - total) > least]
        return _Integral(value, error, nodes**dim)


@dataclass(frozen=True)
class _Integral:
    """A log-integral [B], its last change by doubling the nodes [B], and the number of points per datum."""

    value: Tensor
    error: Tensor
    points: int


@dataclass(frozen=True)
class _Joint:
    """log p(x, z) of a batch, `at_once` points at once."""

    model: LatentVariableModel
    batch: Batch
    at_once: int

    @property
    def epsilon(self) -> float:
        return torch.finfo(self.batch.x.dtype).eps

    def of(self, index: Tensor) -> _Joint:
        return _Joint(self.model, _subset(self.batch, index), self.at_once)

    def __call__(self, z: Tensor) -> Tensor:
        """Return log p(x, z) [K, B] in double precision at z [K, B, Z]; a density that is NaN counts as zero."""
        at_once = max(self.at_once // max(len(self.batch), 1), 1)
        pieces = [self.model.log_joint(self.batch, piece.to(self.batch.x)).double() for piece in z.split(at_once)]
        return torch.cat(pieces).nan_to_num(-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _subset(batch: Batch, index: Tensor) -> Batch:
    """Return the rows of a batch with these numbers."""
    mask, context, rows = (None if t is None else t[index] for t in (batch.mask, batch.context, batch.index))
    return Batch(batch.x[index], mask, context, rows, batch.n_data)


@dataclass(frozen=True)
class _Box:
    """A box, the image of the cube (-1, 1)^Z: loc [B, Z] + factor [B, Z, Z] u, in double precision."""

    loc: Tensor
    factor: Tensor

    def at(self, u: Tensor) -> Tensor:
        """Return z [K, B, Z] at coordinates u [K, Z]."""
        return self.loc + torch.einsum("bij,kj->kbi", self.factor, u)

    def coordinates(self, z: Tensor) -> Tensor:
        """Return the coordinates u [K, B, Z] of z [K, B, Z]."""
        return torch.linalg.solve_triangular(self.factor, (z - self.loc).permute(1, 2, 0), upper=False).permute(2, 0, 1)

    def of(self, index: Tensor) -> _Box:
        return _Box(self.loc[index], self.factor[index])

    def scaled(self, by: float) -> _Box:
        return _Box(self.loc, self.factor * by)

    @property
    def log_volume(self) -> Tensor:
        """The log-volume [B] of the image of a cube of volume one."""
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _grid(n: int, dim: int, device: torch.device) -> Tensor:
    """Return the centres [n^dim, dim] of equal cells of the cube (-1, 1)^dim: grids of n and 2n share no point."""
    line = (torch.arange(n, dtype=torch.float64, device=device) + 0.5) * (2.0 / n) - 1.0
    return line[:, None] if dim == 1 else torch.cartesian_prod(line, line)


def _share(u: Tensor) -> Tensor:
    """Return the weight of a grid at u [..., Z]: 1 in its inner part, 0 outside, smooth between, since an edge slows
    convergence."""
    s = ((u.abs() - FLAT) / (1 - FLAT)).clamp(1e-3, 1 - 1e-3)
    step = torch.sigmoid(1 / s - 1 / (1 - s))
    return torch.where(u.abs() <= FLAT, 1.0, torch.where(u.abs() >= 1, 0.0, step)).prod(-1)


def _integral(density: _Joint, box: _Box, hole: _Box | None, n: int) -> Tensor:
    """Return the log-integral [B] by n nodes per feature: with the weight of a box, or with 1 minus that of another
    (the hole)."""
    u = _grid(n, box.loc.shape[-1], box.loc.device)
    terms = []
    for index in torch.arange(len(box.loc), device=u.device).split(max(AT_ONCE // len(u), 1)):
        z = box.of(index).at(u)
        share = _share(u)[:, None] if hole is None else 1 - _share(hole.of(index).coordinates(z))
        terms.append(torch.logsumexp(density.of(index)(z) + share.log(), 0))
    return torch.cat(terms) + box.log_volume + box.loc.shape[-1] * math.log(2.0 / n)


def _posterior_box(density: _Joint, box: _Box) -> _Box:
    """Return the box of REACH standard deviations about the posterior's mean, along its own axes, by its moments."""
    loc, factor = box.loc.clone(), box.factor.clone()
    dim = loc.shape[-1]
    n = NODES[dim]
    u = _grid(n, dim, loc.device)
    outer = (u.abs() > 1 - 2.0 / n).any(-1)
    index, eye = torch.arange(len(loc), device=loc.device), torch.eye(dim, dtype=loc.dtype, device=loc.device)
    for _ in range(MOVES):
        present = _Box(loc[index], factor[index])
        # where all densities are zero there are no moments: equal shares of all nodes let the grid grow
        share = torch.softmax(density.of(index)(present.at(u)), 0).nan_to_num(1.0 / len(u))
        mean = share.mT @ u
        away = u[:, None] - mean
        spread = torch.einsum("kb,kbi,kbj->bij", share, away, away) * REACH**2
        edge = share[outer].sum(0)
        sizes = torch.linalg.eigvalsh(spread)
        is_centred = (mean.abs().amax(-1) * REACH < 0.5) & (edge < 1e-7)
        moving = ~(is_centred & (sizes[:, 0] > 0.5) & (sizes[:, -1] < 2.0))
        # no narrower than the spacing of the nodes; nor narrower than before, while mass lies at the sides
        least = torch.where(edge > 1e-3, 1.0, (REACH / n) ** 2)
        root = torch.linalg.cholesky(spread + least[:, None, None] * eye)
        step = torch.einsum("bij,bj->bi", present.factor, mean)
        loc[index] = torch.where(moving[:, None], present.loc + step, present.loc)
        factor[index] = torch.where(moving[:, None, None], present.factor @ root, present.factor)
        index = index[moving]
        if not len(index):
            break
    return _Box(loc, factor)


def _prior_box(model: LatentVariableModel, batch: Batch) -> _Box:
    """Return the box of one standard deviation about the prior's mean."""
    prior = model.prior(batch.context)
    mean, sd = (t.expand(len(batch), -1).double() for t in (prior.mean, prior.variance.sqrt()))
    return _Box(mean, torch.diag_embed(sd))


def _gaussian_box(q: Distribution, b: int, prior: _Box) -> _Box:
    """Return the box of one standard deviation about a Gaussian guide's mean; the prior's box for other guides."""
    if isinstance(q, Independent) and isinstance(q.base_dist, Normal):
        return _Box(q.mean.expand(b, -1).double(), torch.diag_embed(q.base_dist.scale.expand(b, -1).double()))
    if isinstance(q, MultivariateNormal):
        return _Box(q.loc.expand(b, -1).double(), q.scale_tril.expand(b, -1, -1).double())
    return prior


def _distortion_and_rate(
    model: LatentVariableModel, guide: Guide, q: Distribution, batch: Batch, noise: torch.Generator, at_once: int
) -> tuple[Tensor, Tensor]:
    """Return distortion and rate [B] of the guide, `at_once` points at once, but all of a datum together."""
    estimator, points = _elbo_estimator(q, model.latent)
    index = torch.arange(len(batch), device=batch.x.device)
    parts = []
    for numbers in index.split(max(at_once // points, 1)):
        draw = estimator.draw(model, guide, _subset(batch, numbers), noise)
        parts.append((draw.distortion, draw.rate if guide.has_density else torch.zeros_like(draw.distortion)))
    return torch.cat([d for d, _ in parts]), torch.cat([r for _, r in parts])


def _is_gaussian(q: Distribution) -> bool:
    """Return whether q is a Gaussian, for which there is a quadrature rule."""
    return isinstance(q, MultivariateNormal) or (isinstance(q, Independent) and isinstance(q.base_dist, Normal))


def _elbo_estimator(q: Distribution, dim: int) -> tuple[GradientEstimator, int]:
    """Return an estimator of the guide's ELBO, and its points: Gauss-Hermite about a Gaussian, else samples."""
    if _is_gaussian(q):
        n = 32 if dim == 1 else 16
        return Rule(n), n**dim
    return Pathwise(64), 64
