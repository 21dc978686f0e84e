"""Gradient estimators: how the points are placed, and how gradients pass through them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, MixtureSameFamily, Normal, OneHotCategorical

from .batch import Batch
from .checks import whole
from .distributions import Chained, OneHots
from .draw import Draw, place, weigh
from .errors import CompositionError, NotEnumerable, NotReparameterizable, UsageError
from .guides import Guide
from .model import LatentVariableModel
from .objectives import Objective, TermKind
from .parts import part

__all__ = [
    "Enumerate",
    "GradientEstimator",
    "Pathwise",
    "Quadrature",
    "Uneven",
    "bit_states",
    "class_states",
    "finite_states",
    "no_path",
]

MOST_STATES = 1 << 12
MOST_NODES = 300  # beyond some 370 the weights of the outermost nodes underflow, and with them the whole rule


class GradientEstimator(ABC):
    """A way to place points and to differentiate objectives of them."""

    @abstractmethod
    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        """Place the points of a batch and weigh them."""

    @abstractmethod
    def suits(self, term: Objective) -> bool:
        """Whether gradients of this term are right under this estimator."""

    def trains_guide(self, term: Objective) -> bool:
        """Whether gradients of the guide's parameters are right too, where those of the model's are."""
        return True

    @property
    @abstractmethod
    def remedy(self) -> str:
        """What to use for a term that does not suit."""

    def surrogate(self, term: Objective, draw: Draw) -> Tensor:
        """[B] whose gradient is the estimator's; its value is the term's."""
        return term(draw)

    def check(self, objective: Objective) -> None:
        """Refuse, before the loop, an objective with a term that this estimator is wrong for.

        Raises:
            CompositionError: naming the term and the remedy.
        """
        for _, term in objective.terms:
            if not self.suits(term):
                raise CompositionError(f"{self} gives wrong gradients for {term}", self.remedy)


class Uneven(GradientEstimator):
    """Points whose weights differ, which a term that couples the data of a batch does not read."""

    def suits(self, term: Objective) -> bool:
        return term.kind is not TermKind.COUPLED

    @property
    def remedy(self) -> str:
        return "A term that couples the batch needs points of equal weight: use Pathwise(k), and a guide with a path."


def no_path(q: Distribution) -> NotReparameterizable:
    """The refusal of a guide whose samples carry no gradient, with what to use in the place of one."""
    remedy = "Stratified(k)" if isinstance(q, MixtureSameFamily) else "Score(k), or Enumerate() of a finite z"
    remedy = "ByGroup((Enumerate(), Pathwise(k)))" if isinstance(q, Chained) else remedy
    return NotReparameterizable(f"{type(q).__name__} has no pathwise gradient", f"Use {remedy}.")


@part
@dataclass(frozen=True)
class Pathwise(GradientEstimator):
    """K reparameterised points; the gradient passes through them (Kingma & Welling, 2014; Rezende et al., 2014).

    Args:
        k: points per datum.
    """

    k: int = 1

    def __post_init__(self) -> None:
        whole(k=self.k)

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


@part
@dataclass(frozen=True)
class Enumerate(Uneven):
    """Every state of a finite latent, weighted by the guide: no noise at all.

    A latent is finite as one of n classes (a Categorical guide), as G classes of n (a OneHots guide) or as Z bits (a
    Bernoulli guide), up to 4,096 states:
    gradients need all of them at once. `Enumerated` evaluates many more.
    """

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        z = finite_states(q, batch.x)[:, None].expand(-1, len(batch), -1)
        return weigh(model, q, z, batch, enumerated=True)


def bit_states(dim: int, start: int, stop: int, like: Tensor) -> Tensor:
    """The states [n, dim] from `start` to `stop` of that many bits: state j is j in binary, its lowest bit first.

    Example:
        >>> bit_states(2, 0, 4, torch.zeros(0))
        tensor([[0., 0.],
                [1., 0.],
                [0., 1.],
                [1., 1.]])
    """
    index = torch.arange(start, stop, device=like.device)[:, None]
    return ((index >> torch.arange(dim, device=like.device)) & 1).to(like.dtype)


def class_states(groups: int, classes: int, start: int, stop: int, like: Tensor) -> Tensor:
    """The states [S, G * n] from `start` to `stop` of G classes of n, one-hot: state j is j to the base n, its lowest
    digit first.

    Example:
        >>> class_states(2, 2, 1, 3, torch.zeros(0))
        tensor([[0., 1., 1., 0.],
                [1., 0., 0., 1.]])
    """
    index = torch.arange(start, stop, device=like.device)
    digits = [(index // classes**g) % classes for g in range(groups)]
    return torch.nn.functional.one_hot(torch.stack(digits, -1), classes).flatten(-2).to(like.dtype)


def finite_states(q: Distribution, like: Tensor) -> Tensor:
    """Every state [n, Z] of a finite guide.

    Raises:
        NotEnumerable: they are infinitely many, or too many.
    """
    if isinstance(q, OneHots):
        n = q.classes**q.groups
        if n > MOST_STATES:
            raise NotEnumerable(
                f"{q.classes}^{q.groups} states are too many to differentiate all of them at once",
                f"Use at most {MOST_STATES:,} in all, Score(k), or a family with a temperature (Gumbel softmax).",
            )
        return class_states(q.groups, q.classes, 0, n, like)
    dim = q.event_shape[-1]
    bits = isinstance(q, Independent) and isinstance(q.base_dist, Bernoulli)
    if not bits and not isinstance(q, OneHotCategorical):
        raise NotEnumerable(f"{type(q).__name__} has infinitely many states", "Use Pathwise(k).")
    if dim > (MOST_STATES.bit_length() - 1 if bits else MOST_STATES):
        raise NotEnumerable(
            f"{f'2^{dim}' if bits else f'{dim:,}'} states are too many to differentiate all of them at once",
            f"Use at most {MOST_STATES:,} components, or {MOST_STATES.bit_length() - 1} bits.",
        )
    return bit_states(dim, 0, 1 << dim, like) if bits else torch.eye(dim, dtype=like.dtype, device=like.device)


@part
@dataclass(frozen=True)
class Quadrature(Uneven):
    r"""Gauss-Hermite nodes about a Gaussian guide of one or two features.

    .. math:: z_k = \mu + \sqrt{2}\,\sigma\,t_k, \qquad e^{l_k} = \omega_k / \sqrt\pi

    Exact for integrands (relative to the guide) that are polynomials of degree below 2n; for two features it is the
    product rule, with n^2 nodes.

    Args:
        n: nodes per feature.
    """

    n: int = 32

    def __post_init__(self) -> None:
        whole(n=self.n)
        if self.n > MOST_NODES:
            raise UsageError(f"a quadrature rule has 1 to {MOST_NODES} nodes per feature, not n={self.n}", "Try n=64.")

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        loc, factor = _location_and_factor(q)
        nodes, log_measure = _rule(self.n, loc.shape[-1], loc)
        z = loc + torch.einsum("...ij,k...j->k...i", factor, nodes[:, None].expand(-1, *loc.shape))
        return weigh(model, q, z, batch, log_measure[:, None].expand(-1, len(batch)))


def _location_and_factor(q: Distribution) -> tuple[Tensor, Tensor]:
    """The mean [B, Z] of a Gaussian guide and a factor [B, Z, Z] of its covariance."""
    if isinstance(q, Independent) and isinstance(q.base_dist, Normal):
        loc, factor = q.base_dist.loc, torch.diag_embed(q.base_dist.scale)
    elif isinstance(q, torch.distributions.MultivariateNormal):
        loc, factor = q.loc, q.scale_tril.expand(*q.loc.shape, -1)
    else:
        raise CompositionError(f"quadrature needs a Gaussian guide, not {type(q).__name__}", "Use Pathwise(k).")
    if loc.shape[-1] not in (1, 2):
        raise CompositionError(
            f"quadrature is for one or two latent features, not {loc.shape[-1]}", "Use Pathwise(k), or --latent 2."
        )
    return loc, factor


def _rule(n: int, dim: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes [n^dim, dim] of a standard normal and log-weights [n^dim] of the product Gauss-Hermite rule."""
    t, w = np.polynomial.hermite.hermgauss(n)
    node = torch.as_tensor(t * math.sqrt(2.0), dtype=like.dtype, device=like.device)
    log_w = torch.as_tensor(np.log(w) - 0.5 * math.log(math.pi), dtype=like.dtype, device=like.device)
    if dim == 1:
        return node[:, None], log_w
    return torch.cartesian_prod(node, node), (log_w[:, None] + log_w).flatten()
