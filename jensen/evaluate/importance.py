"""Importance weighting, streamed: any K and any N in bounded memory."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.batch import Batch, Rows
from ..core.divided import in_columns
from ..core.errors import NotNormalised, UsageError
from ..core.random import stream
from ..core.validation import require_integer
from ..models.conditionals import Conditional
from ..models.draw import closed_rate, place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, concatenated, exact_products
from .floors import exact_kind
from .psis import pareto_k

__all__ = ["NUMBERS", "Importance", "importance_estimate", "pieces", "widest"]

NUMBERS = 1 << 20  # numbers of the widest layer in memory at once, about the size of caches
WEIGHTS = 1 << 24  # log-weights in memory at once: 64 MiB
MOST = 10**8
LADDER = (1, 10, 100, 1000, 5000, 10_000, 50_000, 100_000)


@dataclass(frozen=True)
class Importance(Evaluator):
    r"""log (1/K) sum_k w_k with z_k ~ q(z | x): a stochastic lower bound that rises to log p(x) with K.

    The effective sample size of a datum is :math:`1/\sum_k \tilde w_k^2`; the Monte Carlo variance of its estimate is
    :math:`(\sum_k \tilde w_k^2 - 1/K)\,K/(K-1)` by the delta method, :math:`\tilde w` being the normalised weights.
    The shape k-hat of the weights' tail shows whether these can be trusted (see `pareto_k`).

    Args:
        k: points per datum.

    Raises:
        UsageError: k < 1, or k > 10^8.
        NotNormalised: the guide is a point mass, or the likelihood only samples.

    Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2016.
    """

    k: int = 5000

    def __post_init__(self) -> None:
        require_integer(1, **{"-k": self.k})
        if self.k > MOST:
            raise UsageError(
                f"-k must be at most {MOST:,}, got {self.k:,}",
                "Give between 1 and 100,000,000 points per datum, such as -k 5000.",
            )

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        if not model.likelihood.has_density:
            raise NotNormalised(
                "this model only samples: p(x|z) has no density, so it forms no bound on log p(x)",
                "Compare samples with data instead: jensen fidelity RUN.",
            )
        if not guide.has_density:
            raise NotNormalised(
                "a deterministic encoder has no density q(z|x), so it forms no bound on log p(x)",
                "Train a recipe with a density, such as vae.",
            )
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        rows, at_once = pieces(model, self.k, len(data))

        def weighted(batch: Batch) -> list[Tensor]:
            report = None if watch is None else _within(watch, batch.before, len(batch) / len(data))
            return self._batch(model, guide, batch, noise, at_once, report).columns

        def placed(batch: Batch) -> None:
            q = guide(batch)
            for start in range(0, self.k, at_once):
                place(q, min(at_once, self.k - start), noise)

        with exact_products(data.device):
            columns = in_columns(data.batches(rows, noise), weighted, placed)
        weights = _Weights.from_columns([concatenated([column]) for column in columns], self.k)
        if guide.is_exact:
            return Estimate(exact_kind(model, guide, data), weights.log_mean, seconds=time.monotonic() - started)
        return replace(
            importance_estimate(weights.log_mean, weights.squared_share, self.k),
            distortion=weights.distortion,
            rate=weights.rate,
            k_hat=weights.k_hat,
            curve=weights.means,
            seconds=time.monotonic() - started,
        )

    def _batch(
        self,
        model: LatentVariableModel,
        guide: Guide,
        batch: Batch,
        noise: torch.Generator,
        at_once: int,
        report: ProgressCallback | None,
    ) -> _Weights:
        q, b = guide(batch), len(batch)
        closed = closed_rate(q, model.prior(batch.context), b)
        log_w = torch.empty(self.k, b, dtype=batch.x.dtype, device=batch.x.device)
        log_lik, rate = torch.zeros_like(log_w[0]), torch.zeros_like(log_w[0])
        for start in range(0, self.k, at_once):
            z, eps = place(q, min(at_once, self.k - start), noise)
            draw = weigh(model, q, z, batch, noise=eps)
            log_w[start : start + len(z)] = draw.log_weight
            log_lik += draw.log_lik.sum(0)
            if closed is None:
                rate += draw.rate * len(z)
            if report is not None:  # a batch of a large network takes a minute
                report((start + len(z)) / self.k)
        return _Weights.of(log_w.double(), -log_lik / self.k, rate / self.k if closed is None else closed)


def _within(watch: ProgressCallback, before: float, share: float) -> ProgressCallback:
    """Return a callback for a part of the whole, which begins at a fraction of it and is a share of it."""
    return lambda done: watch(min(before + share * done, 1.0))


def pieces(model: LatentVariableModel, k: int, n: int) -> tuple[int, int]:
    """Return how many of n data, and how many of K points of each, go through the model at once.

    The random numbers are drawn piece by piece, so that the sizes are part of the result: they depend on the model, K
    and n alone, never on the machine.
    """
    points = max(NUMBERS // widest(model), 1)
    rows = max(min(64, points, WEIGHTS // k, n), 1)
    return rows, max(points // rows, 1)


@torch.no_grad()
def widest(model: LatentVariableModel) -> int:
    """Return the largest number of values that a point needs at once: of z, its densities, or a layer of the
    likelihood.

    Layers are measured, since the size of a convolution's output does not follow from its parameters. The network is
    run on two points at zero (batch normalisation refuses a single one) without side effects: on copies of its buffers,
    and with the global random state restored, which dropout advances.
    """
    of_prior = (n for p in model.prior.parameters() for n in p.shape)  # components, pseudo-inputs, layers
    widths = [model.likelihood.family.size, model.latent, *of_prior, 1]

    def measure(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        widths.extend(t.numel() // 2 for t in (*inputs, output) if isinstance(t, Tensor))

    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    layers = (m for m in model.likelihood.modules() if not isinstance(m, torch.jit.ScriptModule))  # these take no hooks
    hooks = [m.register_forward_hook(measure) for m in layers]
    try:
        with torch.random.fork_rng([like.device] if like.device.type == "cuda" else []):
            scoring = _Scoring(model.likelihood)
            buffers = {name: b.clone() for name, b in scoring.named_buffers()}
            usual = model.usual if model.likelihood.sees_context else None
            size = model.latent + (0 if usual is None else len(usual))
            functional_call(scoring, buffers, (like.new_zeros(2, 1, size),))
    finally:
        for hook in hooks:
            hook.remove()
    return max(widths)


class _Scoring(nn.Module):
    """The parameters of a likelihood at points [K, B, .], and the log-density of zeros, which may use a network too."""

    def __init__(self, likelihood: Conditional) -> None:
        super().__init__()
        self.likelihood = likelihood

    def forward(self, c: Tensor) -> Tensor:
        params = self.likelihood.params(c)
        if not self.likelihood.has_density:
            return params
        return self.likelihood.scored(params, c.new_zeros(*c.shape[:-1], self.likelihood.family.dim))


@dataclass(frozen=True)
class _Weights:
    """Statistics of the log-weights [K, B] of a batch, or of all data: [B] each, and [B] per rung of the curve."""

    log_mean: Tensor
    squared_share: Tensor
    k_hat: Tensor
    curve: dict[int, tuple[Tensor, Tensor]]
    distortion: Tensor
    rate: Tensor

    @staticmethod
    def of(log_w: Tensor, distortion: Tensor, rate: Tensor) -> _Weights:
        k, largest = len(log_w), log_w.amax(0)
        shift = torch.where(largest.isfinite(), largest, 0.0)
        w = (log_w - shift).exp_()
        sum_w = w.sum(0)
        log_mean = sum_w.log() + shift - math.log(k)
        # where every weight of a datum is zero, all shares are NaN: an effective sample of one
        squared = (w.square_().sum(0) / sum_w.square()).nan_to_num(1.0)
        rungs = {**_rungs(log_w), k: (log_mean, torch.full_like(log_mean, math.nan))}
        return _Weights(log_mean, squared, pareto_k(log_w), rungs, distortion, rate)

    @property
    def columns(self) -> list[Tensor]:
        """All of them as tensors [B]."""
        of_rungs = [values for rung in self.curve.values() for values in rung]
        return [self.log_mean, self.squared_share, self.k_hat, self.distortion, self.rate, *of_rungs]

    @staticmethod
    def from_columns(columns: Sequence[Tensor], k: int) -> _Weights:
        """Return the statistics of K weights from their `columns`."""
        log_mean, squared_share, k_hat, distortion, rate, *of_rungs = columns
        curve = dict(zip(_ladder(k), zip(of_rungs[::2], of_rungs[1::2], strict=True), strict=True))
        return _Weights(log_mean, squared_share, k_hat, curve, distortion, rate)

    @property
    def means(self) -> tuple[tuple[int, float, float | None], ...]:
        """(n, mean over data, Monte Carlo standard error) for every rung; the last one's error is that of the
        estimate."""
        points = []
        for n, (value, variance) in self.curve.items():
            error = float(variance.sum().sqrt() / len(variance))
            points.append((n, float(value.mean()), None if math.isnan(error) else error))
        return tuple(points)


def _ladder(k: int) -> list[int]:
    """Return the rungs of a curve of K points."""
    return [*(n for n in LADDER if n < k), k]


def _rungs(log_w: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Return, for each n of the ladder below K, the IWAE-n bound [B], averaged over disjoint groups of n points, and
    the variance of that mean (NaN for one group)."""
    rungs, size, log_sums = {}, 1, log_w
    for n in _ladder(len(log_w))[:-1]:
        groups, each = len(log_w) // n, n // size  # a group is made of groups of the rung before
        if each > 1:
            log_sums = torch.logsumexp(log_sums[: groups * each].unflatten(0, (groups, each)), 1)
        bounds, size = log_sums - math.log(n), n
        variance = bounds.var(0) / groups if groups > 1 else torch.full_like(bounds[0], math.nan)
        rungs[n] = bounds.mean(0), variance
    return rungs


def importance_estimate(log_mean: Tensor, squared_share: Tensor, k: int) -> Estimate:
    """Return the estimate of K weights per datum from the log of their mean [N] and the sum of their squared shares
    [N]."""
    variance = None if k == 1 else (squared_share - 1.0 / k).clamp_min(0.0) * (k / (k - 1))
    return Estimate(Kind.STOCHASTIC_LOWER, log_mean, k=k, ess=1.0 / squared_share, variance_mc=variance)
