"""Modes of the posterior that the guide misses: found by chains from the prior, weighed by annealing from both."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.batch import Batch, Rows
from ..core.random import stream
from ..distributions.numbers import LOG_2PI
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .annealed import (
    ACCEPTANCE,
    PILOT_CHAINS,
    Annealed,
    Beginning,
    Steps,
    forwards,
    independent_samples,
    pilot,
    pilot_rows,
    temperatures,
)
from .annealing_start import AnyCorrection, fit_correction
from .estimate import Estimate, Kind, ProgressCallback, exact_products
from .hamiltonian import Ends, move

__all__ = ["Around", "SecondStart", "TwoStarts", "from_two_starts", "pooled", "scouts", "second_share", "second_start"]

SCOUTS, SCOUT_TEMPERATURES = 16, 25  # chains from the prior per row; their cost is a few per cent of the annealing
POINTS, TURNS = 16, 5  # points of each part, and turns of the EM algorithm, by which parts are weighted
ERRORS, DOUBT = 3.5, 1.5  # standard errors by which the second start must exceed the guide's, and seems to
TRUSTED = 0.9  # the weight of the second start where the guide misses a mode
LEAST = 0.05  # nats of a gain that is worth a sentence


class TwoStarts(NamedTuple):
    """Estimates of log p(x) of the same rows from two starts; `second` is None where all chains have one start."""

    guide: Estimate
    second: Estimate | None = None


@dataclass(frozen=True)
class SecondStart:
    """The gain of chains of the second start over those that start from the guide.

    Attributes:
        chains: of the second start, per row.
        gain, stderr: in the mean over all rows, in nats, and its Monte Carlo standard error.
        left: nats by which the second start is ahead of the pool of both.
    """

    chains: int
    gain: float
    stderr: float
    left: float = 0.0

    @staticmethod
    def of(pairs: Sequence[tuple[Estimate, Estimate]], weights: Sequence[Tensor]) -> SecondStart:
        r"""Return the mean over annealings, each of both starts, of a sum over rows with these weights u [M].

        .. math:: \sum_i u_i\, (\log \hat p_{2,i} - \log \hat p_{1,i} - s_{1,i}^2 / 2)

        On average over noise the logarithm of the guide's mean is s_1^2 / 2 too low, which is no missed mode, and is
        taken off. The second's own is too low as well, so that without a missed mode the gain is not positive on
        average. Its error is that over chains: it is a statement about these rows.
        """
        gain = variance = 0.0
        for (own, other), u in zip(pairs, weights, strict=True):
            gain += float((u * (_nats(other) - _nats(own) - 0.5 * _variance(own))).sum())
            variance += float((u.square() * (_variance(own) + _variance(other))).sum())
        return SecondStart(_chains(pairs[0][1]), gain / len(pairs), math.sqrt(variance) / len(pairs))

    @property
    def misses(self) -> bool:
        """True if the second start finds more than the guide's, by 3.5 standard errors and at least 0.05 nats."""
        return self.gain > max(ERRORS * self.stderr, LEAST)

    @property
    def sentence(self) -> str:
        """The gain, and its cause."""
        return f"a start at the prior finds {self.gain:.2g} nats more than the guide: the guide misses a mode"

    @staticmethod
    def record(second: SecondStart | None) -> dict[str, float | None]:
        """Return the numbers for a record of the annealing, JSON-serialisable."""
        numbers = (None,) * 3 if second is None else (second.chains, second.gain, second.stderr)
        return dict(zip(("prior_chains", "prior_gain", "prior_gain_stderr"), numbers, strict=True))

    @property
    def may_miss(self) -> bool:
        """True if so by 1.5 standard errors: too little to say it, enough to count it as a possible loss."""
        return self.gain > max(DOUBT * self.stderr, LEAST)


@dataclass(frozen=True)
class Around:
    r"""The second start: a mixture of the guide q and of Gaussians about the ends c_1 .. c_m of chains from the prior.

    .. math:: f_0(z) = \pi_0\, q(z \mid x) + \sum_k \pi_k\, \mathcal N(z; c_k, \operatorname{diag}(s_k^2))

    Attributes:
        own: q for a batch, corrected.
        centres: c [m, B, Z].
        scale: s [m, B, Z]; by turns that of the guide as it is, and of the corrected one.
        share: pi [1 + m, B]; each row of data has its own.
    """

    own: Distribution
    centres: Tensor
    scale: Tensor
    share: Tensor

    def log_parts(self, z: Tensor) -> Tensor:
        """Return the log-density of every part [1 + m, S, B] at z [S, B, Z]."""
        residual = (z - self.centres[:, None]) / self.scale[:, None]
        about = -0.5 * (residual.square().sum(-1) + z.shape[-1] * LOG_2PI) - self.scale.log().sum(-1)[:, None]
        return torch.cat([self.own.log_prob(z)[None], about])

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log f_0 [S, B] at z [S, B, Z]."""
        return torch.logsumexp(self.log_parts(z) + self.share.log()[:, None], 0)

    def sample(self, n: int, noise: torch.Generator) -> Tensor:
        """Draw n independent points [n, B, Z]."""
        part = torch.multinomial(self.share.mT, n, replacement=True, generator=noise).mT
        return self.of_parts(part, noise)

    def of_parts(self, part: Tensor, noise: torch.Generator) -> Tensor:
        """Draw a point [n, B, Z] of each given part [n, B]."""
        own = independent_samples(self.own, len(part), noise)
        index = (part - 1).clamp_min(0)[..., None].expand_as(own)
        moved = torch.randn(own.shape, dtype=own.dtype, device=own.device, generator=noise)
        return torch.where(
            part[..., None] == 0, own, self.centres.gather(0, index) + self.scale.gather(0, index) * moved
        )

    @torch.no_grad()
    def weighted(self, model: LatentVariableModel, batch: Batch, noise: torch.Generator) -> Around:
        r"""Return the mixture with half of its weights from importance weighting, by which modes get their mass.

        .. math:: \pi_k \leftarrow \sum_j \tilde w_j \frac{\pi_k f_k(z_j)}{\sum_l \pi_l f_l(z_j)}, \qquad
                  w_j \propto \frac{p(x, z_j)}{\sum_k f_k(z_j)}

        with 16 points z_j of each part. In many dimensions these weights are those of a few points, so that the other
        half remains as it was.

        Source: Cappe, Douc, Guillin, Marin & Robert, "Adaptive importance sampling in general mixture classes", 2008.
        """
        logs, goal = [], []
        for part in range(len(self.share)):
            z = self.of_parts(torch.full((POINTS, len(batch)), part, device=self.share.device), noise)
            logs.append(self.log_parts(z))
            goal.append(model.log_joint(batch, z))
        log_parts, share = torch.cat(logs, 1), torch.full_like(self.share, 1 / len(self.share))
        weight = torch.softmax(torch.cat(goal) - torch.logsumexp(log_parts, 0), 0)
        for _ in range(TURNS):
            share = (weight * torch.softmax(log_parts + share.log()[:, None], 0)).sum(1)
        return replace(self, share=0.5 * (self.share + share.nan_to_num(0.0)))


@torch.no_grad()
def scouts(model: LatentVariableModel, guide: Guide, data: Rows, leapfrog_steps: int, seed: int) -> Tensor:
    """Return the ends [m, N, Z] of chains from the prior, 16 per row, which are tempered before modes separate.

    They are few and short, so that their weights would be poor: but all that matters is where they end. Step sizes are
    adapted as they go, since nothing here must be unbiased.
    """
    chain = Annealed(SCOUT_TEMPERATURES, leapfrog_steps, SCOUTS, "prior")
    noise, ends = stream(seed, "scouts", data.device), []
    for batch in data.batches(chain.rows(model), noise):
        start = chain.beginning(model, guide, batch, None, noise, SCOUTS)
        state, size = start.ends.at(start.z), 0.5 * max(model.latent, 1) ** -0.25
        for b in temperatures(SCOUT_TEMPERATURES)[1:]:
            state, accept = move(start.ends, state, b, size * start.scale, leapfrog_steps, noise)
            size = min(max(size * math.exp(0.5 * (float(accept.double().mean()) - ACCEPTANCE)), 1e-5), 2.0)
        ends.append(state.z)
    return torch.cat(ends, 1)


def from_two_starts(
    chain: Annealed,
    second_chains: int,
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    centres: Tensor | None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> TwoStarts:
    r"""Anneal every row from the guide, and by a few more chains from a second start, which has more modes.

    A guide that knows one of two modes of p(z | x) looks tight: chains that start in this mode stay there, and so do
    the points of importance weighting. Rows that the model makes do not show it where its own z is seldom in such a
    place. Chains from the prior find the other mode, but their weights are noisy: few arrive there. So the ends of some
    (`scouts`) become centres of a second start (`Around`), from which the weights are even. The scouts have noise of
    their own, so that weights from both starts are unbiased for p(x).

    All chains are moved in one call: the cost is that of their number.

    Args:
        chain: the annealing from the guide.
        second_chains: added to it; 0 for none.
        centres: ends of scouts [m, N, Z].

    Source: Neal, "Annealed importance sampling", 2001; Raftery & Bao, "Estimating and projecting trends in HIV/AIDS
    generalized epidemics using incremental mixture importance sampling", 2010, for components at modes found before.
    """
    if second_chains == 0 or centres is None:
        return TwoStarts(chain(model, guide, data, seed, watch))
    chain.check(model, guide)
    started = time.monotonic()
    with exact_products(data.device):
        correct = fit_correction(model, guide, data, seed) if chain.correct else None
        pair = _Pair(model, guide, chain, replace(chain, chains=second_chains, start="prior"), correct, centres)
        estimates = pair.estimates(data, seed, watch)
    return TwoStarts(*(replace(e, seconds=time.monotonic() - started) for e in estimates))


@dataclass(frozen=True)
class _Pair:
    """Chains of both starts, with the same temperatures: `first` from the guide, and `second`."""

    model: LatentVariableModel
    guide: Guide
    first: Annealed
    second: Annealed
    correct: AnyCorrection | None
    centres: Tensor

    def estimates(self, data: Rows, seed: int, watch: ProgressCallback | None) -> tuple[Estimate, Estimate]:
        """Return the estimates of both starts."""
        groups, chain = [self.first.chains, self.second.chains], self.first
        sizes, acceptance = self.tune(data, seed)
        noise = chain.noise(seed, "annealing from two starts", data.device)
        at_once, weights, rates = max(chain.rows(self.model) * groups[0] // sum(groups), 1), [], []
        for batch in data.batches(at_once, noise):
            start = self.beginning(batch, noise, groups)
            _, log_w, accepted = forwards(start, sizes, groups, chain.leapfrog_steps, noise)
            weights.append(log_w.split(groups))
            rates.append(accepted.split(groups))
            if watch is not None:
                watch(min(len(weights) * at_once / len(data), 1.0))
        steps = [Steps(s, a, self.correct) for s, a in zip(sizes, acceptance, strict=True)]
        parts = [(torch.cat([w[i] for w in weights], 1), [r[i].mean() for r in rates], steps[i]) for i in range(2)]
        return self.first.estimate(*parts[0]), self.second.estimate(*parts[1])

    def tune(self, data: Rows, seed: int) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
        """Return step sizes and acceptance of both starts, from a pilot with noise of its own."""
        noise = self.first.noise(seed, "pilot of two starts", data.device)
        groups = [min(self.first.chains, PILOT_CHAINS), min(self.second.chains, PILOT_CHAINS)]
        batch = pilot_rows(data, noise)

        def begin() -> Beginning:
            return self.beginning(batch, noise, groups)

        return pilot(begin, groups, self.first.temperatures, self.first.leapfrog_steps, noise)

    def beginning(self, batch: Batch, noise: torch.Generator, groups: list[int]) -> Beginning:
        """Return chains of both starts on a batch: those from the guide come first."""
        ends, first, scale = self.first.ends(self.model, self.guide, batch, self.correct)
        around = self.around(first, scale, batch).weighted(self.model, batch, noise)
        z = torch.cat([independent_samples(first, groups[0], noise), around.sample(groups[1], noise)])

        def start(z: Tensor) -> Tensor:
            own, other = z.split(groups)
            return torch.cat([ends.start(own), around.log_prob(other)])

        return Beginning(Ends(start, ends.goal), z, scale.expand_as(z))

    def around(self, first: Distribution, scale: Tensor, batch: Batch) -> Around:
        """Return the second start of a batch, with half of the weight on the guide."""
        index = torch.arange(len(batch), device=scale.device) if batch.index is None else batch.index
        centres = self.centres.index_select(1, index)
        plain = self.first.ends(self.model, self.guide, batch)[2] if self.correct is not None else scale
        scales = torch.stack([(plain, scale)[k % 2].expand_as(centres[k]) for k in range(len(centres))])
        share = scale.new_full((1 + len(centres), len(batch)), 0.5 / len(centres))
        share[0] = 0.5
        return Around(first, centres, scales, share)


def second_share(starts: TwoStarts) -> Tensor:
    r"""Return the weight a [N] of the second start in a pool of both, by the inverse of their variances.

    .. math:: a = \frac{v_1}{v_1 + v_2}, \qquad v_1 = s_1^2 + [\delta^2 - 2 s^2]_+
              + \Big[\frac{1}{N} \sum_i (\delta_i^2 - s_i^2)\Big]_+, \qquad s^2 = s_1^2 + s_2^2

    with s_1^2, s_2^2 the variances of log \hat p over the chains of each start, and \delta = 1 - \hat p_1 / \hat p_2
    where \hat p_1 is the lower, 0 elsewhere; the other way round for v_2. A start that misses a part of p(x) does not
    know it: its chains agree, and only the other start shows its error. So the disagreement beyond the noise counts as
    error of the lower of the two (as between studies: DerSimonian & Laird, "Meta-analysis in clinical trials", 1986):
    that of a row where it is clear, and that of all rows, which is clear where single rows are noisy. A variance over
    few chains is itself uncertain: that of the second start is at least its median over rows. Where the guide misses a
    mode in the mean over rows, a is 0.9 for every row in which the second start is not clearly behind.
    """
    own, other = starts.guide, starts.second
    if other is None:
        return torch.zeros(len(_nats(own)), dtype=torch.float64)
    first, second = _variance(own), _variance(other)
    second = second.clamp_min(float(second.median()))
    ahead, noise = _nats(other) - _nats(own), first + second
    first = first + _excess(-torch.expm1(-ahead.clamp_min(0.0)), noise)
    second = second + _excess(-torch.expm1(ahead.clamp_max(0.0)), noise)
    share = torch.where(ahead.isfinite(), (first / (first + second).clamp_min(1e-30)).nan_to_num(0.0), 0.0)
    if not SecondStart.of([(own, other)], [torch.full_like(share, 1 / len(share))]).misses:
        return share
    return torch.where(ahead > -2 * noise.sqrt(), share.clamp_min(TRUSTED), share)


def _excess(short: Tensor, noise: Tensor) -> Tensor:
    """Return the squares of relative shortfalls [N] beyond their noise, of each row and of all rows."""
    beyond = (short.square() - noise).nan_to_num(0.0)
    return (beyond - noise).clamp_min(0.0) + beyond.mean().clamp_min(0.0)


def pooled(starts: TwoStarts, share: Tensor) -> Estimate:
    r"""Return one estimate from both starts, a stochastic lower bound again.

    .. math:: \log \hat p = \log [(1 - a)\,\hat p_1 + a\,\hat p_2], \qquad
              \mathbb E[\hat p] = p(x) \;\Rightarrow\; \mathbb E[\log \hat p] \le \log p(x)

    for every a in [0, 1] that does not depend on the noise of these chains, such as one that `second_share` takes from
    another annealing. Not so for the larger of the two, max(log \hat p_1, log \hat p_2), whose mean may be above
    log p(x), nor for an a from the same chains, which would prefer the start that was lucky.

    Its variance is that of both parts, by their contributions to the mean. K is the number of chains of equal weight
    that these weights amount to, in the median over rows.

    Args:
        share: a [N], of the second start.
    """
    own, other = starts.guide, starts.second
    if other is None:
        return own
    added = torch.where(share > 0, share.log() + _nats(other), -math.inf)  # a start without weight may be NaN
    parts = torch.stack([torch.log1p(-share) + _nats(own), added])
    of_first, of_second = torch.softmax(parts, 0).square()
    chains = 1.0 / ((1.0 - share).square() / _chains(own) + share.square() / _chains(other))
    return replace(
        own,
        kind=Kind.STOCHASTIC_LOWER,
        nats=torch.logsumexp(parts, 0),
        k=round(float(chains.median())),
        ess=1.0 / (of_first / _ess(own) + of_second / _ess(other)),
        variance_mc=of_first * _variance(own) + of_second * _variance(other),
    )


def second_start(runs: Sequence[TwoStarts], shares: Sequence[Tensor], weight: Tensor) -> SecondStart | None:
    """Return the gain of the second start in two annealings of the same rows; None where there is none.

    It is taken once over all rows alike, and once with the weights of the second start, which select the rows in which
    the other annealing saw it ahead; the clearer of the two counts. That the gain is measured by chains of their own
    means that selection does not create one.

    Args:
        runs: those with T and with T / 2 temperatures.
        shares: a [M] for each run, from the other one.
        weight: u [M], of each row in the mean over all rows.
    """
    pairs = [(run.guide, run.second) for run in runs if run.second is not None]
    if len(pairs) < len(runs):
        return None
    alike = SecondStart.of(pairs, [weight] * len(pairs))
    selected = SecondStart.of(pairs, [weight * share for share in shares])
    clearer = max(alike, selected, key=lambda second: second.gain / max(second.stderr, 1e-30))
    left = float((weight * (_nats(pairs[0][1]) - _nats(pooled(runs[0], shares[0])))).sum())
    return replace(clearer, left=left)


def _nats(estimate: Estimate) -> Tensor:
    return torch.as_tensor(estimate.nats).double()


def _variance(estimate: Estimate) -> Tensor:
    return torch.as_tensor(estimate.variance_mc).double()


def _ess(estimate: Estimate) -> Tensor:
    return torch.as_tensor(estimate.ess).double()


def _chains(estimate: Estimate) -> int:
    return int(estimate.settings["chains"])
