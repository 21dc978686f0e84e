"""Hamiltonian moves, batched over chains and data, for annealing between two log-densities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Ends", "State", "fresh", "move"]


@dataclass(frozen=True)
class Ends:
    """The two ends of an annealing path, log f_b = (1 - b) log f_0 + b log f_1.

    Attributes:
        start: z [S, B, Z] -> log f_0 [S, B], normalised.
        goal: z [S, B, Z] -> log f_1 [S, B], to be integrated.
    """

    start: Callable[[Tensor], Tensor]
    goal: Callable[[Tensor], Tensor]

    def at(self, z: Tensor) -> State:
        """Return both log-densities and their gradients at z."""
        z = z.detach().requires_grad_(True)
        with torch.enable_grad():
            start, goal = self.start(z), self.goal(z)
            pull_start = _gradient(start, z)
            pull_goal = _gradient(goal, z)
        return State(z.detach(), start.detach(), goal.detach(), pull_start, pull_goal)


def _gradient(value: Tensor, z: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(z)
    return torch.autograd.grad(value.sum(), z)[0]


@dataclass(frozen=True)
class State:
    """The position of the chains: z [S, B, Z], log f_0 and log f_1 [S, B] there, and their gradients [S, B, Z]."""

    z: Tensor
    start: Tensor
    goal: Tensor
    pull_start: Tensor
    pull_goal: Tensor

    def energy(self, b: float) -> Tensor:
        """Return log f_b [S, B]."""
        return torch.lerp(self.start, self.goal, b)

    def pull(self, b: float) -> Tensor:
        """Return the gradient of log f_b [S, B, Z]."""
        return torch.lerp(self.pull_start, self.pull_goal, b)

    def where(self, accept: Tensor, other: State) -> State:
        """Return the other state where accepted [S, B], this one elsewhere."""
        wide = accept[..., None]
        return State(
            torch.where(wide, other.z, self.z),
            torch.where(accept, other.start, self.start),
            torch.where(accept, other.goal, self.goal),
            torch.where(wide, other.pull_start, self.pull_start),
            torch.where(wide, other.pull_goal, self.pull_goal),
        )


def fresh(z: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the random numbers of a move of chains at z [S, B, Z]: momenta, and [S, B] for their acceptance."""
    momentum = torch.randn(z.shape, dtype=z.dtype, device=z.device, generator=generator)
    return momentum, torch.rand(z.shape[:-1], dtype=z.dtype, device=z.device, generator=generator)


def move(
    ends: Ends, state: State, b: float, step: Tensor, leapfrog_steps: int, generator: torch.Generator
) -> tuple[State, Tensor]:
    """Return one Hamiltonian move that leaves f_b invariant, and whether each chain accepted it [S, B].

    The momentum is fresh, the correction is Metropolis's (Duane et al., 1987; Neal, 2011). A trajectory that
    is not finite is rejected.

    Args:
        step: [..., Z] step size per feature, broadcast against z; it must not depend on this run's noise.
    """
    momentum, u = fresh(state.z, generator)
    before = state.energy(b) - 0.5 * momentum.square().sum(-1)
    new, p = state, momentum + 0.5 * step * state.pull(b)
    for i in range(leapfrog_steps):
        new = ends.at(new.z + step * p)
        p = p + (1.0 if i + 1 < leapfrog_steps else 0.5) * step * new.pull(b)
    after = new.energy(b) - 0.5 * p.square().sum(-1)
    accept = torch.log(u) < after - before  # a NaN compares false: rejected
    return state.where(accept, new), accept
