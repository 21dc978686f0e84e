"""Adaptive quadrature over one or two latent features, in coordinates that the posterior itself gives."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from ..core.batch import Batch, Rows
from ..core.divided import in_columns
from ..core.errors import CompositionError
from ..core.random import stream
from ..core.validation import require_above, require_integer
from ..estimators.base import GradientEstimator
from ..estimators.quadrature import Quadrature as Rule
from ..estimators.reparameterized import Pathwise
from ..models.guide import Guide
from ..models.ladder import LadderDistribution
from ..models.model import LatentVariableModel
from .cells import Cells, Integral, Integrand, adaptive, graded, in_nats
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, concatenated, exact_products
from .importance import NUMBERS, widest
from .joint_density import Joint, rows_of
from .posterior_modes import Survey, survey
from .smooth_rules import smooth

__all__ = ["Quadrature", "integrable"]

WIDEST = 3.0  # side of a cell, in u
INSIDE = 1e-11  # in u, from the ends of the prior's support: Clenshaw-Curtis has nodes on the sides of a cell
ROWS = 64


def integrable(model: LatentVariableModel) -> bool:
    """Return whether the latent is one or two continuous features, and the prior has mean and variance."""
    prior = model.prior(model.usual)
    if isinstance(prior, LadderDistribution) or not model.prior.has_density:  # its variance has no closed form
        return False
    return model.latent in (1, 2) and not prior.support.is_discrete  # pyright: ignore[reportOptionalMemberAccess]


def _obstacle(model: LatentVariableModel) -> str:
    """Return the reason why a latent cannot be integrated over, as the end of a sentence."""
    prior = model.prior(model.usual) if model.latent else None
    if not model.prior.has_density:
        return "has a prior without a density in closed form"
    if isinstance(prior, LadderDistribution):
        return f"is a ladder of {len(prior.ladder.sizes)} levels, whose prior has no mean and variance in closed form"
    if prior is not None and prior.support.is_discrete:  # pyright: ignore[reportOptionalMemberAccess]
        return "is discrete"
    return f"has {model.latent}" if model.latent else "has none"


@dataclass(frozen=True)
class Quadrature(Evaluator):
    r"""log p(x) as an integral over one or two latent features, whatever the guide.

    .. math:: \log p(x) = \log \int p(x, m + S \sinh u)\, |S| \prod_i \cosh u_i \, du

    The coordinates u come from the posterior itself: its modes are searched from the prior's grid and samples and from
    the guide's points, and m and S are the moments of the main one. They reach from the mode's scale to the far tails,
    so that nothing is cut off. Where two rules over the whole agree (equidistant and Gauss-Legendre), that is the
    integral. Elsewhere cells are bisected where Gauss-Kronrod, Gauss and Clenshaw-Curtis disagree.

    The error is the largest of all data. Of a datum it is the largest disagreement of the rules, with what lies outside
    the cells and the rounding error of the model's precision. Where the points do not suffice it stays large, and
    `settings["unsettled"]` counts these data. A mode is missed that no search comes near: one far narrower than the
    spacing of the prior's grid (0.03 of the prior's spread, 0.3 with two features), that no point of prior or guide
    falls upon, and beside which log p(x, z) does not rise towards it.

    Source: Davis & Rabinowitz, "Methods of numerical integration", 1984; `cells` and `smooth_rules` have the rules'.

    Args:
        tolerance: nats, per datum; at least the rounding error of the model's precision.
        most: points per datum after which nothing is refined; twice as many while an error of 0.01 nats remains.

    Raises:
        UsageError: a tolerance that is not positive, or fewer than 1600 points.
        CompositionError: the latent has no or more than two features, or is discrete or a ladder.
    """

    tolerance: float = 1e-6
    most: int = 1 << 17

    def __post_init__(self) -> None:
        require_above(0, tolerance=self.tolerance)
        require_integer(1600, most=self.most)  # the error needs two grids

    def check(self, model: LatentVariableModel) -> None:
        """Refuse a latent that is discrete, a ladder, or has no or more than two features."""
        if not integrable(model):
            raise CompositionError(
                f"quadrature is for one or two continuous latent features, and this latent {_obstacle(model)}",
                "Use --method auto.",
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        self.check(model)
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        at_once = max(NUMBERS // widest(model), 1)
        rows = max(min(ROWS, at_once, len(data)), 1)

        def elbo(batch: Batch) -> tuple[Tensor, ...]:
            return _distortion_and_rate(model, guide, guide(batch), batch, noise, at_once)

        def integrated(batch: Batch) -> list[Tensor]:
            distortion, rate, z, log = elbo(batch)
            integral, is_settled = self._batch(Joint(model, batch, at_once), z, log)
            if watch is not None:
                watch(min(batch.before + len(batch) / len(data), 1.0))
            return [integral.value, integral.error, integral.points, is_settled, distortion, rate]

        with exact_products(data.device):
            columns = in_columns(data.batches(rows, noise), integrated, elbo)
            by_rule = _is_gaussian(guide(data.take(torch.arange(1, device=data.device), noise)))
        log_px, error, points, is_settled, distortion, rate = (concatenated([column]) for column in columns)
        return Estimate(
            Kind.QUADRATURE,
            log_px,
            distortion=distortion,
            rate=rate if guide.has_density else None,
            error=float(error.max()),
            settings={
                "tolerance": self.tolerance,
                "points": int(points.max()),
                "unsettled": int((~is_settled).sum()),
                "elbo": "quadrature" if by_rule else "samples",
            },
            seconds=time.monotonic() - started,
        )

    def _batch(self, joint: Joint, z: Tensor, log: Tensor) -> tuple[Integral, Tensor]:
        """Return the integrals of a batch, from the guide's points z with log p(x, z), and whether they are settled."""
        place = survey(joint, z, log)
        integrand = Integrand(joint, place.frame)
        tolerance = (4 * place.noise).clamp_min(self.tolerance)
        value, error, used = smooth(integrand, place, tolerance)
        points, rough = place.points + used, (~(error <= tolerance)).nonzero()[:, 0]
        if len(rough):
            fine = adaptive(integrand, _cells(joint, place, rough), tolerance, self.most)
            value[rough], error[rough] = fine.value[rough], fine.error[rough]
            points = points + fine.points
        error = error + in_nats(place.outside - value) + 2 * place.noise
        error = torch.where((value == -torch.inf) & (place.outside == -torch.inf), 0.0, error)
        return Integral(value, error, points), error <= 2 * tolerance


def _cells(joint: Joint, place: Survey, rows: Tensor) -> Cells:
    """Return the first cells of these rows, small about peaks, within the prior's support."""
    support, frame = joint.model.prior.family.support, place.frame.of(rows)
    lo, hi = place.lo[rows], place.hi[rows]
    if support.low > -torch.inf:
        lo = torch.maximum(lo, frame.coordinates(torch.full_like(lo, support.low)[None])[0] + INSIDE)
    if support.high < torch.inf:
        hi = torch.minimum(hi, frame.coordinates(torch.full_like(hi, support.high)[None])[0] - INSIDE)
    return graded(Cells(rows, lo, hi), WIDEST, place.peaks, place.widths)


def _distortion_and_rate(
    model: LatentVariableModel, guide: Guide, q: Distribution, batch: Batch, noise: torch.Generator, at_once: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return distortion and rate [B] of the guide, with its points z [K, B, Z] and log p(x, z) [K, B] at them.

    There are `at_once` points at once, but all of a datum together.
    """
    estimator, points = _elbo_estimator(q, model.latent)
    index = torch.arange(len(batch), device=batch.x.device)
    parts = []
    for numbers in index.split(max(at_once // points, 1)):
        draw = estimator.draw(model, guide, rows_of(batch, numbers), noise)
        rate = draw.rate if guide.has_density else torch.zeros_like(draw.distortion)
        parts.append((draw.distortion, rate, draw.z.transpose(0, 1), (draw.log_lik + draw.log_prior.sum(-1)).T))
    distortion, rate, z, log = (torch.cat(column) for column in zip(*parts, strict=True))
    log = log.double().nan_to_num(-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    return distortion, rate, z.transpose(0, 1), log.T


def _is_gaussian(q: Distribution) -> bool:
    """Return whether q is a Gaussian, for which there is a quadrature rule."""
    return isinstance(q, MultivariateNormal) or (isinstance(q, Independent) and isinstance(q.base_dist, Normal))


def _elbo_estimator(q: Distribution, dim: int) -> tuple[GradientEstimator, int]:
    """Return an estimator of the guide's ELBO, and its points: Gauss-Hermite about a Gaussian, else samples."""
    if _is_gaussian(q):
        n = 32 if dim == 1 else 16
        return Rule(n), n**dim
    return Pathwise(64), 64
