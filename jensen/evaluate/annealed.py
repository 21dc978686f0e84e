"""Annealed importance sampling from the guide or the prior to the posterior, and backwards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..core.batch import Batch, Rows
from ..core.divided import in_columns
from ..core.errors import NotInvertible, NotNormalised, NotReparameterizable, UsageError
from ..core.random import drawing_from, stream
from ..core.rows import evenly_spaced
from ..core.validation import require_integer
from ..families import Gaussian
from ..models.codebooks import CodePrior
from ..models.guide import Guide
from ..models.ladder import LadderDistribution
from ..models.model import LatentVariableModel
from .annealing_start import AnyCorrection, fit_correction, gaussian_features
from .estimate import Estimate, Evaluator, Kind, ProgressCallback, concatenated, exact_products
from .exact import MOST_STATES, number_of_states
from .hamiltonian import Ends, State, fresh, move
from .importance import importance_estimate, widest

__all__ = ["Annealed", "Steps", "temperatures"]

MOST = {"temperatures": 1_000_000, "leapfrog_steps": 100_000, "chains": 100_000}
POINTS, NUMBERS = 4096, 1 << 25  # chains times data in memory at once, and numbers of the widest layer
PILOT_ROWS, PILOT_PASSES, PILOT_CHAINS = 32, 3, 4
ACCEPTANCE = 0.8


def temperatures(n: int) -> list[float]:
    """Return inverse temperatures 0 = b_0 < ... < b_n = 1 on a sigmoid, dense at both ends (Wu et al., 2017).

    Example:
        >>> [round(b, 2) for b in temperatures(4)]
        [0.0, 0.1, 0.5, 0.9, 1.0]
    """
    raw = torch.sigmoid(torch.linspace(-4.0, 4.0, n + 1, dtype=torch.float64))
    scaled = (raw - raw[0]) / (raw[-1] - raw[0])
    return scaled.tolist()


@dataclass(frozen=True)
class Steps:
    """The settings that are fixed before the estimate: leapfrog step sizes, in units of the start's scale, and the
    start.

    Attributes:
        sizes: one per temperature, b_1 .. b_T.
        acceptance: per temperature, in the last pass of the pilot.
        correction: of the guide from which the chains start; None for none.
    """

    sizes: tuple[float, ...]
    acceptance: tuple[float, ...]
    correction: AnyCorrection | None = None


class Beginning(NamedTuple):
    """Chains before their first move: the path, their points z [S, B, Z], and the scale of a step, [B, Z] or
    [S, B, Z]."""

    ends: Ends
    z: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Annealed(Evaluator):
    r"""Annealed importance sampling with Hamiltonian moves: a stochastic lower bound, tight where importance is not.

    .. math:: \log w = \sum_t (b_t - b_{t-1})\,[\log f_1(z_{t-1}) - \log f_0(z_{t-1})], \qquad
              z_t \sim \text{a move that leaves } f_0^{1-b_t} f_1^{b_t} \text{ invariant}

    with f_1 = p(x, z) and f_0 = q(z|x) or p(z). The mean of w is unbiased for p(x), so the log of a mean over chains is
    below log p(x) on average. A Gaussian q is first corrected on data that the model simulates (see `Correction` and
    `CovarianceCorrection`): an exact one is not changed, and an over-confident one becomes wide enough for chains to
    reach the posterior. Step sizes are tuned on a pilot with noise of its own, and fixed per temperature: tuning them
    within the run would bias the estimate. Every random stream is named by T, so that runs with other temperatures are
    independent.

    Args:
        temperatures: T.
        leapfrog_steps: per move.
        chains: per datum.
        start: "guide" or "prior".
        correct: whether a Gaussian guide is corrected before chains start from it; the estimate's settings
            record as `corrected` whether one was.

    Source: Neal, "Annealed importance sampling", 2001; Wu, Burda, Salakhutdinov & Grosse, 2017.
    """

    temperatures: int = 200
    leapfrog_steps: int = 10
    chains: int = 16
    start: Literal["guide", "prior"] = "guide"
    correct: bool = True

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            require_integer(1, most, **{name: getattr(self, name)})
        if self.start not in ("guide", "prior"):
            raise UsageError(f"start must be guide or prior, got {self.start!r}", "Start from the guide or the prior.")

    def check(self, model: LatentVariableModel, guide: Guide) -> None:
        """Refuse a model or guide that cannot be annealed.

        Raises:
            NotReparameterizable: the latent is discrete, or log p(z) has no gradients.
            NotNormalised: the guide is a point mass, or the prior has no density in closed form.
            NotInvertible: the guide's density is known at its own samples only.
        """
        if model.latent == 0:
            raise NotReparameterizable("this model has no latent to anneal", "Use --method exact.")
        if not model.prior.has_density:
            raise NotNormalised(
                f"annealing needs log p(z), and that of {model.prior.phrase} has no closed form",
                "Leave --method out: its bound is estimated at sampled times.",
            )
        if not model.prior.is_differentiable:
            raise NotReparameterizable(
                f"annealing needs gradients of log p(z), which {model.prior.phrase} does not have",
                "Use --method importance.",
            )
        real = isinstance(model.prior.family, Gaussian) and not isinstance(model.prior, CodePrior)
        prior = None if real else model.prior(model.usual)
        if prior is not None and prior.support.is_discrete:  # pyright: ignore[reportOptionalMemberAccess]
            few = (number_of_states(model) or MOST_STATES + 1) <= MOST_STATES
            raise NotReparameterizable(
                "annealing needs a gradient, which a discrete latent does not have; moves without one (Gibbs) are not "
                "implemented",
                "Use --method exact (enumeration)." if few else "Use --method importance.",
            )
        if self.start == "guide" and not guide.has_density:
            raise NotNormalised(
                "a deterministic encoder has no density q(z|x) to start from",
                'Start from the prior: --start prior, or Annealed(start="prior").',
            )
        if self.start == "guide" and not guide.scores_any_point:
            raise NotInvertible(
                f"{guide.phrase}: its density is known at its own samples only, and annealing needs it at other points",
                'Start from the prior: --start prior, or Annealed(start="prior").',
            )

    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        self.check(model, guide)
        started = time.monotonic()
        with exact_products(data.device):
            steps = self.tune(model, guide, data, seed)
            noise = self.noise(seed, "annealing", data.device)
            at_once = self.rows(model)

            def weighted(batch: Batch) -> list[Tensor]:
                log_w, accepted = self.weights(model, guide, batch, steps, noise)
                if watch is not None:
                    watch(min(batch.before + len(batch) / len(data), 1.0))
                return [log_w.mT, accepted.expand(len(batch))]

            def drawn(batch: Batch) -> None:
                z = self.beginning(model, guide, batch, steps.correction, noise, self.chains).z
                for _ in range(1, self.temperatures):
                    fresh(z, noise)

            log_w, accepted = in_columns(data.batches(at_once, noise), weighted, drawn)
        estimate = self.estimate(log_w.mT.contiguous(), list(accepted[::at_once]), steps)
        return replace(estimate, seconds=time.monotonic() - started)

    def rows(self, model: LatentVariableModel) -> int:
        """Return the number of data whose chains fit into memory: fewer with wide layers, such as a convolution's."""
        return max(min(POINTS, NUMBERS // widest(model)) // self.chains, 1)

    def noise(self, seed: int, purpose: str, device: torch.device) -> torch.Generator:
        """Return a random stream for this purpose and number of temperatures, independent of that for half of them."""
        return stream(seed, f"{purpose}, {self.temperatures} temperatures", device)

    def estimate(self, log_w: Tensor, rates: list[Tensor], steps: Steps) -> Estimate:
        """Return the lower bound from the log-weights [S, N] of all chains, with the mean acceptance of each batch."""
        return replace(
            chain_estimate(log_w, Kind.STOCHASTIC_LOWER),
            acceptance=float(torch.stack(rates).mean()),
            spread=concatenated([log_w.std(0)]) if self.chains > 1 else None,
            settings={**asdict(self), "corrected": steps.correction is not None},
        )

    def ends(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, correct: AnyCorrection | None = None
    ) -> tuple[Ends, Distribution, Tensor]:
        """Return the path for a batch, the distribution that it starts from, and the scale of a step per feature."""
        with torch.no_grad():
            first = guide(batch) if self.start == "guide" else model.prior(batch.context)
            if first.batch_shape == ():
                first = first.expand((len(batch),))
            first = first if correct is None else correct.start(first)
            features = gaussian_features(first)
            scale = _spread(first) if features is None else features.scale
        return Ends(first.log_prob, lambda z: model.log_joint(batch, z)), first, scale.detach()

    def tune(self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int) -> Steps:
        """Tune step sizes by a pilot on a few rows, with noise of its own, towards 80 % acceptance."""
        is_corrected = self.correct and self.start == "guide"
        correct = fit_correction(model, guide, data, seed) if is_corrected else None
        noise, count = self.noise(seed, "pilot", data.device), min(self.chains, PILOT_CHAINS)
        batch = pilot_rows(data, noise)

        def begin() -> Beginning:
            return self.beginning(model, guide, batch, correct, noise, count)

        (sizes,), (acceptance,) = pilot(begin, (count,), self.temperatures, self.leapfrog_steps, noise)
        return Steps(sizes, acceptance, correct)

    def beginning(
        self,
        model: LatentVariableModel,
        guide: Guide,
        batch: Batch,
        correct: AnyCorrection | None,
        noise: torch.Generator,
        chains: int,
    ) -> Beginning:
        """Return chains at independent points of the start."""
        ends, first, scale = self.ends(model, guide, batch, correct)
        return Beginning(ends, independent_samples(first, chains, noise), scale)

    def weights(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, steps: Steps, noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return log w [S, B] of every chain, and the mean acceptance."""
        return self.arrivals(model, guide, batch, steps, noise)[1:]

    def arrivals(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, steps: Steps, noise: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the end points of the chains, z [S, B, Z], their log w [S, B] as draws of p(z | x), and the mean
        acceptance."""
        start = self.beginning(model, guide, batch, steps.correction, noise, self.chains)
        z, log_w, accepted = forwards(start, (steps.sizes,), (self.chains,), self.leapfrog_steps, noise)
        return z, log_w, accepted.mean()

    def reverse_weights(
        self, model: LatentVariableModel, guide: Guide, batch: Batch, z: Tensor, steps: Steps, noise: torch.Generator
    ) -> Tensor:
        """Return log w [S, B] of chains run backwards from exact posterior samples z [B, Z]: 1/w is unbiased for
        1/p(x)."""
        ends, _, scale = self.ends(model, guide, batch, steps.correction)
        state: State = ends.at(z.expand(self.chains, *z.shape))
        total = torch.zeros_like(state.start)
        ladder = temperatures(self.temperatures)
        for t in range(self.temperatures, 0, -1):
            if ladder[t] < 1.0:
                state, _ = move(ends, state, ladder[t], steps.sizes[t - 1] * scale, self.leapfrog_steps, noise)
            total = total + (ladder[t] - ladder[t - 1]) * (state.goal - state.start)
        return total


def pilot_rows(data: Rows, noise: torch.Generator) -> Batch:
    """Return the few rows on which step sizes are tuned."""
    return data.take(evenly_spaced(len(data), PILOT_ROWS, data.device, nearest=False, dtype=torch.float32), noise)


def pilot(
    begin: Callable[[], Beginning], groups: Sequence[int], n: int, leapfrog_steps: int, noise: torch.Generator
) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Return step sizes and acceptance at n temperatures, for each group of chains, tuned towards 80 % acceptance.

    Args:
        begin: returns new chains.
        groups: numbers of consecutive chains that have their step sizes in common.
        noise: of the moves.
    """
    sizes: list[list[float]] = []
    acceptance = [[0.0] * n for _ in groups]
    for turn in range(PILOT_PASSES):
        start, gain = begin(), 0.5 if turn == 0 else 0.3
        sizes = sizes or [[0.5 * max(start.z.shape[-1], 1) ** -0.25] * n for _ in groups]
        state = start.ends.at(start.z)
        for t, b in enumerate(temperatures(n)[1:]):
            if turn == 0 and t:
                for group in sizes:
                    group[t] = group[t - 1]
            step = _steps(sizes, groups, t, start.scale)
            state, accept = move(start.ends, state, b, step, leapfrog_steps, noise)
            for group, rates, part in zip(sizes, acceptance, accept.split(list(groups)), strict=True):
                rates[t] = float(part.double().mean())
                group[t] = min(max(group[t] * math.exp(gain * (rates[t] - ACCEPTANCE)), 1e-5), 2.0)
    return [tuple(_smooth(group)) for group in sizes], [tuple(rates) for rates in acceptance]


def forwards(
    start: Beginning,
    sizes: Sequence[Sequence[float]],
    groups: Sequence[int],
    leapfrog_steps: int,
    noise: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the end points z [S, B, Z] of chains, their log w [S, B], and the acceptance [S] of each.

    Args:
        sizes: of each group's steps, one per temperature b_1 .. b_T.
        groups: numbers of consecutive chains.
    """
    state = start.ends.at(start.z)
    total, before, accepted = torch.zeros_like(state.start), 0.0, []
    for t, b in enumerate(temperatures(len(sizes[0]))[1:]):
        total = total + (b - before) * (state.goal - state.start)
        before = b
        if b < 1.0:  # a move at the last temperature would change nothing in the weight
            step = _steps(sizes, groups, t, start.scale)
            state, accept = move(start.ends, state, b, step, leapfrog_steps, noise)
            accepted.append(accept.double().mean(1))
    rates = torch.stack(accepted).mean(0) if accepted else torch.ones(len(total), dtype=torch.float64)
    return state.z, total, rates


def _steps(sizes: Sequence[Sequence[float]], groups: Sequence[int], t: int, scale: Tensor) -> Tensor:
    """Return step sizes per feature at temperature t: those of each group, times the scale [B, Z] or [S, B, Z]."""
    if len(groups) == 1:
        return sizes[0][t] * scale
    of_group = torch.tensor([group[t] for group in sizes], dtype=scale.dtype, device=scale.device)
    return of_group.repeat_interleave(torch.tensor(groups, device=scale.device))[:, None, None] * scale


def _spread(first: Distribution) -> Tensor:
    """Return standard deviations [B, Z], the scale of a step: for a ladder of each group, given the means above."""
    return first.scale if isinstance(first, LadderDistribution) else first.variance.sqrt()


def _smooth(sizes: list[float]) -> list[float]:
    """Smooth step sizes over neighbouring temperatures by a running geometric mean, which reduces the pilot's noise."""
    logs = torch.tensor(sizes, dtype=torch.float64).log()
    width = max(min(9, len(sizes)) // 2 * 2 - 1, 1)
    padded = torch.nn.functional.pad(logs[None, None], (width // 2, width // 2), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, width, 1)[0, 0].exp().tolist()


def independent_samples(dist: Distribution, n: int, generator: torch.Generator) -> Tensor:
    """Draw n independent samples [n, B, Z], without gradients."""
    with torch.no_grad(), drawing_from(generator):
        return dist.sample((n,))


def chain_estimate(log_w: Tensor, kind: Kind) -> Estimate:
    """Return the estimate from the log-weights [K, N] of all chains, with the variance of independent chains."""
    w, k = log_w.double().cpu(), len(log_w)
    share = torch.softmax(w, 0)
    estimate = importance_estimate(torch.logsumexp(w, 0) - math.log(k), share.square().sum(0), k)
    return replace(estimate, kind=kind, variance_mc=_jackknife(share) if k > 1 else None)


def _jackknife(share: Tensor) -> Tensor:
    r"""Return the variance [N] of the log of a mean of K weights, from their shares [K, N], by the jackknife.

    .. math:: \frac{K-1}{K} \sum_i (\theta_i - \bar\theta)^2, \qquad \theta_i = \log(1 - \tilde w_i) + \text{constant}

    With few chains the standard error by the delta method is too small by a fifth; this one is not (Efron & Stein, "The
    jackknife estimate of variance", 1981).
    """
    k = len(share)
    without = torch.log1p(-share.clamp_max(1 - 1e-9))
    return (without - without.mean(0)).square().sum(0) * ((k - 1) / k)
