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

_UNUSABLE = ("Optimizer", "SparseAdam")  # the base class, and one for sparse gradients alone


def schedule_factor(name: str, progress: float) -> float:
    """Return the factor of the learning rate at a fraction of training: "cosine" and "linear" decay to zero.

    Args:
        name: "cosine", "linear" or "constant".
        progress: the fraction of training that is done, 0 to 1.

    Raises:
        UsageError: there is no such schedule.

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
    """Return the names of all usable optimisers of torch.optim."""
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
        UsageError: there is no such optimiser, or the rate is not positive; when called, the optimiser does not
            accept such parameters (Muon is for matrices alone).

    Example:
        >>> Optimizer("adamw", lr=1e-3)([nn.Parameter(torch.zeros(1))]).defaults["lr"]
        0.001
    """

    name: str = "Adam"
    lr: float = 1e-3
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        names = {n.lower(): n for n in optimizer_names()}
        if self.name.lower() not in names:
            raise UsageError(f"torch.optim has no optimiser {self.name!r}", f"Choose from {', '.join(names.values())}.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UsageError(
                f"--lr must be a finite number above 0, got {self.lr:g}", "Give --lr a positive number, such as 1e-3."
            )
        object.__setattr__(self, "name", names[self.name.lower()])

    def __call__(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Return a fresh optimiser of these parameters."""
        kind = getattr(torch.optim, self.name)
        options = dict(self.options)
        if (
            "fused" in inspect.signature(kind).parameters
            and parameters
            and parameters[0].device.type in ("cpu", "cuda")
        ):
            options.setdefault("fused", True)
        if kind is torch.optim.LBFGS:  # without a line search it diverges even on factor analysis
            options.setdefault("line_search_fn", "strong_wolfe")
        try:
            return kind(list(parameters), lr=self.lr, **options)
        except (TypeError, ValueError, RuntimeError) as error:
            what = f"{self.name} does not accept these parameters ({error})"
            raise UsageError(what, "Use --optimizer Adam.") from error
