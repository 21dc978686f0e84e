r"""Missing entries by particles that go down the chain of a diffusion beside the noised observed entries.

The observed part of the chain is drawn from :math:`q(z^o_{0..1} | x_o)`, once for each datum. K particles of the rest
go down with it; where the chain goes from t to s, a particle is weighted by what it says of the observed part there,
and its own part is drawn from the same step:

.. math:: w \leftarrow w\; p(z^o_s | z_t), \qquad z^m_s \sim p(z^m_s | z_t)

With K they tend to :math:`p(z^m_{0..1} | z^o_{0..1})`. Where the chain is the reversal of the noise, that is
:math:`p(z^m_0 | x_o)` for every observed part; a trained chain of few steps is near to it. One particle is the plain
replacement of the observed part (Song et al., "Score-based generative modeling through stochastic differential
equations", 2021), which ignores the weights.

Source: Trippe et al., "Diffusion probabilistic modeling of protein backbones in 3D for the motif-scaffolding problem",
2023.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.random import drawing_from
from ..families import Columns
from ..models.descents import shares_chain
from ..models.diffused import Diffused
from ..models.diffusion import lower
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..models.noise_schedules import signal_and_noise
from ..nets import Standardize
from .chain_rates import chain_of_guide, codes_of
from .gibbs import missing_at
from .weighted_points import WeightedPoints

__all__ = ["PARTICLES", "STEPS", "check_particles", "imputation_method", "particles", "systematic"]

METHOD = "particles"
PARTICLES, STEPS = 64, 100
AT_ONCE = 1024  # particles of all data that a network sees at once
REMEDY = "Train one that imputes by weights: --recipe miwae, or table for a mixed table."


def imputation_method(model: LatentVariableModel, guide: Guide, method: str | None) -> str:
    """Return the method by which missing entries of a model are drawn: of a diffusion particles, else sir unless given.

    Raises:
        UsageError: another method is asked of a diffusion, or particles of another model.
    """
    is_chain = shares_chain(model, guide)
    if method is None:
        return METHOD if is_chain else "sir"
    if is_chain and method != METHOD:
        what = f"--method {method} weights points by the rate, which a diffusion only estimates"
        raise UsageError(what, f"Leave it out: a diffusion imputes by {METHOD}.")
    if method == METHOD and not is_chain:
        raise UsageError(f"--method {METHOD} is of a diffusion, and this model is none", "Leave it out.")
    return method


def check_particles(model: LatentVariableModel, guide: Guide) -> None:
    """Refuse chains in which an observed entry has no place of its own.

    Raises:
        CompositionError: noise is added to a code whose features are not those of x.
    """
    code = guide.code if isinstance(guide, Diffused) else None
    if not isinstance(guide, Diffused) or not (code is None or isinstance(code, Standardize)):
        raise CompositionError(
            "this diffusion adds noise to a code of x, in which observed entries have no places of their own", REMEDY
        )
    family = model.likelihood.family
    if isinstance(family, Columns) or family.dim != guide.diffusion.dim:
        raise CompositionError("features of this chain are not those of the data, one for one", REMEDY)


def systematic(log_w: Tensor, u: Tensor) -> Tensor:
    """Return numbers of particles [K, B] drawn by their weights, with one random number for each datum.

    A particle of normalised weight w is drawn at least floor(K w), and at most ceil(K w) times.

    Args:
        log_w: [K, B].
        u: [B] from 0 to 1.

    Source: Kitagawa, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models", 1996.

    Example:
        >>> systematic(torch.tensor([0.5, 0.25, 0.25, 0.0]).log()[:, None], torch.tensor([0.5])).T
        tensor([[0, 0, 1, 2]])
    """
    k = len(log_w)
    ends = torch.softmax(log_w.double(), 0).cumsum(0).mT.contiguous()
    places = (torch.arange(k, device=u.device)[:, None] + u.double()) / k
    return torch.searchsorted(ends, places.mT.contiguous(), right=True).mT.clamp_max(k - 1)


@torch.no_grad()
def particles(
    model: LatentVariableModel, guide: Guide, batch: Batch, k: int, steps: int, noise: torch.Generator
) -> WeightedPoints:
    """Return K weighted particles at z_0 of each datum, beside its observed entries.

    They are resampled where their effective number falls below K / 2. What is reported as their effective number is
    that of their ancestors at t = 1, whose weights are those of all that descend from them.

    Args:
        model, guide: see `check_particles`.
        batch: [B, D] with a mask.
        k: K.
        steps: of equal length in time.
        noise: of all randomness.
    """
    guide = chain_of_guide(guide)
    chain, mask, b = guide.diffusion, torch.as_tensor(batch.mask), len(batch)
    x, context = codes_of(guide, batch.x), batch.context if guide.diffusion.context else None
    gammas = chain.schedule(torch.linspace(1.0, 0.0, steps + 1, dtype=x.dtype, device=x.device))
    stay = torch.arange(k, device=x.device)[:, None].expand(k, b)
    ancestors = stay
    log_w = torch.zeros(k, b, dtype=torch.float64, device=x.device)
    with drawing_from(noise):
        alpha, sigma = signal_and_noise(gammas[0])
        seen = alpha * x + sigma * torch.randn_like(x)
        z = torch.where(mask, seen, torch.randn(k, *x.shape, dtype=x.dtype, device=x.device))
        for gamma, below in pairwise(gammas):
            loc, scale = lower(z, chain.noise_at(z, gamma, context), gamma, below)
            alpha, sigma = signal_and_noise(gamma)
            seen = lower(seen, (seen - alpha * x) / sigma, gamma, below)[0] + scale * torch.randn_like(x)
            log_w = log_w - 0.5 * torch.where(mask, ((seen - loc) / scale).square(), 0).double().sum(-1)
            few = 1 / torch.softmax(log_w, 0).square().sum(0) < k / 2
            chosen = systematic(log_w, torch.rand(b, dtype=x.dtype, device=x.device))
            if bool(few.any()):
                index = torch.where(few, chosen, stay)
                loc, ancestors = loc.gather(0, index[..., None].expand_as(loc)), ancestors.gather(0, index)
                log_w = torch.where(few, 0.0, log_w)
            z = torch.where(mask, seen, loc + scale * torch.randn_like(loc))
    log_w = log_w + model.likelihood.scored_batch(model.likelihood_params(z, batch.context), batch).double()
    mean = torch.einsum("kb,kbd->bd", torch.softmax(log_w, 0), missing_at(model, z, batch).mean.double())
    return WeightedPoints.checked(z, log_w, mean, annealed=True, ancestors=ancestors)
