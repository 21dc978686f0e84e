"""The abstraction of an objective: terms that declare how they read a draw, sums, and scheduled coefficients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor

from ..core.errors import UsageError
from ..core.parts import part
from ..core.validation import require_finite, require_integer
from ..models.draw import Draw

__all__ = ["Objective", "Ramp", "Sum", "TermKind", "likelihood_weight", "present", "rate_weight", "weighted"]


class TermKind(Enum):
    """The way in which a term reads the draw; an estimator refuses the kinds that it is wrong for."""

    PER_DATUM = "a mean over the draw, datum by datum"
    IMPORTANCE_WEIGHTED = "a function of all the weights of a datum"
    COUPLED = "couples the data of a batch"


class Objective(ABC):
    """A functional of a draw, in nats per datum.

    Attributes:
        kind: the way in which it reads the draw.
        needs_density: whether it reads log q(z | x), which a deterministic guide does not have.
        needs_likelihood: whether it reads log p(x | z), which an implicit likelihood does not have.
        reads_means: whether it couples the data of a batch by means over them alone (see `batch_mean`), so that several
            processes, each with a share of the batch, can compute it.
    """

    kind: ClassVar[TermKind] = TermKind.PER_DATUM
    needs_density: ClassVar[bool] = True
    needs_likelihood: ClassVar[bool] = True
    reads_means: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, draw: Draw) -> Tensor:
        """Return [B] nats, to be maximised."""

    @property
    def terms(self) -> tuple[tuple[float | Ramp, Objective], ...]:
        """Coefficients and plain terms."""
        return ((1.0, self),)

    @property
    def shares(self) -> tuple[float | None, float]:
        """The weights of minus the rate and minus the distortion in this term; None where the rate has no single
        weight."""
        return 0.0, 0.0

    @property
    def ramps(self) -> tuple[Ramp, ...]:
        """Every schedule within: coefficients, and settings of terms."""
        settings = [getattr(t, f.name) for _, t in self.terms if is_dataclass(t) for f in fields(t)]
        return tuple(r for r in (*(w for w, _ in self.terms), *settings) if isinstance(r, Ramp))

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


def weighted(weight: float | Ramp, value: Tensor) -> Tensor:
    """Return a coefficient times a value."""
    if isinstance(weight, Ramp):
        return weight.value.to(value) * value
    return value if weight == 1 else -value if weight == -1 else weight * value


def present(setting: float | Ramp) -> float | Tensor:
    """Return the present value of a setting; a ramp's is a tensor, so that a compiled step sees it change."""
    return setting.value if isinstance(setting, Ramp) else setting


def _number(weight: float | Ramp) -> float:
    if isinstance(weight, Ramp):
        raise UsageError("a ramp cannot be multiplied by another ramp", "Fold them into one Ramp.")
    return weight


@part
@dataclass(frozen=True)
class Ramp:
    """A coefficient that rises linearly from `start` to `target` over the first `steps` of training, and stays there;
    or, with `every`, rises anew in every cycle of that many steps.

    The present value is a tensor, so that a compiled step sees it change. (KL warm-up: Bowman et al., 2016; Sonderby
    et al., 2016. In cycles: Fu et al., "Cyclical annealing schedule", 2019.)

    Args:
        target: the final value.
        steps: optimiser steps until it is reached.
        start: the first value.
        every: steps of a cycle; None rises once.

    Raises:
        UsageError: a value that is not finite, steps that are not whole, or a cycle that is shorter than its rise.

    Example:
        >>> ramp = Ramp(1.0, steps=10)
        >>> ramp.advance(5)
        >>> float(ramp.value)
        0.5
    """

    target: float
    steps: int
    start: float = 0.0
    every: int | None = None
    value: Tensor = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        require_finite(target=self.target, start=self.start)
        require_integer(0, steps=self.steps)
        if self.every is not None:
            require_integer(every=self.every)
        if self.every is not None and self.every < self.steps:
            raise UsageError(
                f"a cycle of {self.every} steps has no room for a rise of {self.steps}", "Give every >= steps."
            )
        object.__setattr__(self, "value", torch.tensor(float(self.start if self.steps > 0 else self.target)))

    def advance(self, step: int) -> None:
        """Set the value for this step."""
        within = step if self.every is None else step % self.every
        done = min(within / self.steps, 1.0) if self.steps > 0 else 1.0
        self.value.fill_(self.start + (self.target - self.start) * done)

    def times(self, c: float) -> Ramp:
        """Return the same schedule of c times the values."""
        return Ramp(self.target * c, self.steps, self.start * c, self.every)

    def __str__(self) -> str:
        again = "" if self.every is None else f", every {self.every}"
        return f"({abs(self.start):g} to {abs(self.target):g} in {self.steps} steps{again})"


@part
@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of terms.

    Args:
        weighted: (coefficient, term) pairs.
    """

    weighted: tuple[tuple[float | Ramp, Objective], ...]

    def __post_init__(self) -> None:
        require_finite(weights=tuple(weight for weight, _ in self.weighted if not isinstance(weight, Ramp)))

    @property
    def terms(self) -> tuple[tuple[float | Ramp, Objective], ...]:
        return self.weighted

    def __call__(self, draw: Draw) -> Tensor:
        parts = [weighted(weight, term(draw)) for weight, term in self.terms]
        return sum(parts[1:], parts[0]) if parts else torch.zeros_like(draw.log_lik[0])

    def __str__(self) -> str:
        words = ""
        for weight, term in self.terms:
            negative = (weight.target if isinstance(weight, Ramp) else weight) < 0
            size = f"{weight} " if isinstance(weight, Ramp) else "" if abs(weight) == 1 else f"{abs(weight):g} "
            joint = ("-" if negative else "") if not words else (" - " if negative else " + ")
            words += f"{joint}{size}{term}"
        return words


def rate_weight(objective: Objective) -> float | None:
    """Return the present weight of the rate relative to the distortion (the effective beta); None where it means
    nothing."""
    rate, distortion = _weights(objective)
    return rate / distortion if distortion and rate is not None else None


def likelihood_weight(objective: Objective) -> float:
    """Return the multiple of a constant, added to log p(x | z), that the objective gains: 1 for every bound."""
    return _weights(objective)[1]


def _weights(objective: Objective) -> tuple[float | None, float]:
    """Return the present weights of minus the rate and minus the distortion."""
    rate, distortion = 0.0, 0.0
    for weight, term in objective.terms:
        value, (rate_share, distortion_share) = float(present(weight)), term.shares
        distortion += value * distortion_share
        if value:
            rate = None if rate is None or rate_share is None else rate + value * rate_share
    return rate, distortion
