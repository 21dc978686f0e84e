"""Objectives: from a draw to nats per datum [B], to be maximised; closed under +, - and multiplication by a number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor

from .draw import Draw
from .errors import UsageError
from .parts import part

__all__ = [
    "Distortion",
    "Elbo",
    "ImportanceWeighted",
    "Objective",
    "Of",
    "Ramp",
    "Rate",
    "Sum",
    "TermKind",
    "likelihood_weight",
    "rate_weight",
]


class TermKind(Enum):
    """How a term reads the draw; an estimator refuses the kinds that it is wrong for."""

    PER_DATUM = "a mean over the draw, datum by datum"
    IMPORTANCE_WEIGHTED = "a function of all the weights of a datum"
    COUPLED = "couples the data of a batch"


class Objective(ABC):
    """A functional of a draw, in nats per datum.

    Attributes:
        kind: how it reads the draw.
        needs_density: whether it reads log q(z | x), which a deterministic guide does not have.
    """

    kind: ClassVar[TermKind] = TermKind.PER_DATUM
    needs_density: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, draw: Draw) -> Tensor:
        """[B] nats, to be maximised."""

    @property
    def terms(self) -> tuple[tuple[float | Ramp, Objective], ...]:
        """Coefficients and plain terms."""
        return ((1.0, self),)

    def __add__(self, other: Objective) -> Sum:
        return Sum(self.terms + other.terms)

    def __sub__(self, other: Objective) -> Sum:
        return self + (-other)

    def __neg__(self) -> Sum:
        return -1.0 * self

    def __rmul__(self, c: float | Ramp) -> Sum:
        if isinstance(c, Ramp):
            return Sum(tuple((c.times(_number(w)), t) for w, t in self.terms))
        return Sum(tuple((w.times(c) if isinstance(w, Ramp) else c * w, t) for w, t in self.terms))

    __mul__ = __rmul__


def _weighted(weight: float | Ramp, value: Tensor) -> Tensor:
    if isinstance(weight, Ramp):
        return weight.value.to(value) * value
    return value if weight == 1 else -value if weight == -1 else weight * value


def _number(weight: float | Ramp) -> float:
    if isinstance(weight, Ramp):
        raise UsageError("a ramp cannot be multiplied by another ramp", "Fold them into one Ramp.")
    return weight


@part
@dataclass(frozen=True)
class Ramp:
    """A coefficient that rises linearly from `start` to `target` over the first `steps` of training, and stays there.

    The present value is a tensor, so that a compiled step sees it change. (KL warm-up: Bowman et al., 2016; Sonderby
    et al., 2016.)

    Args:
        target: the final value.
        steps: optimiser steps until it is reached.
        start: the first value.

    Example:
        >>> ramp = Ramp(1.0, steps=10)
        >>> ramp.advance(5)
        >>> float(ramp.value)
        0.5
    """

    target: float
    steps: int
    start: float = 0.0
    value: Tensor = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", torch.tensor(float(self.start if self.steps > 0 else self.target)))

    def advance(self, step: int) -> None:
        """Set the value for this step."""
        done = min(step / self.steps, 1.0) if self.steps > 0 else 1.0
        self.value.fill_(self.start + (self.target - self.start) * done)

    def times(self, c: float) -> Ramp:
        return Ramp(self.target * c, self.steps, self.start * c)

    def __str__(self) -> str:
        return f"({abs(self.start):g} to {abs(self.target):g} in {self.steps} steps)"


@part
@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of terms.

    Args:
        weighted: (coefficient, term) pairs.
    """

    weighted: tuple[tuple[float | Ramp, Objective], ...]

    @property
    def terms(self) -> tuple[tuple[float | Ramp, Objective], ...]:
        return self.weighted

    def __call__(self, draw: Draw) -> Tensor:
        parts = [_weighted(weight, term(draw)) for weight, term in self.terms]
        return sum(parts[1:], parts[0]) if parts else torch.zeros_like(draw.log_lik[0])

    def __str__(self) -> str:
        words = ""
        for weight, term in self.terms:
            negative = (weight.target if isinstance(weight, Ramp) else weight) < 0
            size = f"{weight} " if isinstance(weight, Ramp) else "" if abs(weight) == 1 else f"{abs(weight):g} "
            joint = ("-" if negative else "") if not words else (" - " if negative else " + ")
            words += f"{joint}{size}{term}"
        return words


@part
@dataclass(frozen=True)
class Distortion(Objective):
    """-E_q[log p(x | z)]: nats needed to tell x, given z."""

    needs_density: ClassVar[bool] = False

    def __call__(self, draw: Draw) -> Tensor:
        return draw.distortion

    def __str__(self) -> str:
        return "Distortion"


@part
@dataclass(frozen=True)
class Rate(Objective):
    """KL(q(z | x) || p(z)): nats that z tells of x; in closed form where torch knows it, else by the draw's points."""

    def __call__(self, draw: Draw) -> Tensor:
        return draw.rate

    def __str__(self) -> str:
        return "Rate"


@part
@dataclass(frozen=True)
class Elbo(Objective):
    r"""E_q[log p(x | z)] - beta KL(q || p), both by the draw's points: a lower bound on log p(x) when beta >= 1.

    Under the exact posterior and beta = 1 it is the evidence, point by point, without noise.

    Args:
        beta: weight of the rate (Higgins et al., 2017).
    """

    beta: float = 1.0

    def __call__(self, draw: Draw) -> Tensor:
        return draw.mean(draw.log_lik + self.beta * (draw.log_prior - draw.log_guide).sum(-1))

    def __str__(self) -> str:
        return "Elbo" if self.beta == 1 else f"Elbo(beta={self.beta:g})"


@part
@dataclass(frozen=True)
class ImportanceWeighted(Objective):
    """log sum_k exp(l_k) w_k: the importance-weighted bound (Burda et al., 2016); exact under Exact or Enumerate."""

    kind: ClassVar[TermKind] = TermKind.IMPORTANCE_WEIGHTED

    def __call__(self, draw: Draw) -> Tensor:
        return draw.log_evidence

    def __str__(self) -> str:
        return "ImportanceWeighted"


@dataclass(frozen=True)
class Of(Objective):
    """Any function of a draw, under a name. A run that holds one cannot be replayed from its specification.

    Args:
        f: draw -> [B].
        name: what the record says.
        coupled: whether it couples the data of a batch.
        reads_density: whether it reads log q(z | x).
    """

    f: Callable[[Draw], Tensor]
    name: str
    coupled: bool = False
    reads_density: bool = True

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.COUPLED if self.coupled else TermKind.PER_DATUM

    @property
    def needs_density(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.reads_density

    def __call__(self, draw: Draw) -> Tensor:
        return self.f(draw)

    def __str__(self) -> str:
        return self.name


def rate_weight(objective: Objective) -> float | None:
    """The present weight of the rate relative to the distortion (the effective beta); None where it means nothing."""
    rate, distortion = _weights(objective)
    return rate / distortion if distortion else None


def likelihood_weight(objective: Objective) -> float:
    """What a constant added to log p(x | z) adds to the objective, in multiples of it: 1 for every bound."""
    return _weights(objective)[1]


def _weights(objective: Objective) -> tuple[float, float]:
    """Present weights of minus the rate and minus the distortion."""
    found = {"rate": 0.0, "distortion": 0.0}
    for weight, term in objective.terms:
        value = float(weight.value) if isinstance(weight, Ramp) else float(weight)
        if isinstance(term, Elbo):
            found["rate"] += value * term.beta
            found["distortion"] += value
        elif isinstance(term, ImportanceWeighted):
            found["rate"] += value
            found["distortion"] += value
        elif isinstance(term, Rate):
            found["rate"] -= value
        elif isinstance(term, Distortion):
            found["distortion"] -= value
    return found["rate"], found["distortion"]
