"""The score-function estimator, with a leave-one-out baseline."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from ..core.annotations import Steps
from ..core.batch import Batch
from ..core.parts import part
from ..models.draw import Draw, closed_rate, place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Distortion, Elbo, ImportanceWeighted, Objective, Rate, Renyi, TermKind
from .base import PointsPerDatum
from .surrogates import require_density, require_scores, surrogate_value

__all__ = ["Score"]


@part
@dataclass(frozen=True)
class Score(PointsPerDatum):
    r"""The score function, with the other points of the same datum as a baseline: for any guide, discrete or not.

    .. math:: \nabla_\phi\, E_q[f] = E\Big[\frac1K \sum_k \Big(f_k - \frac{1}{K-1} \sum_{j \ne k} f_j\Big)
              \partial_\phi \log q_\phi(z_k|x)\Big]

    For `ImportanceWeighted` and `Renyi` the baseline of a point is the bound with that point's log-weight replaced by
    the mean of the others'. Both are unbiased; for a mean over the draw, and constant weights, without noise.

    Sources: Kool, van Hoof & Welling, "Buy 4 REINFORCE samples, get a baseline for free!", 2019; Mnih & Rezende,
    "Variational inference for Monte Carlo objectives", 2016.

    Args:
        k: points per datum, two or more.
    """

    k: Steps = 8
    least: ClassVar[int] = 2

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        require_density(self, guide)
        require_scores(guide)
        q = guide(batch)
        with torch.no_grad():
            z, _ = place(q, self.k, generator)
        # a copy: for its own points a flow keeps the density that was computed without gradients
        return weigh(model, q, z.clone(), batch)

    def suits(self, term: Objective) -> bool:
        return term.kind is TermKind.PER_DATUM or isinstance(term, ImportanceWeighted | Renyi)

    @property
    def remedy(self) -> str:
        return "A term that couples the batch needs a path to its points: use Pathwise(k)."

    def surrogate(self, term: Objective, draw: Draw) -> Tensor:
        return surrogate_value(term, draw, _scored)


def _scored(term: Objective, draw: Draw) -> Tensor:
    log_q = draw.log_guide.sum(-1)
    if isinstance(term, ImportanceWeighted | Renyi) and term.kind is TermKind.IMPORTANCE_WEIGHTED:
        log_w = draw.log_weight
        value = _bound(term, log_w)
        with torch.no_grad():
            signal = value - _bound(term, _without_each(log_w).transpose(0, 1))
        return value + (signal * log_q).sum(0)
    f = _by_point(term, draw)
    with torch.no_grad():
        signal = f - (f.sum(0) - f) / (len(f) - 1)
    return (f + signal * log_q).mean(0)


def _bound(term: ImportanceWeighted | Renyi, log_w: Tensor) -> Tensor:
    """Return the bound of equally placed points, [K, ...] -> [...], up to a constant."""
    power = 1 - term.alpha if isinstance(term, Renyi) else 1.0
    return torch.logsumexp(power * log_w, 0) / power


def _without_each(log_w: Tensor) -> Tensor:
    """Return log-weights [K, K, B]: row k holds those of [K, B] with the k-th replaced by the mean of the others."""
    k = len(log_w)
    others = (log_w.sum(0) - log_w) / (k - 1)
    own = torch.eye(k, dtype=torch.bool, device=log_w.device)[..., None]
    return torch.where(own, others[:, None], log_w[None])


def _by_point(term: Objective, draw: Draw) -> Tensor:
    """Return values [K, B] whose mean over points is the term, without the score of log q itself, which is noise."""
    log_q = draw.log_guide.sum(-1).detach()
    if isinstance(term, Distortion):
        return -draw.log_lik
    if isinstance(term, Elbo):
        return draw.log_lik + term.beta * (draw.log_prior.sum(-1) - log_q)
    if isinstance(term, Renyi):  # of order 1, or it would not be a mean
        return draw.log_lik + draw.log_prior.sum(-1) - log_q
    if isinstance(term, Rate):
        exact = None if draw.walk is not None else closed_rate(draw.guide, draw.prior, len(draw.batch))
        return log_q - draw.log_prior.sum(-1) if exact is None else exact.expand_as(log_q)
    return torch.stack([term(_only(draw, k)) for k in range(len(draw.z))])


def _only(draw: Draw, k: int) -> Draw:
    """Return the draw with its k-th point alone."""
    one = slice(k, k + 1)
    walk = draw.walk and type(draw.walk)(*(getattr(draw.walk, f.name)[one] for f in fields(draw.walk)))
    params = draw.likelihood_params
    params = params[one] if params.dim() == draw.z.dim() and len(params) == len(draw.z) else params
    return replace(draw, z=draw.z[one], log_lik=draw.log_lik[one], likelihood_params=params, walk=walk)
