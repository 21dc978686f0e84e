r"""The probability flow of a diffusion: the ordinary differential equation whose marginals are those of the noise.

With :math:`\gamma` as time, :math:`\hat\epsilon` the estimated noise and v the velocity,

.. math:: \frac{dz}{d\gamma} = \tfrac12 \sigma (\hat\epsilon(z, \gamma) - \sigma z)
          = \tfrac12 \sigma \alpha\, v(z, \gamma), \qquad
          \log p(z_0) = \log N(z_1; 0, I) + \int_{\gamma_0}^{\gamma_1} \nabla \cdot \frac{dz}{d\gamma}\, d\gamma

It is a normalised density of z_0 of its own, of the network and not of the chain, up to the error of the solver.

Source: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, "Score-based generative modeling through stochastic
differential equations", 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ..core.errors import NumericalError
from ..core.parts import part
from ..core.validation import require_finite
from ..distributions.numbers import LOG_2PI
from ..families import Gaussian
from .conditionals import Conditional
from .diffusion import Diffusion
from .noise_schedules import signal_and_noise

__all__ = ["FlowPath", "ProbabilityFlow", "follow_flow"]

EXACT_MOST = 32  # features up to which the trace is a sum over all of them
TOLERANCE = 1e-5


@dataclass(frozen=True)
class FlowPath:
    """The end of a path from z_0 up to z_1, or down.

    Attributes:
        z: [..., D] at the end.
        gain: [...] the integral of the divergence along the way from gamma_0 to gamma_1, in nats.
        is_exact: the divergence is a sum over all features, and no estimate.
        evaluations: of the network.
    """

    z: Tensor
    gain: Tensor
    is_exact: bool
    evaluations: int

    @property
    def log_prob(self) -> Tensor:
        """log p(z_0) [...] in nats, of a path that went up."""
        return -0.5 * (self.z.square().sum(-1) + self.z.shape[-1] * LOG_2PI) + self.gain


def _divergence(v: Tensor, z: Tensor, probe: Tensor | None) -> Tensor:
    """Return the divergence of v by z [N, D], or an estimate by a probe [N, D] of signs (Hutchinson, 1990)."""
    if probe is not None:
        (product,) = torch.autograd.grad(v, z, probe)
        return (product * probe).sum(-1)
    terms = []
    for d in range(z.shape[-1]):
        (row,) = torch.autograd.grad(v[:, d].sum(), z, retain_graph=d + 1 < z.shape[-1])
        terms.append(row[:, d])
    return torch.stack(terms).sum(0)


def follow_flow(
    diffusion: Diffusion,
    z: Tensor,
    *,
    down: bool = False,
    tolerance: float = TOLERANCE,
    exact: bool | None = None,
    context: Tensor | None = None,
) -> FlowPath:
    """Follow the flow from z_0 [..., D] up to z_1, or from z_1 down to z_0, with the divergence on the way.

    The solver is of order 5 with adaptive steps (Dormand & Prince, 1980), which all points share.

    Args:
        diffusion: the chain.
        z: where paths begin.
        down: from gamma_1 to gamma_0.
        tolerance: of the solver, absolute and relative, for each step.
        exact: the divergence is a sum over all features, or estimated by one random probe for each point, without bias;
            for at most 32 features it is exact unless this says otherwise.
        context: [..., C] of a chain with labels, which broadcasts to the points; zeros unless given.

    Raises:
        NumericalError: the solver cannot go on.
    """
    from scipy.integrate import solve_ivp  # a tenth of a second of import time

    require_finite(0, tolerance=tolerance)
    flat, size = z.detach().reshape(-1, z.shape[-1]), z.shape[-1]
    n, exact = len(flat), size <= EXACT_MOST if exact is None else exact
    probe = None if exact else torch.randint(0, 2, flat.shape, device=z.device).to(flat) * 2 - 1
    schedule, count = diffusion.schedule, 0
    label = None if context is None else context.expand(*z.shape[:-1], -1).reshape(n, -1)

    def slope(gamma: float, state: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        point = torch.from_numpy(state[: n * size].reshape(n, size)).to(flat).requires_grad_()
        at = flat.new_full((), gamma)
        alpha, sigma = signal_and_noise(at)
        with torch.enable_grad():
            v = diffusion.velocity(point, at.expand(n), label)
            divergence = _divergence(v, point, probe)
        half = 0.5 * alpha * sigma
        return torch.cat([(half * v).flatten(), half * divergence]).detach().double().cpu().numpy()

    ends = (schedule.end, schedule.start) if down else (schedule.start, schedule.end)
    state = np.concatenate([flat.double().cpu().numpy().ravel(), np.zeros(n)])
    solved = solve_ivp(slope, ends, state, t_eval=ends[1:], rtol=tolerance, atol=tolerance)
    if not solved.success or not np.isfinite(solved.y).all():
        raise NumericalError(
            f"the probability flow could not be followed: {solved.message}",
            "Raise the tolerance, or use the bound, which needs no solver.",
        )
    end = torch.from_numpy(solved.y[:, -1]).to(flat)
    gain = end[n * size :].reshape(z.shape[:-1])
    return FlowPath(end[: n * size].reshape(z.shape), -gain if down else gain, exact, count)


class _Flow(Distribution):
    """p(z_0) by the flow."""

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, flow: ProbabilityFlow, context: Tensor | None, batch: Sequence[int] = ()) -> None:
        self.flow, self.context = flow, context
        super().__init__(torch.Size(batch), torch.Size((flow.diffusion.dim,)), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: None = None) -> _Flow:
        return _Flow(self.flow, self.context, batch_shape)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        like = next((p for p in self.flow.diffusion.parameters() if p.is_floating_point()), torch.zeros(()))
        top = torch.randn(*sample_shape, *self._batch_shape, *self._event_shape, dtype=like.dtype, device=like.device)
        tolerance = self.flow.tolerance
        return follow_flow(
            self.flow.diffusion, top, down=True, tolerance=tolerance, exact=False, context=self.context
        ).z

    def log_prob(self, value: Tensor) -> Tensor:
        return self.flow.log_prob(value, self.context)


@part
class ProbabilityFlow(Conditional):
    """p(z_0) by the probability flow of a diffusion: a density, up to the error of the solver.

    With more than 32 features the divergence is estimated, and log p(z_0) with it: without bias, so that a mean of it
    is right, and importance weights are not. It has no gradients: the chain is trained with `DiffusionPrior`.

    Args:
        diffusion: the chain.
        tolerance: of the solver.

    Source: Song et al., "Score-based generative modeling through stochastic differential equations", 2021.
    """

    def __init__(self, diffusion: Diffusion, tolerance: float = TOLERANCE) -> None:
        super().__init__()
        self.diffusion, self.tolerance, self.family = diffusion, tolerance, Gaussian(diffusion.dim)

    @property
    def samples_density(self) -> bool:
        return self.diffusion.dim > EXACT_MOST

    @property
    def is_differentiable(self) -> bool:
        return False

    def params(self, c: Tensor | None = None) -> Tensor:
        """Return nothing: the density has no flat parameters, and they are not read."""
        return torch.zeros(self.family.size)

    def forward(self, c: Tensor | None = None) -> Distribution:
        context = c if self.diffusion.context else None
        return _Flow(self, context, () if context is None else context.shape[:-1])

    def log_prob(self, y: Tensor, c: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return follow_flow(
            self.diffusion, y, tolerance=self.tolerance, context=c if self.diffusion.context else None
        ).log_prob

    @property
    def phrase(self) -> str:
        return f"probability flow of {self.diffusion.phrase}"
