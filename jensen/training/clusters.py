"""Clusters: k-means, and a mixture prior that starts from the clusters of the guide's codes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import CompositionError, UsageError
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..families import Gaussian, Mixture
from ..models.conditionals import Unconditional
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .closed import ClosedStep

__all__ = ["PriorClusters", "check_clusters", "kmeans"]

CHUNK = 1024
MOST = 20_000  # rows that k-means is run on


def check_clusters(k: int, rows: int) -> None:
    """Refuse more clusters than k-means can begin from, before anything is made of them.

    Raises:
        UsageError: there are more than rows, or than the rows that it is run on.
    """
    most = min(rows, MOST)
    if k > most:
        what = "the number of training rows" if most == rows else "the rows that k-means is run on"
        raise UsageError(f"--components must be at most {what}, {most}, got {k}", f"Give --components {most} or less.")


def kmeans(x: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the centres [k, D] and the cluster [N] of each of the rows [N, D], in double precision on the CPU.

    Raises:
        UsageError: there are more clusters than rows.
    """
    from sklearn.cluster import KMeans  # a second of import time that few models need
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # comes with it

    check_clusters(k, len(x))
    # one thread: several add their sums in the order in which they end, and the same seed must give the same bytes
    with threadpool_limits(1, "openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer different rows than clusters: some stay empty
        model = KMeans(k, n_init=3, random_state=seed % 2**32)  # pyright: ignore[reportArgumentType]
        model.fit(x.double().cpu().numpy())  # pyright: ignore[reportArgumentType]
    return torch.as_tensor(model.cluster_centers_), torch.as_tensor(model.labels_, dtype=torch.long)


@dataclass(frozen=True)
class PriorClusters(ClosedStep):
    r"""Initialise a mixture prior by the moments of the clusters that k-means finds among the codes.

    Component j of :math:`n_j` codes gets the weight :math:`n_j / N`, and mean and variance of the guide averaged over
    its data, :math:`\bar\mu_j` and :math:`\overline{\sigma^2} + \mathrm{Var}(\mu)`. Components that start equal stay
    equal under gradients, and components that start at random lose their data to a few of them.

    Source: Jiang, Zheng, Tan, Tang & Zhou, "Variational deep embedding", 2017 (who pretrain by an autoencoder).

    Args:
        guide: whose codes are clustered.
        seed: of k-means.
    """

    guide: Guide
    seed: int = 0

    reaches_optimum = True

    def suits(self, model: LatentVariableModel) -> bool:
        prior = model.prior
        mixed = isinstance(prior, Unconditional) and isinstance(prior.family, Mixture)
        part = cast(Mixture, prior.family).part if mixed else None
        return isinstance(part, Gaussian) and part.scale == "each"

    def check(self, model: LatentVariableModel) -> None:
        if not self.suits(model):
            raise CompositionError(
                f"clusters of codes cannot initialise {model.prior.phrase}",
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
        """Return mean and variance [M, Z] of q(z | x) of at most 20,000 rows, in double precision on the CPU."""
        index = evenly_spaced(len(rows), MOST, rows.device, nearest=False)
        noise = stream(self.seed, "clusters", rows.device)
        posteriors = [self.guide(rows.take(part, noise)) for part in index.split(CHUNK)]
        mean = torch.cat([q.mean.double().cpu() for q in posteriors])
        return mean, torch.cat([q.variance.double().cpu() for q in posteriors])
