"""Terms of a game: a critic learns to tell two kinds of points apart, and a model learns from what the critic sees.

What is told apart, the first kind from the second:

| on       | first                | second                                       | a term of             |
|----------|----------------------|----------------------------------------------|-----------------------|
| points   | the data             | what the model makes of the draw's points    | GAN                   |
| prior    | the data             | what the model makes of new points of p(z)   | VAE-GAN               |
| codes    | points of p(z)       | the draw's points                            | adversarial autoencoder |
| features | the draw's points    | the same, each feature shuffled by itself    | FactorVAE             |

What the model makes of z is the mean of p(x | z), through which gradients pass. New points and shuffles come from
streams that the draw's own points seed, so that every value is a function of the draw.
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

CONTESTS = ("points", "prior", "codes", "features")
LEAST = 1e-6  # variance of features, of a batch that has none


@part
@dataclass(frozen=True)
class Discriminate(Objective):
    r"""The log-likelihood of a critic that tells the two kinds apart: the critic's objective.

    .. math:: E_1[\log D] + E_2[\log(1 - D)] \le 2\,\mathrm{JSD}(p_1, p_2) - 2 \log 2

    with equality for the best critic, whose logit is the log-ratio of the two densities. -2 log 2 is guessing, 0 is
    telling them apart without fail.

    Source: Goodfellow et al., "Generative adversarial nets", 2014.

    Args:
        critic: whose parameters are its player's.
        on: what is told apart, see the table above.

    Raises:
        UsageError: there is nothing of that name to tell apart.
    """

    critic: Critic
    on: str = "points"
    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self.on, CONTESTS)

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.PER_DATUM if self.on == "points" else TermKind.COUPLED

    def __call__(self, draw: Draw) -> Tensor:
        first, second = _first(draw, self.on).detach(), _second(draw, self.on).detach()  # both are data to the critic
        log_odds = logsigmoid(self.critic(first)).expand(draw.z.shape[:2]) + logsigmoid(-self.critic(second))
        return draw.mean(log_odds)

    def __str__(self) -> str:
        return f"Discriminate({self.on})"


@part
@dataclass(frozen=True)
class GeneratorLoss(Objective):
    r"""The critic's mistaking of the second kind for the first: the objective of the model, or of the guide.

    .. math:: E_2[\log D]

    The form that does not saturate, of Goodfellow et al., 2014: its gradient is large where the critic is sure.

    Args:
        critic: another player's.
        on: "points" or "prior" train the likelihood, "codes" trains the guide.

    Raises:
        UsageError: there is nothing of that name to be taken for something else.
    """

    critic: Critic
    on: str = "points"
    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self.on, CONTESTS[:3])

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
    r"""A critic's logit at the draw's points: the total correlation of the codes, as far as the critic sees it.

    .. math:: E_q[\log D - \log(1 - D)] \approx E_{q(z)}\Big[\log q(z) - \sum_d \log q(z_d)\Big]

    for a critic that has learned `Discriminate(critic, "features")`; a penalty, to be subtracted. It is no bound: a
    critic that is behind says anything.

    Source: Kim & Mnih, "Disentangling by factorising", 2018.

    Args:
        critic: another player's.
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
    r"""Nats needed to tell what a critic sees in x, given z: a distortion in its features f, not in x.

    .. math:: -E_q[\log N(f(x);\, f(\hat x(z)),\, s^2 I)]

    with s = 1, or such that the noise has a given share of the features' variance in the batch. A critic's features
    are of any size, and grow as it learns: with s = 1 a code hardly pays for its rate at first, and is given up.

    It is no log-density of x, and forms no bound.

    Source: Larsen, Sonderby, Larochelle & Winther, "Autoencoding beyond pixels", 2016, with s = 1.

    Args:
        critic: another player's.
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
        made = self.critic.features(self.critic.standardized(_made(draw)))
        return draw.mean(0.5 * ((made - target).square() / variance + LOG_2PI + variance.log()).sum(-1))

    def __str__(self) -> str:
        return "FeatureDistortion" if self.share is None else f"FeatureDistortion({self.share:g})"


@part
@dataclass(frozen=True)
class GradientPenalty(Objective):
    r"""The squared gradient of a critic at data of the first kind (R1): to be subtracted, gamma / 2 times.

    .. math:: E_1\big[|\nabla \mathrm{logit}|^2\big]

    It keeps the game from circling about its equilibrium. The gradient is by what the critic's body sees.

    Source: Mescheder, Geiger & Nowozin, "Which training methods for GANs do actually converge?", 2018.

    Args:
        critic: whose parameters are its player's.
        on: what is told apart, as in `Discriminate`.

    Raises:
        UsageError: there is nothing of that name to tell apart.
    """

    critic: Critic
    on: str = "points"
    needs_density: ClassVar[bool] = False
    needs_likelihood: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check(self.on, CONTESTS)

    @property
    def kind(self) -> TermKind:  # pyright: ignore[reportIncompatibleVariableOverride]
        return TermKind.PER_DATUM if self.on in ("points", "prior") else TermKind.COUPLED

    def __call__(self, draw: Draw) -> Tensor:
        further = torch.is_grad_enabled() and draw.differentiable
        with torch.enable_grad():
            seen = self.critic.standardized(_first(draw, self.on).detach()).requires_grad_(True)
            (slope,) = torch.autograd.grad(self.critic.logits(seen).sum(), seen, create_graph=further)
        square = slope.square().sum(-1)
        return square if square.dim() == 1 else draw.mean(square)

    def __str__(self) -> str:
        return f"GradientPenalty({self.on})"


def _check(on: str, known: tuple[str, ...]) -> None:
    if on not in known:
        raise UsageError(f"a critic cannot judge {on!r} here", f"Choose from {', '.join(known)}.")


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
    return _made(draw) if on == "points" else _made(draw, _fresh(draw))


def _made(draw: Draw, z: Tensor | None = None) -> Tensor:
    """Return the decoded points [K, B, Z], by default the draw's: the mean of p(x | z) [K, B, D]."""
    if z is None:
        likelihood, z = draw.likelihood, draw.z
    else:
        likelihood = draw.model.likelihood.at(draw.model.likelihood_params(z, draw.batch.context))
    return likelihood.mean.expand(*z.shape[:2], -1)


def _seeded(z: Tensor, purpose: str) -> torch.Generator:
    """Return a stream that z itself seeds."""
    bits = z.detach().contiguous().view(torch.int64 if z.dtype == torch.float64 else torch.int32)
    return stream(int(bits.sum()), purpose, z.device)


@torch.no_grad()
def _fresh(draw: Draw) -> Tensor:
    """New points [K, B, Z] of the prior."""
    prior, z = draw.prior, draw.z
    with drawing_from(_seeded(z, "new points of the prior")):
        shape = z.shape[:2] if prior.batch_shape == () else z.shape[:1]
        return prior.sample(torch.Size(shape)).to(z.dtype)


def _shuffled(z: Tensor) -> Tensor:
    """Return points [K, B, Z] with each feature permuted over the batch by itself: of the product of the marginals."""
    generator = _seeded(z, "shuffled features")
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(1)
    return z.gather(1, order)
