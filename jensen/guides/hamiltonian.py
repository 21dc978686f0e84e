"""A guide by the model's own gradient: annealing with trained steps."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.nn.functional import softmax

from ..core.annotations import Steps
from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import HamiltonianFlow
from ..families import positive
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["Hamiltonian"]


@part
class Hamiltonian(Guide):
    r"""z at the end of T leapfrog steps from another guide towards p(z | x), with random momenta.

    Every weight of a draw is one of annealed importance sampling whose moves are not corrected, so that E[w] = p(x):
    the ELBO and the importance-weighted bound are stochastic lower bounds on log p(x), tighter with more steps (see
    `HamiltonianFlow`). log q(z | x) itself is not known: in its place, a draw has the log-ratio of the path to its
    reverse, the rate is that of the paths, which is at least KL(q(z|x) || p(z)), and points that the guide did not draw
    cannot be scored. Temperatures, step sizes (in units of the first guide's scale) and the share of momentum that
    is kept are trained too; gradients pass through the steps, also to the model.

    Each point costs T gradients of log p(x, z), and in training the gradients of these.

    Sources: Salimans, Kingma & Welling, 2015; Geffner & Domke, 2021; Zhang et al., 2021.

    Args:
        model: of log p(x, z), whose gradient moves the points.
        guide: the distribution of the first points; it scores any point and has a pathwise gradient.
        leaps: T.
        size: of the first steps, before training.
        kept: share of the momentum that passes from step to step, before training, in (0, 1).
        limit: of a kick, in units of the momentum's standard deviation.

    Raises:
        UsageError: a number is out of range.
        CompositionError: the model has no latent; the guide is exact, has no density, or does not score any point;
            when called, it is not over real features.

    Example:
        >>> from jensen.models.conditionals import Given, Linear, Unconditional
        >>> from jensen.families import Gaussian
        >>> from jensen.guides import Amortized
        >>> model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 5))
        >>> guide = Hamiltonian(model, Amortized(Given(nn.Linear(5, 4), Gaussian(2))), leaps=3)
        >>> guide(Batch(torch.zeros(7, 5))).rsample().shape
        torch.Size([7, 2])
    """

    def __init__(
        self,
        model: LatentVariableModel,
        guide: Guide,
        leaps: Steps = 4,
        size: float = 0.5,
        kept: float = 0.9,
        limit: float = 2.0,
    ) -> None:
        super().__init__()
        require_integer(leaps=leaps)
        if not 0 < size < float("inf") or not 0 < kept < 1 or not limit > 0:
            what = "size must be positive and finite, kept between 0 and 1, and limit positive, got"
            raise UsageError(f"{what} size={size:g}, kept={kept:g}, limit={limit:g}", "Try 0.5, 0.9 and 2.")
        if model.latent == 0:
            raise CompositionError("this model has no latent, and a Hamiltonian guide needs one", "Use Exact(model).")
        if guide.is_exact or not guide.has_density or not guide.scores_any_point:
            raise CompositionError(
                f"a path cannot start from {guide.phrase}", "Use Hamiltonian(model, Amortized(...)), with a Gaussian."
            )
        self.model, self.guide, self.size, self.kept, self.limit = model, guide, size, kept, limit
        self.raw_temperatures = nn.Parameter(torch.zeros(leaps))
        self.raw_sizes = nn.Parameter(torch.zeros(leaps, model.latent))
        self.raw_kept = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> Distribution:
        base = self.guide(batch)
        if base.event_shape != (self.model.latent,) or not base.has_rsample:
            raise CompositionError(
                f"a path over {self.model.latent} real features cannot start from {self.guide.phrase}",
                "Use a Gaussian guide of as many features.",
            )
        temperatures = softmax(self.raw_temperatures, 0).cumsum(0)
        sizes = self.size * positive(self.raw_sizes)[:, None] * _scale(base)
        kept = torch.sigmoid(self.raw_kept + torch.logit(torch.as_tensor(self.kept, dtype=self.raw_kept.dtype)))
        return HamiltonianFlow(base, partial(self.model.log_joint, batch), temperatures, sizes, kept, self.limit)

    @property
    def phrase(self) -> str:
        return f"{self.guide.phrase}, then {len(self.raw_sizes)} leapfrog steps towards the posterior"

    @property
    def scores_any_point(self) -> bool:
        return False


def _scale(base: Distribution) -> Tensor:
    """Return the standard deviations [B, Z] or [1] of the first guide, the units of steps; 1 where it has none."""
    if isinstance(base, Independent) and isinstance(base.base_dist, Normal):
        return base.base_dist.scale
    if isinstance(base, MultivariateNormal):
        return base.variance.sqrt()
    return torch.ones(1).to(base.mean)
