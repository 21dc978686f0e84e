"""Clusters: k-means, and a mixture prior that starts from the clusters of the guide's codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import CompositionError, UsageError
from ..core.random import stream
from ..families import Gaussian, Mixture
from ..models.conditionals import Unconditional
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .closed import ClosedStep

__all__ = ["PriorClusters", "kmeans"]

CHUNK = 1024
MOST = 20_000  # rows that k-means looks at


def kmeans(x: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor]:
    """Centres [k, D] and the cluster [N] of each of the rows [N, D], in double precision on the CPU.

    Raises:
        UsageError: there are more clusters than rows.
    """
    from sklearn.cluster import KMeans  # a second of import time that few models need
    from threadpoolctl import threadpool_limits  # comes with it

    if k > len(x):
        raise UsageError(f"--components {k} is more than the {len(x)} training rows", "Give fewer --components.")
    # one thread: sums by several are added in whatever order they end, and the same seed must give the same bytes
    with threadpool_limits(1, "openmp"):
        start = KMeans(k, n_init=3, random_state=seed % 2**32)  # pyright: ignore[reportArgumentType]
        found = start.fit(x.double().cpu().numpy())  # pyright: ignore[reportArgumentType]
    return torch.as_tensor(found.cluster_centers_), torch.as_tensor(found.labels_, dtype=torch.long)


@dataclass(frozen=True)
class PriorClusters(ClosedStep):
    r"""A mixture prior whose components are the clusters that k-means finds among the codes, by their moments.

    Component j of :math:`n_j` codes gets the weight :math:`n_j / N`, and mean and variance of the guide averaged over
    its data, :math:`\bar\mu_j` and :math:`\overline{\sigma^2} + \mathrm{Var}(\mu)`. Components that start alike stay
    alike under gradients, and components that start anywhere lose their data to a few of them.

    Source: Jiang, Zheng, Tan, Tang & Zhou, "Variational deep embedding", 2017 (who pretrain by an autoencoder).

    Args:
        guide: whose codes they are.
        seed: of k-means.
    """

    guide: Guide
    seed: int = 0

    settles = True

    def suits(self, model: LatentVariableModel) -> bool:
        prior = model.prior
        mixed = isinstance(prior, Unconditional) and isinstance(prior.family, Mixture)
        part = cast(Mixture, prior.family).part if mixed else None
        return isinstance(part, Gaussian) and part.scale == "each"

    def check(self, model: LatentVariableModel) -> None:
        if not self.suits(model):
            raise CompositionError(
                f"the clusters of codes are no start for {model.prior.phrase}",
                "Use Unconditional(Mixture(Gaussian(Z), n), learn=True) as the prior.",
            )

    @torch.no_grad()
    def __call__(self, model: LatentVariableModel, rows: Rows) -> None:
        prior = cast(Unconditional, model.prior)
        family = cast(Mixture, prior.family)
        mean, variance = self._codes(rows)
        _, labels = kmeans(mean, family.n, self.seed)
        member = torch.nn.functional.one_hot(labels, family.n).to(mean)  # [N, n]
        count = member.sum(0).clamp_min(1)[:, None]
        centre = member.mT @ mean / count
        spread = member.mT @ (variance + (mean - centre[labels]).square()) / count
        raw = cast(Gaussian, family.part).raw(spread.sqrt())
        fresh = torch.cat([(count[:, 0] / len(mean)).log(), torch.cat([centre, raw], -1).flatten()])
        prior.value.copy_(fresh.to(prior.value))

    def _codes(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Mean and variance [M, Z] of q(z | x) of at most 20,000 rows, in double precision on the CPU."""
        index = torch.linspace(0, len(rows) - 1, min(len(rows), MOST), dtype=torch.float64).long().to(rows.device)
        noise = stream(self.seed, "clusters", rows.device)
        found = [self.guide(rows.take(some, noise)) for some in index.split(CHUNK)]
        means, variances = ([getattr(q, name).double().cpu() for q in found] for name in ("mean", "variance"))
        return torch.cat(means), torch.cat(variances)
