r"""Ways through a diffusion: how samples are drawn from its chain, noise up to a time, and up without noise.

Up, the deterministic step (DDIM) is the one down with its ends exchanged; in many steps both follow the probability
flow:

.. math:: z_t = \frac{\alpha_t}{\alpha_s}(z_s - \sigma_s \hat\epsilon(z_s, s)) + \sigma_t\, \hat\epsilon(z_s, s)

Source: Song, Meng & Ermon, "Denoising diffusion implicit models", 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..core.errors import CompositionError, UsageError
from ..core.validation import require_finite, require_integer
from .diffused import DiffusionPrior
from .diffusion import SAMPLING_STEPS, Diffusion, lower
from .guide import Guide
from .model import LatentVariableModel
from .noise_schedules import signal_and_noise

__all__ = [
    "Denoised",
    "Descent",
    "ascend",
    "chain_prior",
    "check_time",
    "noised",
    "recorded_descent",
    "shares_chain",
    "watched_chain",
    "with_descent",
]

MOST_STEPS = 100_000
LEAST_SHARE = 1e-6  # of the way, below which no time is left to go down


@dataclass(frozen=True)
class Descent:
    """The way down a chain.

    Attributes:
        steps: of the whole way from t = 1; None for the levels of the chain, and 256 of continuous time.
        noise: eta, from 0 (DDIM) to 1 (ancestral, the chain of the bound).
        guidance: multiple of what a label adds; 1 is the model itself.

    Raises:
        UsageError: a number is outside its range.
    """

    steps: int | None = None
    noise: float = 1.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.steps is not None:
            require_integer(1, MOST_STEPS, **{"--steps": self.steps})
        require_finite(0, **{"--guidance": self.guidance})
        if not 0 <= self.noise <= 1:
            raise UsageError(f"noise must be between 0 and 1, got {self.noise:g}", "Give 0 for DDIM, or 1.")

    def steps_from(self, chain: Diffusion, start: float = 1.0) -> int:
        """Return the number of steps from time `start` down: their length is that of all steps.

        Example:
            >>> from torch import nn
            >>> from jensen.models.noise_schedules import LinearSchedule
            >>> Descent(40).steps_from(Diffusion(2, nn.Linear(15, 2), LinearSchedule()), 0.3)
            12
        """
        return max(round(start * (self.steps or chain.levels or SAMPLING_STEPS)), 1)


def chain_prior(model: LatentVariableModel) -> DiffusionPrior | None:
    """Return the prior if it is the chain of a diffusion; None otherwise."""
    return model.prior if isinstance(model.prior, DiffusionPrior) else None


def shares_chain(model: LatentVariableModel, guide: Guide) -> bool:
    """Return whether prior and guide are of one chain, whose rate is an estimate and makes no importance weights."""
    return chain_prior(model) is not None and guide.samples_rate


def with_descent(model: LatentVariableModel, descent: Descent) -> LatentVariableModel:
    """Return a model of the same chain, likelihood and labels, whose samples are drawn in another way.

    Raises:
        CompositionError: the prior is no chain, or guidance is asked of one without labels.
    """
    prior = chain_prior(model)
    if prior is None:
        raise CompositionError(
            "steps, DDIM and guidance are of a diffusion, and the prior of this model is none",
            "Leave them out, or train one: --recipe diffusion.",
        )
    if descent.guidance != 1 and not prior.diffusion.context:
        raise CompositionError(
            "guidance is towards a label, and this chain has none",
            "Leave --guidance out, or train with labels: --recipe conditional-diffusion.",
        )
    other = DiffusionPrior(prior.diffusion, descent.steps, descent.noise, descent.guidance)
    return LatentVariableModel(other, model.likelihood, model.context)


@contextmanager
def watched_chain(model: LatentVariableModel, watch: Callable[[float], object]) -> Iterator[None]:
    """Report the progress of samples of a chain within the scope; of another model, nothing."""
    prior = chain_prior(model)
    if prior is None:
        yield
        return
    before, prior.watch = prior.watch, watch
    try:
        yield
    finally:
        prior.watch = before


def check_time(t: float) -> None:
    """Refuse a time that is not above 0, and at most 1.

    Raises:
        UsageError: it is none.
    """
    require_finite(**{"--from-noise": t})
    if not LEAST_SHARE <= t <= 1:
        raise UsageError(f"--from-noise must be a time above 0, and at most 1, got {t:g}", "Give one such as 0.5.")


def noised(chain: Diffusion, x: Tensor, t: float) -> Tensor:
    r"""Return :math:`z_t = \alpha_t x + \sigma_t \epsilon` [..., D], with noise of torch's own generator.

    Args:
        chain: whose schedule it is.
        x: [..., D] the code.
        t: time, above 0 and at most 1.

    Raises:
        UsageError: t is no such time.
    """
    check_time(t)
    alpha, sigma = signal_and_noise(chain.schedule(x.new_tensor(t)))
    return alpha * x + sigma * torch.randn_like(x)


@torch.no_grad()
def ascend(chain: Diffusion, z: Tensor, steps: int | None = None, context: Tensor | None = None) -> Tensor:
    """Go up from z_0 [..., D] to z_1 in deterministic steps, which `Diffusion.descend` with noise 0 takes back.

    Args:
        chain: the diffusion.
        z: at time 0.
        steps: of equal length in time; see `Descent`.
        context: [..., C].
    """
    n = Descent(steps).steps_from(chain)
    gammas = chain.schedule(torch.linspace(0.0, 1.0, n + 1, dtype=z.dtype, device=z.device))
    for gamma, above in pairwise(gammas):
        estimate = chain.noise_at(z, gamma, context)
        (alpha, sigma), (higher_alpha, higher_sigma) = signal_and_noise(gamma), signal_and_noise(above)
        z = higher_alpha / alpha * (z - sigma * estimate) + higher_sigma * estimate
    return z


@dataclass(frozen=True)
class Denoised:
    """Points on the way down.

    Attributes:
        t: time.
        z: [..., D] at this time.
        x: [..., D] the estimate of what is without noise.
    """

    t: float
    z: Tensor
    x: Tensor


@torch.no_grad()
def recorded_descent(
    chain: Diffusion, z: Tensor, shown: int, descent: Descent, context: Tensor | None = None
) -> list[Denoised]:
    """Return evenly spaced points on the way down from z_1, from t = 1 to 0.

    Args:
        chain: the diffusion.
        z: [..., D] at t = 1.
        shown: how many points, at least 2.
        descent: the way down.
        context: [..., C].
    """
    require_integer(2, shown=shown)
    n = descent.steps_from(chain)
    kept = {round(i * n / (shown - 1)) for i in range(shown)}
    gammas = chain.schedule(torch.linspace(1.0, 0.0, n + 1, dtype=z.dtype, device=z.device))
    points = []
    for step, gamma in enumerate(gammas):
        estimate = chain.noise_at(z, gamma, context, descent.guidance)
        if step in kept:
            alpha, sigma = signal_and_noise(gamma)
            points.append(Denoised(1 - step / n, z, (z - sigma * estimate) / alpha))
        if step < n:
            z, scale = lower(z, estimate, gamma, gammas[step + 1], descent.noise)
            z = z + scale * torch.randn_like(z) if descent.noise else z
    return points
