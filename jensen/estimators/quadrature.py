"""Gauss-Hermite quadrature about a Gaussian guide of one or two latent features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from ..core.annotations import Depth
from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..models.draw import Draw, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .base import WeightedSamples

__all__ = ["Quadrature"]


MOST_NODES = 300  # beyond some 370 the weights of the outermost nodes underflow, and with them the whole rule


@part
@dataclass(frozen=True)
class Quadrature(WeightedSamples):
    r"""Gauss-Hermite nodes about a Gaussian guide of one or two features.

    .. math:: z_k = \mu + \sqrt{2}\,\sigma\,t_k, \qquad e^{l_k} = \omega_k / \sqrt\pi

    Exact for integrands (relative to the guide) that are polynomials of degree below 2n; for two features it is the
    product rule, with n^2 nodes.

    Args:
        n: nodes per feature.
    """

    n: Depth = 32

    def __post_init__(self) -> None:
        require_integer(n=self.n)
        if self.n > MOST_NODES:
            raise UsageError(f"n must be 1 to {MOST_NODES} nodes per feature, got {self.n}", "Try n=64.")

    def draw(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, generator: torch.Generator | None = None
    ) -> Draw:
        q = guide(batch)
        loc, factor = _location_and_factor(q)
        nodes, log_measure = _rule(self.n, loc.shape[-1], loc)
        z = loc + torch.einsum("...ij,k...j->k...i", factor, nodes[:, None].expand(-1, *loc.shape))
        return weigh(model, q, z, batch, log_measure[:, None].expand(-1, len(batch)))


def _location_and_factor(q: Distribution) -> tuple[Tensor, Tensor]:
    """Return the mean [B, Z] of a Gaussian guide and a factor [B, Z, Z] of its covariance."""
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
    """Return nodes [n^dim, dim] of a standard normal and log-weights [n^dim] of the product Gauss-Hermite rule."""
    t, w = np.polynomial.hermite.hermgauss(n)
    node = torch.as_tensor(t * math.sqrt(2.0), dtype=like.dtype, device=like.device)
    log_w = torch.as_tensor(np.log(w) - 0.5 * math.log(math.pi), dtype=like.dtype, device=like.device)
    if dim == 1:
        return node[:, None], log_w
    return torch.cartesian_prod(node, node), (log_w[:, None] + log_w).flatten()
