"""Adversarial terms: a critic learns to discriminate two kinds of points, and a model is trained through the critic.

The two kinds that the critic discriminates:

| on       | first                | second                                       | a term of             |
|----------|----------------------|----------------------------------------------|-----------------------|
| points   | the data             | the draw's points, decoded                   | GAN                   |
| prior    | the data             | new points of p(z), decoded                  | VAE-GAN               |
| codes    | points of p(z)       | the draw's points                            | adversarial autoencoder |
| features | the draw's points    | these, each feature permuted over the batch  | FactorVAE             |

A decoded point is the mean of p(x | z), through which gradients pass. New points and permutations come from random
streams that are seeded by the draw's own points, so that every value is a function of the draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..core.errors import UsageError
from ..core.parts import part
from ..core.random import drawing_from, stream
from ..core.validation import require_above
from ..distributions.numbers import LOG_2PI
from ..models.draw import Draw
from ..nets import Critic
from .base import Objective, TermKind

__all__ = ["Discriminate", "FeatureDistortion", "GeneratorLoss", "GradientPenalty", "LogRatio"]

KINDS = ("points", "prior", "codes", "features")
LEAST = 1e-6  # lower limit of the features' variance, for a batch in which they are constant


class Discrimination(Objective):
    """An objective that reads a critic on points of two kinds, and no density.

    Attributes:
        on: what is discriminated.
        kinds: the choices.
    """

    on: str
    kinds: ClassVar[tuple[str, ...]] = KINDS
    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self.on, self.kinds)


@part
@dataclass(frozen=True)
class Discriminate(Discrimination):
    r"""The log-likelihood of a critic that discriminates the two kinds: the critic's objective.

    .. math:: E_1[\log D] + E_2[\log(1 - D)] \le 2\,\mathrm{JSD}(p_1, p_2) - 2 \log 2

    with equality for the best critic, whose logit is the log-ratio of the two densities. A critic that guesses has the
    value -2 log 2, one that is always right has 0.

    Source: Goodfellow et al., "Generative adversarial nets", 2014.

    Args:
        critic: the critic, whose parameters its own player trains.
        on: the kinds that are discriminated, see the table above.

    Raises:
        UsageError: `on` is not in the table.
    """

    critic: Critic
    on: str = "points"

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.PER_DATUM if self.on == "points" else TermKind.COUPLED

    def __call__(self, draw: Draw) -> Tensor:
        first, second = _first(draw, self.on).detach(), _second(draw, self.on).detach()  # constants
        log_odds = logsigmoid(self.critic(first)).expand(draw.z.shape[:2]) + logsigmoid(-self.critic(second))
        return draw.mean(log_odds)

    def __str__(self) -> str:
        return f"Discriminate({self.on})"


@part
@dataclass(frozen=True)
class GeneratorLoss(Discrimination):
    r"""The log-probability that the critic takes the second kind for the first: the objective of model or guide.

    .. math:: E_2[\log D]

    The non-saturating form of Goodfellow et al., 2014: its gradient is large where the critic is certain.

    Args:
        critic: the critic, which another player trains.
        on: "points" or "prior" train the likelihood, "codes" trains the guide.

    Raises:
        UsageError: `on` is not one of these.
    """

    critic: Critic
    on: str = "points"
    kinds: ClassVar[tuple[str, ...]] = KINDS[:3]

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.PER_DATUM if self.on == "points" else TermKind.COUPLED

    def __call__(self, draw: Draw) -> Tensor:
        return draw.mean(logsigmoid(self.critic(_second(draw, self.on))))

    def __str__(self) -> str:
        return f"GeneratorLoss({self.on})"


@part
@dataclass(frozen=True)
class LogRatio(Objective):
    r"""A critic's logit at the draw's points: the total correlation of the codes, according to the critic.

    .. math:: E_q[\log D - \log(1 - D)] \approx E_{q(z)}\Big[\log q(z) - \sum_d \log q(z_d)\Big]

    for a critic that has learned `Discriminate(critic, "features")`; a penalty, to be subtracted. It is no bound: the
    value of a critic that is not fully trained is arbitrary.

    Source: Kim & Mnih, "Disentangling by factorising", 2018.

    Args:
        critic: the critic, which another player trains.
    """

    critic: Critic
    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    @property
    def shares(self) -> tuple[float | None, float]:
        return None, 0.0  # a part of the rate, which has a weight of its own

    def __call__(self, draw: Draw) -> Tensor:
        return draw.mean(self.critic(draw.z))

    def __str__(self) -> str:
        return "LogRatio"


@part
@dataclass(frozen=True)
class FeatureDistortion(Objective):
    r"""Nats needed to encode the critic's features of x, given z: a distortion in these features f, not in x.

    .. math:: -E_q[\log N(f(x);\, f(\hat x(z)),\, s^2 I)]

    with s = 1, or such that the noise has a given share of the features' variance in the batch. A critic's features
    have any scale, and grow as it learns: with s = 1 the distortion hardly weighs against the rate at first, so that
    the posterior collapses.

    It is no log-density of x, and forms no bound.

    Source: Larsen, Sonderby, Larochelle & Winther, "Autoencoding beyond pixels", 2016, with s = 1.

    Args:
        critic: the critic, which another player trains.
        share: :math:`s^2` over the mean variance of a feature; None for s = 1.

    Raises:
        UsageError: a share that is not positive.
    """

    critic: Critic
    share: float | None = None
    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.share is not None:
            require_above(0, share=self.share)

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.PER_DATUM if self.share is None else TermKind.COUPLED

    def __call__(self, draw: Draw) -> Tensor:
        with torch.no_grad():
            target = self.critic.features(self.critic.standardized(draw.batch.x))
            variance = torch.ones_like(target[0, 0])
            if self.share is not None:
                variance = (self.share * target.var(0, correction=0).mean()).clamp_min(LEAST)
        decoded = self.critic.features(self.critic.standardized(_decoded(draw)))
        return draw.mean(0.5 * ((decoded - target).square() / variance + LOG_2PI + variance.log()).sum(-1))

    def __str__(self) -> str:
        return "FeatureDistortion" if self.share is None else f"FeatureDistortion({self.share:g})"


@part
@dataclass(frozen=True)
class GradientPenalty(Discrimination):
    r"""The squared gradient of a critic at data of the first kind (R1): to be subtracted, gamma / 2 times.

    .. math:: E_1\big[|\nabla \mathrm{logit}|^2\big]

    It keeps the players from circling about their equilibrium. The gradient is with respect to the standardised input
    of the critic's body.

    Source: Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", 2018.

    Args:
        critic: the critic, whose parameters its own player trains.
        on: the kinds that are discriminated, as in `Discriminate`.

    Raises:
        UsageError: `on` is not in the table.
    """

    critic: Critic
    on: str = "points"

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.PER_DATUM if self.on in ("points", "prior") else TermKind.COUPLED

    def __call__(self, draw: Draw) -> Tensor:
        create_graph = torch.is_grad_enabled() and draw.differentiable
        with torch.enable_grad():
            inputs = self.critic.standardized(_first(draw, self.on).detach()).requires_grad_(True)
            (slope,) = torch.autograd.grad(self.critic.logits(inputs).sum(), inputs, create_graph=create_graph)
        square = slope.square().sum(-1)
        return square if square.dim() == 1 else draw.mean(square)

    def __str__(self) -> str:
        return f"GradientPenalty({self.on})"


def _check(on: str, kinds: tuple[str, ...]) -> None:
    if on not in kinds:
        raise UsageError(f"on must be one of {', '.join(kinds)}, got {on!r}", f"Choose from {', '.join(kinds)}.")


def _first(draw: Draw, on: str) -> Tensor:
    """Return points of the first kind, [B, D] or [K, B, D]."""
    if on in ("points", "prior"):
        return draw.batch.x
    return draw.z if on == "features" else _fresh(draw)


def _second(draw: Draw, on: str) -> Tensor:
    """Return points of the second kind [K, B, D], with gradients."""
    if on == "features":
        return _shuffled(draw.z)
    if on == "codes":
        return draw.z
    return _decoded(draw) if on == "points" else _decoded(draw, _fresh(draw))


def _decoded(draw: Draw, z: Tensor | None = None) -> Tensor:
    """Return the mean of p(x | z) [K, B, D] at points [K, B, Z], by default the draw's."""
    if z is None:
        likelihood, z = draw.likelihood, draw.z
    else:
        likelihood = draw.model.likelihood.at(draw.model.likelihood_params(z, draw.batch.context))
    return likelihood.mean.expand(*z.shape[:2], -1)


def _seeded(z: Tensor, purpose: str) -> torch.Generator:
    """Return a random stream that is seeded by the bits of z."""
    bits = z.detach().contiguous().view(torch.int64 if z.dtype == torch.float64 else torch.int32)
    return stream(int(bits.sum()), purpose, z.device)


@torch.no_grad()
def _fresh(draw: Draw) -> Tensor:
    """Draw new points [K, B, Z] of the prior."""
    prior, z = draw.prior, draw.z
    with drawing_from(_seeded(z, "new points of the prior")):
        shape = z.shape[:2] if prior.batch_shape == () else z.shape[:1]
        return prior.sample(torch.Size(shape)).to(z.dtype)


def _shuffled(z: Tensor) -> Tensor:
    """Permute each feature of z [K, B, Z] over the batch: points of the product of its marginals."""
    generator = _seeded(z, "shuffled features")
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(1)
    return z.gather(1, order)
