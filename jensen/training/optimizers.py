"""Optimisers by name, and learning-rate schedules as functions of progress."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..core.errors import UsageError

__all__ = ["SCHEDULES", "Optimizer", "optimizer_names", "schedule_factor"]

SCHEDULES = ("cosine", "constant", "linear")

_UNUSABLE = ("Optimizer", "SparseAdam")  # the base class; and one that takes only sparse gradients, which none is here


def schedule_factor(name: str, progress: float) -> float:
    """The factor of the learning rate at this fraction of training: "constant", "cosine" or "linear" decay to zero.

    Example:
        >>> schedule_factor("cosine", 0.5)
        0.5
    """
    if name == "cosine":
        return round(0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0))), 12)
    if name == "linear":
        return max(1.0 - progress, 0.0)
    if name == "constant":
        return 1.0
    raise UsageError(f"there is no schedule {name!r}", f"Choose from {', '.join(SCHEDULES)}.")


def optimizer_names() -> list[str]:
    """Everything in torch.optim that can be named."""
    return sorted(
        name
        for name, kind in vars(torch.optim).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and name not in _UNUSABLE
    )


@dataclass(frozen=True)
class Optimizer:
    """An optimiser of torch.optim, by name; fused where it has a fused form.

    Args:
        name: a class in `torch.optim`, in any case.
        lr: learning rate.
        options: further keyword arguments of that class.

    Raises:
        UsageError: there is no such optimiser, or the rate is not positive; when called, an optimiser that does not
            take such parameters (Muon is for matrices alone).

    Example:
        >>> Optimizer("adamw", lr=1e-3)([nn.Parameter(torch.zeros(1))]).defaults["lr"]
        0.001
    """

    name: str = "Adam"
    lr: float = 1e-3
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        known = {n.lower(): n for n in optimizer_names()}
        if self.name.lower() not in known:
            raise UsageError(f"torch.optim has no optimiser {self.name!r}", f"Choose from {', '.join(known.values())}.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UsageError(
                f"a learning rate of {self.lr:g} cannot work", "Give --lr a positive number, such as 1e-3."
            )
        object.__setattr__(self, "name", known[self.name.lower()])

    def __call__(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        kind = getattr(torch.optim, self.name)
        options = dict(self.options)
        if (
            "fused" in inspect.signature(kind).parameters
            and parameters
            and parameters[0].device.type in ("cpu", "cuda")
        ):
            options.setdefault("fused", True)
        if kind is torch.optim.LBFGS:  # without a line search it diverges on a plain factor analysis
            options.setdefault("line_search_fn", "strong_wolfe")
        try:
            return kind(list(parameters), lr=self.lr, **options)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"{self.name} cannot train these parameters ({error})", "Use --optimizer Adam.") from error
