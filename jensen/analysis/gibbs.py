"""Metropolis-within-Gibbs: chains over z and the missing entries, given the observed entries."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.random import drawing_from
from ..models.draw import place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["Chains", "likelihood_at", "missing_at", "split_r_hat"]


def likelihood_at(model: LatentVariableModel, z: Tensor, context: Tensor | None = None) -> Distribution:
    """Return p(x | z) at z [K, B, Z], with batch shape [K, B], also where the likelihood does not depend on z."""
    return model.likelihood.at(model.likelihood_params(z, context)).expand(z.shape[:-1])


def missing_at(model: LatentVariableModel, z: Tensor, batch: Batch) -> Distribution:
    """Return the distribution of missing entries at z [K, B, Z]: p(x | z), unless they are missing by their values."""
    return model.likelihood.missing(model.likelihood_params(z, batch.context), batch.hidden).expand(z.shape[:-1])


class Chains:
    """m chains of (z, x_missing) for each datum of a batch, which leave p(z, x_missing | x_observed) invariant.

    Args:
        z: [m, B, Z] initial points, with x [m, B, D] there.
        of_params: of the parameters of p(x | z), whose average is wanted in place of the mean of x; see `Statistics`.
    """

    def __init__(
        self,
        model: LatentVariableModel,
        guide: Guide,
        batch: Batch,
        z: Tensor,
        x: Tensor,
        noise: torch.Generator,
        of_params: Callable[[Tensor, Tensor | None], Tensor] | None = None,
    ) -> None:
        self.model, self.guide, self.noise, self.of_params = model, guide, noise, of_params
        self.m, self.batch, (self.z, self.x) = len(z), batch, (z.flatten(0, 1), x.flatten(0, 1))
        self.mask = torch.as_tensor(batch.mask).repeat(self.m, 1)
        own = (batch.context, batch.hidden)
        self.context, self.hidden = (None if each is None else each.repeat(self.m, 1) for each in own)

    def run(self, steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Run the chains. Return acceptance [B], R-hat [B] and mean [B, D] of the second half, and the final z [m, B,
        Z] and x [m, B, D]."""
        trace, accepted, mean = [], torch.zeros_like(self.z[:, 0:1].sum(-1)), self.x.new_zeros(())
        for step in range(steps):
            moved, expected, scalars = self._step()
            if step >= steps // 2:
                trace.append(scalars)
                accepted += moved
                mean = mean + expected
        n, shape = len(trace), (self.m, len(self.batch))
        r_hat = split_r_hat(torch.stack(trace).unflatten(-1, shape)).amax(0)
        mean = (mean / n).unflatten(0, shape).mean(0)
        accepted = (accepted / n).unflatten(0, shape).mean(0).double()
        return accepted, r_hat, mean, self.z.unflatten(0, shape), self.x.unflatten(0, shape)

    def _step(self) -> tuple[Tensor, Tensor, Tensor]:
        """Make one step, and return whether chains moved [mB], E[x | z] [mB, D] or the statistics of parameters in its
        place [mB, S], and two scalars to monitor [2, mB]."""
        full = Batch(self.x, None, self.context)
        q = self.guide(full)
        proposed, _ = place(q, 1, self.noise)
        draw = weigh(self.model, q, torch.cat([self.z[None], proposed]), full)
        gain = draw.log_weight[1] - draw.log_weight[0]
        u = torch.rand(gain.shape, generator=self.noise, dtype=gain.dtype, device=gain.device)
        moved = u.log() < gain
        self.z = torch.where(moved[:, None], proposed[0], self.z)
        params = draw.likelihood_params
        if params.dim() > 1:  # else the likelihood does not depend on z
            before, after = params.expand(2, len(self.z), -1)
            params = torch.where(moved[:, None], after, before)
        likelihood = self.model.likelihood.missing(params, self.hidden).expand((len(self.z),))
        log_lik = self.model.likelihood.scored_batch(params, Batch(self.x, self.mask, hidden=self.hidden))
        before, after = draw.log_prior.sum(-1)
        log_prior = torch.where(moved, after, before)
        with drawing_from(self.noise):
            drawn = likelihood.sample()
        self.x = torch.where(self.mask, self.x, drawn)
        mean = likelihood.mean
        missing = torch.where(self.mask, torch.zeros_like(mean), mean).sum(-1) / (~self.mask).sum(-1)
        expected = mean if self.of_params is None else self.of_params(params, self.hidden).expand(len(mean), -1)
        return moved.to(mean), expected, torch.stack([log_lik + log_prior, missing])


def split_r_hat(trace: Tensor) -> Tensor:
    r"""Return R-hat of M chains, each split into two halves: 1 where they agree.

    .. math:: \hat R = \sqrt{\frac{(n-1) W / n + B / n}{W}}

    with W the mean variance within the halves, and B / n the variance of their means.

    Args:
        trace: [T, S, M, B]: T steps, S scalars, M chains, B data.

    Returns:
        [S, B]; infinity where no chain moved, and their values differ.

    Source: Gelman, Carlin, Stern, Dunson, Vehtari & Rubin, "Bayesian data analysis", 3rd edition, 2013, 11.4.

    Example:
        >>> noise = torch.randn(1000, 1, 4, 1, generator=torch.Generator().manual_seed(0))
        >>> round(float(split_r_hat(noise)), 2)
        1.0
    """
    n = len(trace) // 2
    halves = torch.cat([trace[:n], trace[-n:]], 2).double()  # [n, S, 2M, B]
    within, between = halves.var(0).mean(1), halves.mean(0).var(1)
    ratio = ((n - 1) / n * within + between) / within
    return torch.where(within > 0, ratio, torch.where(between > 0, torch.inf, 1.0)).sqrt()
