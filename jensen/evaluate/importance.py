"""Importance weighting, streamed: any K and any N in bounded memory."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from ..batch import Batch, Rows
from ..draw import Draw, place, weigh
from ..errors import NotNormalised, UsageError
from ..guides import Guide
from ..model import LatentVariableModel
from ..precision import matmul_precision, resolve_precision
from ..randomness import stream
from .estimate import Estimate, Evaluator, Kind, Watch, joined

__all__ = ["Importance"]

# points whose parameters are in memory at once: 2^22 numbers of the widest kind (16 MiB), about what caches like
NUMBERS = 1 << 22


@dataclass(frozen=True)
class Importance(Evaluator):
    r"""log (1/K) sum_k w_k with z_k ~ q(z | x): a stochastic lower bound that rises to log p(x) with K.

    The effective sample size of a datum is :math:`1/\sum_k \tilde w_k^2`; the Monte Carlo variance of its estimate is
    :math:`\sum_k \tilde w_k^2 - 1/K` by the delta method, :math:`\tilde w` being the normalised weights.

    Args:
        k: points per datum.

    Raises:
        UsageError: k < 1.
        NotNormalised: the guide is a point mass.

    Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2016.
    """

    k: int = 5000

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"-k {self.k} cannot work", "Give at least one point per datum, such as -k 5000.")

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: Watch | None = None
    ) -> Estimate:
        if not guide.has_density:
            raise NotNormalised(
                "a deterministic encoder has no density q(z|x), so it forms no bound on log p(x)",
                "Train a recipe with a density, such as vae.",
            )
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        widest = _widest(model)
        points = max(NUMBERS // widest, 1)
        rows = max(min(64, points, len(data)), 1)
        sums: list[_Sums] = []
        with matmul_precision(resolve_precision("auto", data.device)):
            for batch in data.batches(rows, noise):
                sums.append(self._batch(model, guide, batch, noise, max(points // rows, 1)))
                if watch is not None:
                    watch(min(len(sums) * rows / len(data), 1.0))
        log_px = joined([s.log_mean for s in sums])
        second = joined([s.squared_share for s in sums])
        exact = guide.is_exact
        return Estimate(
            kind=Kind.EXACT if exact else Kind.STOCHASTIC_LOWER,
            nats=log_px,
            distortion=joined([s.distortion for s in sums]),
            rate=joined([s.rate for s in sums]),
            k=None if exact else self.k,
            ess=None if exact else 1.0 / second,
            variance_mc=None if exact or self.k == 1 else (second - 1.0 / self.k).clamp_min(0.0),
            seconds=time.monotonic() - started,
        )

    def _batch(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, noise: torch.Generator, at_once: int
    ) -> _Sums:
        q = guide(batch)
        sums = _Sums.empty(len(batch), batch.x)
        left = self.k
        while left > 0:
            z, eps = place(q, min(at_once, left), noise)
            sums.add(weigh(model, q, z, batch, noise=eps))
            left -= len(z)
        return sums


def _widest(model: LatentVariableModel) -> int:
    """The most numbers that one point needs at once, as far as parameters tell: a layer may be wider than the data."""
    layers = (n for p in model.parameters() for n in p.shape)
    return max(model.likelihood.family.size, model.latent, *layers, 1)


@dataclass
class _Sums:
    """Running sums over the points of a batch: enough for the mean weight, its second moment, and the bound's parts."""

    n: int
    peak: Tensor  # [B] the largest log-weight so far
    first: Tensor  # [B] sum of exp(log w - peak)
    second: Tensor  # [B] sum of exp(2 (log w - peak))
    log_lik: Tensor  # [B] sum of log p(x | z)
    rates: Tensor  # [B] closed form times n, or sum of log q - log p

    @staticmethod
    def empty(b: int, like: Tensor) -> _Sums:
        zero = like.new_zeros(b)
        return _Sums(0, torch.full_like(zero, -math.inf), zero, zero, zero, zero)

    def add(self, draw: Draw) -> None:
        log_w = draw.log_weight
        peak = torch.maximum(self.peak, log_w.amax(0))
        # a datum whose every weight is zero has no finite peak: measure it from zero
        anchor = torch.where(torch.isfinite(peak), peak, torch.zeros_like(peak))
        scale = torch.exp(self.peak - anchor)
        share = torch.exp(log_w - anchor)
        self.first = self.first * scale + share.sum(0)
        self.second = self.second * scale.square() + share.square().sum(0)
        self.peak, self.n = peak, self.n + len(log_w)
        self.log_lik = self.log_lik + draw.log_lik.sum(0)
        self.rates = self.rates + draw.rate * len(log_w)

    @property
    def log_mean(self) -> Tensor:
        anchor = torch.where(torch.isfinite(self.peak), self.peak, torch.zeros_like(self.peak))
        return anchor + self.first.log() - math.log(self.n)

    @property
    def squared_share(self) -> Tensor:
        return (self.second / self.first.square()).nan_to_num(1.0)

    @property
    def distortion(self) -> Tensor:
        return -self.log_lik / self.n

    @property
    def rate(self) -> Tensor:
        return self.rates / self.n
