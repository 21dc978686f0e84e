"""Bounds on log p(x), and their parts: rate and distortion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.parts import part
from ..core.validation import require_finite
from ..models.draw import Draw
from .base import Objective, TermKind

__all__ = ["CustomObjective", "Distortion", "Elbo", "ImportanceWeighted", "Rate", "Renyi"]


@part
@dataclass(frozen=True)
class Distortion(Objective):
    """-E_q[log p(x | z)]: nats needed to encode x, given z."""

    needs_density: ClassVar[bool] = False

    @property
    def shares(self) -> tuple[float | None, float]:
        return 0.0, -1.0

    def __call__(self, draw: Draw) -> Tensor:
        return draw.distortion

    def __str__(self) -> str:
        return "Distortion"


@part
@dataclass(frozen=True)
class Rate(Objective):
    """KL(q(z | x) || p(z)): nats that z carries; in closed form where torch knows it, else by the draw's points."""

    needs_likelihood: ClassVar[bool] = False

    @property
    def shares(self) -> tuple[float | None, float]:
        return -1.0, 0.0

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

    Raises:
        UsageError: a negative weight.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        require_finite(0, beta=self.beta)

    @property
    def shares(self) -> tuple[float | None, float]:
        return self.beta, 1.0

    def __call__(self, draw: Draw) -> Tensor:
        return draw.mean(draw.log_lik + self.beta * (draw.log_prior - draw.log_guide).sum(-1))

    def __str__(self) -> str:
        return "Elbo" if self.beta == 1 else f"Elbo(beta={self.beta:g})"


@part
@dataclass(frozen=True)
class ImportanceWeighted(Objective):
    """log sum_k exp(l_k) w_k: the importance-weighted bound (Burda et al., 2016); exact under Exact or Enumerate."""

    kind: ClassVar[TermKind] = TermKind.IMPORTANCE_WEIGHTED

    @property
    def shares(self) -> tuple[float | None, float]:
        return 1.0, 1.0

    def __call__(self, draw: Draw) -> Tensor:
        return draw.log_evidence

    def __str__(self) -> str:
        return "ImportanceWeighted"


@part
@dataclass(frozen=True)
class Renyi(Objective):
    r"""The variational Renyi bound of order alpha, by the draw's points.

    .. math:: \frac{1}{1-\alpha} \log E_q\big[w^{1-\alpha}\big]

    alpha = 1 is the ELBO and alpha = 0 the importance-weighted bound. In expectation a lower bound on log p(x) for
    alpha >= 0; for alpha < 0 the exact functional is an upper bound, and its estimate by K points is biased low, so
    that it is a bound on neither side.

    Source: Li & Turner, "Renyi divergence variational inference", 2016.

    Args:
        alpha: the order.

    Raises:
        UsageError: alpha is not finite.
    """

    alpha: float

    def __post_init__(self) -> None:
        require_finite(alpha=self.alpha)

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.PER_DATUM if self.alpha == 1 else TermKind.IMPORTANCE_WEIGHTED

    @property
    def shares(self) -> tuple[float | None, float]:
        return 1.0, 1.0

    def __call__(self, draw: Draw) -> Tensor:
        if self.alpha == 1:
            return draw.mean(draw.log_weight)
        power = 1 - self.alpha
        # l + power * log w, in which the guide's own log q cancels where the measure is the guide itself
        log_terms = power * (draw.log_lik + draw.log_prior.sum(-1) + draw.log_offset)
        if self.alpha:
            measure = draw.log_measure
            log_terms = log_terms + torch.where(measure > -torch.inf, self.alpha * measure, -torch.inf)
        return torch.logsumexp(log_terms, 0) / power

    def __str__(self) -> str:
        return f"Renyi(alpha={self.alpha:g})"


@part
@dataclass(frozen=True)
class CustomObjective(Objective):
    """Any function of a draw, under a name. A run that holds one cannot be replayed from its specification.

    Args:
        f: draw -> [B].
        name: the name under which it is recorded.
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

    @property
    def shares(self) -> tuple[float | None, float]:
        return (None if self.reads_density else 0.0), 0.0

    def __call__(self, draw: Draw) -> Tensor:
        return self.f(draw)

    def __str__(self) -> str:
        return self.name
