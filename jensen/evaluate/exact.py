"""Evaluators that are exact: closed forms of the posterior, and enumeration."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ..batch import Rows
from ..errors import NoExactPosterior
from ..estimators import Enumerate, GradientEstimator, Pathwise
from ..guides import Exact as ExactGuide
from ..guides import Guide
from ..model import LatentVariableModel
from ..randomness import stream
from .estimate import Estimate, Evaluator, Kind, Watch, joined

__all__ = ["Enumerated", "Exact"]

NUMBERS = 1 << 24


def _estimate(
    kind: Kind,
    estimator: GradientEstimator,
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    points: int,
    seed: int,
    watch: Watch | None,
) -> Estimate:
    started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
    rows = max(NUMBERS // max(points * model.likelihood.family.size, 1), 1)
    nats, distortion, rate = [], [], []
    for batch in data.batches(rows, noise):
        draw = estimator.draw(model, guide, batch, noise)
        nats.append(draw.log_evidence)
        distortion.append(draw.distortion)
        # under the posterior -distortion - rate is log p(x) itself: a closed form beside a sample would not add up
        rate.append(-draw.log_evidence - draw.distortion if guide.is_exact else draw.rate)
        if watch is not None:
            watch(min(len(nats) * rows / len(data), 1.0))
    took = time.monotonic() - started
    return Estimate(kind, joined(nats), joined(distortion), joined(rate), seconds=took)


@dataclass(frozen=True)
class Exact(Evaluator):
    """log p(x) = log p(x, z) - log p(z | x) at any z, where p(z | x) has a closed form; else by enumeration.

    Raises:
        NoExactPosterior: the model has neither a closed form nor a finite latent.
    """

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: Watch | None = None
    ) -> Estimate:
        try:
            exact = guide if guide.is_exact else ExactGuide(model)
        except NoExactPosterior as error:
            raise NoExactPosterior(error.what, "Use --method importance.") from None
        # the posterior itself looks at every state (or at a covariance), so memory is for as many
        return _estimate(Kind.EXACT, Pathwise(1), model, exact, data, model.latent, seed, watch)


@dataclass(frozen=True)
class Enumerated(Evaluator):
    """log p(x) = log sum_z p(x, z) over every state of a finite latent, whatever the guide.

    Raises:
        NotEnumerable: the latent is not finite.
    """

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: Watch | None = None
    ) -> Estimate:
        return _estimate(Kind.EXACT, Enumerate(), model, guide, data, model.latent, seed, watch)
