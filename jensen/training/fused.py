"""Adam's fused step without what torch.optim does around it in Python, which costs more than a small model's step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["FusedAdam", "adam_step"]

_KINDS = (torch.optim.Adam, torch.optim.AdamW)


def _function(group: dict[str, Any]) -> Any:
    """Return torch's fused step for a group of options; an Adam may decay its weights as AdamW does."""
    return getattr(torch, "_fused_adamw_" if group.get("decoupled_weight_decay") else "_fused_adam_")


class FusedAdam:
    """Takes the steps of a fused Adam or AdamW, on its own state and to the same bits.

    Args:
        optimizer: of torch.optim; others than a plain fused Adam take their own step.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> steps = FusedAdam(torch.optim.Adam([weight], lr=0.1, fused=True))
        >>> weight.grad = torch.ones(1)
        >>> steps.step()
        >>> round(weight.item(), 3)
        -0.1
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.is_fused = type(optimizer) in _KINDS and len(optimizer.param_groups) == 1 and self._is_plain()
        self.lists: tuple[list[Any], ...] = ()
        self.counts = torch.zeros(0)

    def _is_plain(self) -> bool:
        group = self.optimizer.param_groups[0]
        special = any(group.get(name) for name in ("amsgrad", "maximize", "capturable", "differentiable"))
        return group.get("fused") is True and not special and isinstance(group["lr"], float)

    @torch.no_grad()
    def step(self) -> None:
        """Take one step along the present gradients."""
        group = self.optimizer.param_groups[0]
        gradients = [p.grad for p in group["params"]]
        if not self.is_fused or any(g is None for g in gradients) or not self._hold_state():
            self.optimizer.step()
            return
        parameters, means, squares, steps = self.lists
        self.counts.add_(1)
        adam_step(self.optimizer, parameters, gradients, means, squares, steps)

    def _hold_state(self) -> bool:
        """Return whether every parameter has its state, and hold on to it: the state's own tensors."""
        state, parameters = self.optimizer.state, self.optimizer.param_groups[0]["params"]
        first: dict[str, Tensor] = state.get(parameters[0], {})
        if self.lists and self.lists[1][0] is first.get("exp_avg"):
            return True
        if any("exp_avg" not in state.get(p, {}) for p in parameters) or len({p.device for p in parameters}) > 1:
            return False
        if len({p.dtype for p in parameters}) > 1:
            return False
        own = [state[p] for p in parameters]
        self.counts = torch.stack([s["step"] for s in own])
        for mine, count in zip(own, self.counts.unbind(), strict=True):
            mine["step"] = count  # parts of one tensor, which one operation advances
        self.lists = (
            [p.detach() for p in parameters],
            [s["exp_avg"] for s in own],
            [s["exp_avg_sq"] for s in own],
            [s["step"] for s in own],
        )
        return True


def adam_step(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    steps: Sequence[Tensor],
) -> None:
    """Move these tensors as a fused Adam or AdamW with one group of options moves its parameters.

    Args:
        optimizer: of which the options are.
        parameters: to move.
        gradients: of the loss by them.
        means, squares: running averages of gradients and their squares.
        steps: numbers of steps, this one included.
    """
    group = optimizer.param_groups[0]
    beta1, beta2 = group["betas"]
    function = _function(group)
    function(
        parameters,
        gradients,
        means,
        squares,
        [],
        steps,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )
