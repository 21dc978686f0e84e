"""The examination that all checks of the doctor share: one pass over rows, with a few latent points for each."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from ..core.batch import Batch, Rows
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..estimators.reparameterized import Pathwise
from ..evaluate.quantity import EVIDENCE, Quantity
from ..models.draw import Draw
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .latents import ROWS
from .remedies import REMEDIES

__all__ = ["MOST_POINTS", "Examination", "Pass"]

POINTS = 4  # few are enough, since the noise of the bound is averaged over all rows
CHUNK = 128
MOST_POINTS = 64  # of an importance-weighted bound: even with so few its noise is small beside that of the ELBO


@dataclass(frozen=True)
class Pass:
    """The measurements of one pass over N rows.

    Attributes:
        score: [N] the bound that was maximised, the ELBO or an importance-weighted one (log p(x) itself under an exact
        guide); minus the distortion without a density. rate: [N],
        zero without a density. guides: q(z | x), one for each batch. z: [N, Z] a point of each guide, and `log_own` [N]
        its log q(z | x). mean, sd: [N, Z] of each guide. feature_rate: [Z] the rate of each latent feature; None where
        guide or prior does not factorise.
    """

    score: Tensor
    rate: Tensor
    guides: tuple[Distribution, ...]
    z: Tensor
    log_own: Tensor
    mean: Tensor
    sd: Tensor
    feature_rate: Tensor | None


@dataclass(frozen=True)
class Examination:
    """A model, and the rows on which it is examined.

    Attributes:
        train: the rows that it was trained on.
        test: rows that it was not trained on; None where there are none.
        beta: effective weight of the rate in training; None where there is none.
        history: lines of metrics.jsonl.
        seed: of all Monte Carlo.
        most: largest number of rows of each part that are used.
        log_jacobian: nats to add to a log-density of the prepared data, for that of the data in their own units; one
            [D] of each feature where entries are missing.
        options: names of the options that another training would accept; None accepts all.
        current: values of options with which it was trained.
        quantity, points: of the scores; K of the importance-weighted bound that was maximised, 1 for the ELBO.
        classes: latent features, the first ones, that code a class; they do not count as features.
        names: of the features of the data, where they have names.
    """

    model: LatentVariableModel
    guide: Guide
    train: Rows
    test: Rows | None
    beta: float | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    seed: int = 0
    most: int = ROWS
    log_jacobian: float | Tensor = 0.0
    options: Collection[str] | None = None
    current: Mapping[str, Any] | None = None
    quantity: Quantity = EVIDENCE
    points: int = 1
    classes: int = 0
    names: Sequence[str] | None = None

    def remedy(self, name: str, **values: Any) -> str:
        """Return the remedy for a failure mode, with options that this run accepts."""
        trained = max((line["epoch"] for line in self.history if line.get("event") == "epoch"), default=50)
        known = {"fewer": max(self.model.latent // 2, 1), "seed": self.seed + 1}
        known |= {"epochs": 2 * trained, "warmup": max(trained // 4, 1)}
        known |= {"less": f"{min(self.beta or 1.0, 1.0) / 2:.2g}"}
        return REMEDIES[name].sentence(self.options, self.current, **(known | values))

    @cached_property
    def trained(self) -> Pass:
        """The pass over training rows."""
        return self._pass(self.train, "train")

    @cached_property
    def unseen(self) -> Pass | None:
        """The pass over rows that were not trained on."""
        return None if self.test is None else self._pass(self.test, "test")

    @property
    def scored(self) -> bool:
        """True if guide and likelihood have densities, so that there is a bound."""
        return self.guide.bounds(self.model)

    def stream(self, name: str) -> torch.Generator:
        """Return the random stream of a check."""
        return stream(self.seed, f"doctor:{name}", self.train.device)

    def batches(self, rows: Rows, name: str, most: int | None = None) -> list[Batch]:
        """Return the rows that are used, at most `most`, as batches that keep their numbers in the data set."""
        noise = self.stream(f"{name}:rows")
        index = evenly_spaced(len(rows), min(self.most, most or self.most), rows.device)
        return [rows.take(i, noise) for i in index.split(CHUNK)]

    @torch.no_grad()
    def _pass(self, rows: Rows, name: str) -> Pass:
        noise = self.stream(name)
        batches = self.batches(rows, name)
        draws = (Pathwise(max(POINTS, self.points)).draw(self.model, self.guide, batch, noise) for batch in batches)
        return _joined([self._measured(draw) for draw in draws])

    def _measured(self, draw: Draw) -> Pass:
        """Return the measurements of one batch; `feature_rate` is a sum over its rows."""
        score = -draw.distortion
        rate = torch.zeros_like(score)
        if self.scored:
            rate = draw.rate
            # under the exact posterior every log-weight is log p(x), without noise
            score = draw.log_weight.mean(0) if self.guide.is_exact else score - rate
            if self.points > 1 and not self.guide.is_exact:
                score = _weighted(draw.log_weight, self.points)
        score = score.double() + self._shift(draw.batch)
        mean, sd = _moments(draw.guide, draw.z)
        return Pass(
            score.cpu(),
            rate.double().cpu(),
            (draw.guide,),
            draw.z[0],
            draw.log_guide[0].sum(-1),
            mean,
            sd,
            _feature_rate(draw),
        )

    def _shift(self, batch: Batch) -> float | Tensor:
        """Return the nats to add to each score [B], those of the observed entries."""
        each = self.log_jacobian
        if not isinstance(each, Tensor):
            return each
        each = each.to(batch.x.device, torch.float64)
        return each.sum() if batch.mask is None else batch.mask.double() @ each


def _weighted(log_weight: Tensor, points: int) -> Tensor:
    """Return the importance-weighted bound [B] of the first `points` of the log-weights [K, B]."""
    return log_weight[:points].logsumexp(0) - math.log(points)


def _moments(q: Distribution, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation [B, Z] of q; of its points, where there is no closed form (a flow)."""
    b = z.shape[1]
    try:
        return q.mean.expand(b, -1), q.variance.sqrt().expand(b, -1)
    except NotImplementedError:
        return z.mean(0), z.std(0)


def _feature_rate(draw: Draw) -> Tensor | None:
    """Return the sum [Z] over the batch of each latent feature's rate."""
    pair = draw.guide, draw.prior
    if not all(isinstance(d, Independent) and isinstance(d.base_dist, Normal) for d in pair):
        return None
    q, p = (d.base_dist for d in pair if isinstance(d, Independent))
    return kl_divergence(q, p).sum(0).double().cpu()


def _joined(parts: list[Pass]) -> Pass:
    """Return the measurements of consecutive batches as one; the sums `feature_rate` become a mean."""
    n = sum(len(p.score) for p in parts)

    def concatenated(name: str) -> Any:
        values = [getattr(p, name) for p in parts]
        return None if values[0] is None else torch.cat(values)

    rates = [p.feature_rate for p in parts if p.feature_rate is not None]
    return Pass(
        concatenated("score"),
        concatenated("rate"),
        tuple(q for p in parts for q in p.guides),
        concatenated("z"),
        concatenated("log_own"),
        concatenated("mean"),
        concatenated("sd"),
        torch.stack(rates).sum(0) / n if rates else None,
    )
