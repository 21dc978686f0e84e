r"""Reparameterised points, and estimators whose gradient is not that of the value: each makes a surrogate.

With :math:`z = z_\phi(\epsilon)`, the gradient of :math:`\log q_\phi(z|x)` has two parts: through z, and the score
:math:`\partial_\phi \log q_\phi(z|x)` at a fixed z, whose expectation is zero. The estimators differ in how they treat
the score:

| estimator                | gradient with respect to the guide                                             |
|--------------------------|--------------------------------------------------------------------------------|
| `StickTheLanding`        | through z alone: no noise where q is the posterior                             |
| `DoublyReparameterized`  | the same for importance weights, where leaving the score out would be a bias   |
| `Score`                  | the score alone, times the objective's value at each point: no path is needed  |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.annotations import Steps
from ..core.batch import Batch
from ..core.errors import UsageError
from ..core.parts import part
from ..models.draw import Draw, place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..objectives import Elbo, ImportanceWeighted, Objective, Rate
from .base import PointsPerDatum, no_path
from .surrogates import frozen_density, require_density, require_scores, surrogate_value

__all__ = ["DoublyReparameterized", "Pathwise", "StickTheLanding"]


def _log_guide(draw: Draw) -> Tensor:
    """Return log q(z | x) [K, B] at frozen parameters."""
    if draw.frozen is None:
        raise UsageError("this draw was not made by the estimator that differentiates it", "Use its own draw.")
    return draw.frozen(draw.z)


@part
@dataclass(frozen=True)
class Pathwise(PointsPerDatum):
    """K reparameterised points; the gradient passes through them (Kingma & Welling, 2014; Rezende et al., 2014).

    Args:
        k: points per datum.
    """

    k: Steps = 1

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        if torch.is_grad_enabled() and not q.has_rsample:
            raise no_path(q)
        z, noise = place(q, self.k, generator)
        return weigh(model, q, z, batch, noise=noise, mass=not guide.has_density)

    def suits(self, term: Objective) -> bool:
        return True

    @property
    def remedy(self) -> str:
        return ""


def _through_points(term: Objective, draw: Draw) -> Tensor:
    """Return a mean over the draw [B], without the score; a term that does not read log q is returned as it is."""
    if isinstance(term, Elbo):
        return draw.mean(draw.log_lik + term.beta * (draw.log_prior.sum(-1) - _log_guide(draw)))
    if isinstance(term, Rate):
        return draw.mean(_log_guide(draw) - draw.log_prior.sum(-1))
    return term(draw)


class _Reparameterized(PointsPerDatum):
    """K points with a path, and the density with the guide's parameters as constants."""

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        require_density(self, guide)
        require_scores(guide)
        q = guide(batch)
        if torch.is_grad_enabled() and not q.has_rsample:
            raise no_path(q)
        z, noise = place(q, self.k, generator)
        draw = weigh(model, q, z, batch, noise=noise, mass=not guide.has_density)
        return replace(draw, frozen=frozen_density(guide, q, batch))

    @property
    def remedy(self) -> str:
        return "Use Pathwise(k)."

    def surrogate(self, term: Objective, draw: Draw) -> Tensor:
        return surrogate_value(term, draw, _doubly)


@part
@dataclass(frozen=True)
class StickTheLanding(_Reparameterized):
    r"""Pathwise gradients without the score: the guide's own parameters in log q are constants.

    .. math:: \nabla_\phi\, E_q[\log w] = E\big[\partial_z \log w_{\bar\phi}(z)\ \partial_\phi z_\phi(\epsilon)\big]

    Unbiased for terms that are linear in log q, and without noise where the guide is the posterior. A `Rate` is
    therefore differentiated by the points, although its value is the closed form. Importance weights are not linear in
    log q: leaving the score out of them, as the source does, is a bias. For `ImportanceWeighted` the score is therefore
    reparameterised a second time, as by `DoublyReparameterized`: that gradient is unbiased, and without noise under the
    posterior too.

    Source: Roeder, Wu & Duvenaud, "Sticking the landing", 2017; of importance weights Tucker et al., 2019.

    Args:
        k: points per datum.
    """

    k: Steps = 1

    def suits(self, term: Objective) -> bool:
        return _is_reparameterizable(term)


@part
@dataclass(frozen=True)
class DoublyReparameterized(_Reparameterized):
    r"""Gradients of the importance-weighted bound without the score, whose noise falls slower than the signal with K.

    .. math:: \nabla_\phi = E\Big[\sum_k \tilde w_k^2\ \partial_z \log w_{\bar\phi}(z_k)\ \partial_\phi z_k\Big],
              \qquad \tilde w_k = w_k / \sum_j w_j

    The guide's signal-to-noise grows as :math:`\sqrt K` where `Pathwise`'s falls as :math:`1/\sqrt K` (Rainforth et
    al., 2018), for large K and weights of a finite variance above zero. Weights without variance, under the posterior,
    leave neither signal nor noise; for heavy-tailed weights there is no guarantee.

    Model parameters have the usual weights, :math:`\sum_k \tilde w_k \partial_\theta \log w_k`. Terms that are linear
    in log q are differentiated as by `StickTheLanding`.

    Source: Tucker, Lawson, Gu & Maddison, "Doubly reparameterized gradient estimators", 2019.

    Args:
        k: points per datum.
    """

    k: Steps = 1

    def suits(self, term: Objective) -> bool:
        return _is_reparameterizable(term)


def _is_reparameterizable(term: Objective) -> bool:
    """Return whether the gradient of a term can be computed without the score."""
    return isinstance(term, ImportanceWeighted | Elbo | Rate) or not term.needs_density


def _doubly(term: Objective, draw: Draw) -> Tensor:
    if not isinstance(term, ImportanceWeighted):
        return _through_points(term, draw)
    # on a ladder the densities depend on the points of each rung, not on z, which is assembled from them
    joint = draw.log_lik + draw.log_prior.sum(-1) if draw.walk is None else draw.model.log_joint(draw.batch, draw.z)
    log_w = joint - _log_guide(draw)
    share = torch.softmax(log_w.detach(), 0)
    total = (share * log_w).sum(0)
    if not draw.z.requires_grad:
        return total
    (through,) = torch.autograd.grad(total.sum(), draw.z, retain_graph=True)
    # the gradient through z is weighted once so far; this weights it again, and leaves that of the model's parameters
    return total + ((share - 1)[..., None] * through * draw.z).sum((0, -1))
