"""Clusters of data by the classes of a model: its components, as latent or as parts of its prior."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

from ..core.batch import Batch, Rows
from ..core.divided import by_chunks
from ..core.errors import CompositionError
from ..core.random import stream
from ..families import Categorical
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .latents import CHUNK

__all__ = ["DRAWS", "assigned", "cluster_probabilities", "how_clustered", "number_of_clusters", "require_clusters"]

DRAWS = 32  # of z for each datum
REMEDY = "Train one that has some: --recipe gmm, table-gmm, mixture-prior or vampprior."


def require_clusters(model: LatentVariableModel, guide: Guide) -> None:
    """Refuse a model without clusters.

    Raises:
        CompositionError: the latent is no class and the prior no mixture, or nothing infers z from x.
    """
    if not guide.infers:
        raise CompositionError("this model has no encoder, so it assigns no datum to a cluster", REMEDY)
    if not isinstance(model.prior.family, Categorical):
        _check_mixture(model.prior(model.usual))


@torch.no_grad()
def how_clustered(model: LatentVariableModel, guide: Guide, data: Rows) -> str:
    """Return in words what the probabilities of clusters of data are.

    Raises:
        CompositionError: see `require_clusters`.
    """
    require_clusters(model, guide)
    if isinstance(model.prior.family, Categorical):
        return "p(component | x)" if guide.is_exact else "q(component | x)"
    is_normal = _normal(guide(data.take(torch.zeros(1, dtype=torch.long, device=data.device)))) is not None
    return f"p(component | z) {f'averaged over {DRAWS} draws' if is_normal else 'at the mean'} of q(z | x)"


def _normal(q: Distribution) -> Normal | None:
    """Return the normal distributions of independent features; None of any other distribution."""
    return q.base_dist if isinstance(q, Independent) and isinstance(q.base_dist, Normal) else None


def number_of_clusters(model: LatentVariableModel) -> int:
    """Return C of a model that has clusters.

    Raises:
        CompositionError: it has none.
    """
    if isinstance(model.prior.family, Categorical):
        return model.latent
    return int(_check_mixture(model.prior(model.usual)).mixture_distribution.logits.shape[-1])


def _check_mixture(prior: Distribution) -> MixtureSameFamily:
    """Return the prior, if it is a mixture.

    Raises:
        CompositionError: it is none.
    """
    if not isinstance(prior, MixtureSameFamily):
        raise CompositionError(
            "this model has no clusters: its latent is no class, and its prior no mixture of components", REMEDY
        )
    return prior


@torch.no_grad()
def cluster_probabilities(model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0) -> Tensor:
    r"""Return the probabilities [N, C] of the C clusters of each datum.

    Where the latent is a class they are q(z | x), the posterior if the guide is exact. Where the prior is a mixture
    :math:`\sum_j \pi_j\, p_j(z)` they are :math:`E_{q(z|x)}[p(j \mid z)]` with
    :math:`p(j \mid z) = \pi_j\, p_j(z) / \sum_i \pi_i\, p_i(z)`, by 32 draws of z whose standard normal noise is the
    same for all data, so that no datum depends on those beside it; under a guide that is not Gaussian, at its mean.

    Args:
        model, guide: of the clusters.
        data: the rows.
        seed: of the draws.

    Raises:
        CompositionError: see `require_clusters`.

    Source: Jiang, Zheng, Tan, Tang & Zhou, "Variational deep embedding", 2017.

    Example:
        >>> from jensen.guides import Exact
        >>> from jensen.families import Gaussian
        >>> from jensen.models.conditionals import Table, Unconditional
        >>> model = LatentVariableModel(Unconditional(Categorical(2)), Table(Gaussian(3), 2))
        >>> cluster_probabilities(model, Exact(model), Rows(torch.zeros(5, 3))).shape
        torch.Size([5, 2])
    """
    return by_chunks(data, CHUNK, _probabilities(model, guide, data, seed))


@torch.no_grad()
def assigned(model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return the most probable cluster of each datum [N], from 0, and its probability [N]; see `cluster_probabilities`,
    of which no more than those of some rows are in memory."""
    probabilities = _probabilities(model, guide, data, seed)

    def best(batch: Batch) -> Tensor:
        p, cluster = probabilities(batch).max(-1)
        return torch.stack([cluster.double(), p.double()], -1)

    cluster, p = by_chunks(data, CHUNK, best).unbind(-1)
    return cluster.long(), p.to(next(model.parameters()).dtype)


def _probabilities(model: LatentVariableModel, guide: Guide, data: Rows, seed: int) -> Callable[[Batch], Tensor]:
    """Return the function from batches to probabilities [B, C].

    Raises:
        CompositionError: see `require_clusters`.
    """
    require_clusters(model, guide)
    if isinstance(model.prior.family, Categorical):
        return lambda batch: guide(batch).mean.expand(len(batch), -1)
    shape = (DRAWS, 1, model.latent)
    noise = torch.randn(shape, generator=stream(seed, "clusters", data.device), device=data.device)
    return lambda batch: _by_prior(model, guide, batch, noise)


def _by_prior(model: LatentVariableModel, guide: Guide, batch: Batch, noise: Tensor) -> Tensor:
    """Return E_q[p(component | z)] [B, C] with noise [K, 1, Z]."""
    q, prior = guide(batch), _check_mixture(model.prior(batch.context))
    mean = q.mean.expand(len(batch), -1)
    points, normal = mean[None], _normal(q)
    if normal is not None:
        points = torch.addcmul(mean, normal.scale.expand_as(mean), noise.to(mean))
    parts, logits = prior.component_distribution, prior.mixture_distribution.logits
    each = [(logits + parts.log_prob(z[:, None])).double().softmax(-1) for z in points]  # one at a time: [B, C, Z]
    return torch.stack(each).mean(0).to(mean.dtype)
