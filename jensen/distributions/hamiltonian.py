"""A distribution driven towards a density by leapfrog steps: annealing with differentiable steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, constraints

from ..core.errors import NotInvertible
from .moments import EstimatedMoments
from .numbers import antithetic

__all__ = ["HamiltonianFlow"]

POINTS = 32


@dataclass(frozen=True)
class _Sample:
    z: Tensor
    log_prob: Tensor


class HamiltonianFlow(EstimatedMoments, Distribution):
    r"""The end z of T leapfrog steps from :math:`z_0` ~ base, with momenta, through densities between base and target.

    Step t drifts, kicks and drifts, with fresh or partly fresh momentum p and :math:`f_t = q_0^{1-b_t} f^{b_t}`:

    .. math:: z' = z + \tfrac12 s_t p, \quad \hat p = p + s_t \nabla \log f_t(z'), \quad z'' = z' + \tfrac12 s_t \hat p

    with kicks bounded by a limit L, :math:`k \mapsto L \tanh(k/L)` by feature: where the density is steep, a step
    that is too long would make the path diverge. Each of the three preserves volume, whatever the kick, so that the
    path of a sample has a density in (z, momenta), and so has the reverse path, whose momenta are standard normal. In
    place of log q(z) stands the ratio of the two,

    .. math:: \log \bar q = \log q_0(z_0) + \sum_t \left[\log N(p_t) - \log N(\hat p_t)\right],
              \qquad E\left[e^{\log f(z) - \log \bar q}\right] = \int f

    No step is rejected: the map stays differentiable, the estimate of the integral stays unbiased, and its log a lower
    bound on average. It is known at the points of the last sample alone; at any other point it would be an integral
    over all paths that end there. The difference of :math:`\log \bar q` and a normalised density, averaged over
    samples, is at least their Kullback-Leibler divergence: that of the paths, which includes that of the points.

    Mean and variance have no closed form: they are those of 32 fixed paths, an approximation that no bound uses.

    Sources: Salimans, Kingma & Welling, "Markov chain Monte Carlo and variational inference", 2015; Geffner & Domke,
    "MCMC variational inference via uncorrected Hamiltonian annealing", 2021; Zhang, Hsu, Li, Finn & Grosse,
    "Differentiable annealed importance sampling", 2021.

    Args:
        base: over R^Z, with `rsample`; it scores any point.
        target: z [..., B, Z] -> log f [..., B], of any integral.
        temperatures: [T], b_t, the last one 1.
        sizes: [T, ..., Z] step sizes s_t, which broadcast against the batch.
        kept: [] the share of the momentum that passes from step to step, in [0, 1).
        limit: L, in units of the momentum's standard deviation; infinity sets no limit.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    has_rsample = True

    def __init__(
        self,
        base: Distribution,
        target: Callable[[Tensor], Tensor],
        temperatures: Tensor,
        sizes: Tensor,
        kept: Tensor,
        limit: float = math.inf,
    ) -> None:
        self.base, self._target = base, target
        self._temperatures, self._sizes, self._kept, self._limit = temperatures, sizes, kept, limit
        self._last: _Sample | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def through(self, z: Tensor, momenta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the end [..., Z] of the path from z [..., Z] with noise [T, ..., Z] for the momenta, and log q-bar."""
        log_q, p = self.base.log_prob(z), momenta[0]
        fresh = (1 - self._kept.square()).sqrt()
        for t, (b, size) in enumerate(zip(self._temperatures, self._sizes, strict=True)):
            if t:
                p = self._kept * p + fresh * momenta[t]
            before = p.square().sum(-1)
            z = z + 0.5 * size * p
            p = p + self._bounded(size * self._force(z, b))
            z = z + 0.5 * size * p
            log_q = log_q + 0.5 * (p.square().sum(-1) - before)
        return z, log_q

    def _bounded(self, kick: Tensor) -> Tensor:
        return kick if math.isinf(self._limit) else self._limit * torch.tanh(kick / self._limit)

    def _force(self, z: Tensor, b: Tensor) -> Tensor:
        """Return the gradient [..., Z] of log f_t; a constant where no gradients are recorded."""
        recorded = torch.is_grad_enabled()
        with torch.enable_grad():
            at = z if recorded and z.requires_grad else z.detach().requires_grad_(True)
            value = torch.lerp(self.base.log_prob(at), self._target(at), b)
            return torch.autograd.grad(value.sum(), at, create_graph=recorded)[0].requires_grad_(recorded)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        z = self.base.rsample(torch.Size(sample_shape))
        momenta = torch.randn((len(self._temperatures), *z.shape), dtype=z.dtype, device=z.device)
        self._last = _Sample(*self.through(z, momenta))
        return self._last.z

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and value is self._last.z:
            return self._last.log_prob
        raise NotInvertible("a Hamiltonian path has a density at its own points only", "Use Pathwise(k).")

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        mean, (steps, features) = self.base.mean, (len(self._temperatures), self._event_shape[0])
        noise = antithetic(POINTS, (steps + 1) * features).to(mean)
        # the same paths for every datum
        noise = noise.reshape(POINTS, *[1] * len(self._batch_shape), steps + 1, features).movedim(-2, 0)
        if isinstance(self.base, MultivariateNormal):
            spread = (self.base.scale_tril @ noise[0][..., None])[..., 0]
        else:
            spread = self.base.variance.sqrt() * noise[0]
        z, _ = self.through(mean + spread, noise[1:].expand(-1, *(mean + spread).shape))
        return z.mean(0), z.var(0)
