"""Normalised expression: the mean composition of counts given the codes of a datum, and how it differs by groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.divided import by_chunks
from ..core.errors import CompositionError, UsageError
from ..core.random import drawing_from
from ..core.validation import require_finite, require_integer
from ..families import ZeroInflated
from ..families.support import COUNTS
from ..models.draw import place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["Changes", "changes", "expected_fdr", "expression", "shares"]

NUMBERS = 4_000_000  # parameters that are in memory at once


def require_counts(model: LatentVariableModel) -> None:
    """Refuse a model that is not of counts.

    Raises:
        CompositionError: naming its family.
    """
    family = model.likelihood.family
    if family.support != COUNTS:
        raise CompositionError(
            f"normalised expression is a share of counts, and {family.phrase} is of other values",
            "Train a model of counts: --recipe count-vae.",
        )


def shares(model: LatentVariableModel, z: Tensor, context: Tensor | None = None) -> Tensor:
    r"""Return the shares [..., B, D] of the features in the mean count at z [..., B, Z]:

    .. math:: \rho_d = \mu_d(z, c) / \sum_{d'} \mu_{d'}(z, c)

    with :math:`\mu` the mean of p(x | z, c); of a zero-inflated family that of the counts without the zeros beyond
    these, which stand for what was not captured.

    Args:
        model: of counts.
        z: points.
        context: c [B, C] of a conditional model.

    Raises:
        CompositionError: the model is not of counts.

    Source: Lopez et al., "Deep generative modeling for single-cell transcriptomics", 2018.

    Example:
        >>> from jensen.families import Gaussian, Poisson
        >>> from jensen.models.conditionals import Given, Unconditional
        >>> rates = torch.nn.Linear(1, 3)
        >>> model = LatentVariableModel(Unconditional(Gaussian(1)), Given(rates, Poisson(3)))
        >>> round(float(shares(model, torch.zeros(2, 1)).detach().sum()), 4)
        2.0
    """
    require_counts(model)
    likelihood, params = model.likelihood, model.likelihood_params(z, context)
    family = likelihood.family
    if isinstance(family, ZeroInflated):
        mean = family.part(params[..., family.dim :]).mean
    else:
        mean = likelihood.at(params).mean
    return mean / mean.sum(-1, keepdim=True)


def _points(
    model: LatentVariableModel, guide: Guide, batch: Batch, k: int, generator: torch.Generator | None
) -> Tensor:
    """Return one point [B, Z] of each datum, drawn by importance weight from k of the guide."""
    q = guide(batch)
    z, noise = place(q, k, generator)
    if k == 1:
        return z[0]
    weights = weigh(model, q, z, batch, noise=noise).log_weight.double().softmax(0)
    chosen = torch.multinomial(weights.mT, 1, generator=generator)[:, 0]
    return z[chosen, torch.arange(len(chosen), device=z.device)]


def _chunk(model: LatentVariableModel, k: int = 1) -> int:
    return max(NUMBERS // (model.likelihood.family.size * k), 1)


@torch.no_grad()
def expression(
    model: LatentVariableModel,
    guide: Guide,
    data: Rows,
    *,
    draws: int = 25,
    k: int = 1,
    contexts: Sequence[Tensor] = (),
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Return the posterior mean of the shares of features [N, D], each row of which sums to 1:

    .. math:: \frac{1}{CT} \sum_{c, t} \rho(z_t, c), \qquad z_t \sim q(z | x)

    Args:
        model, guide: of counts.
        data: rows.
        draws: T, points per datum.
        k: each of them is one of k of the guide, drawn by importance weight; 1 takes the guide for the posterior.
        contexts: classes c, each one-hot [C], over which shares are averaged; by default that of each datum.
        generator: of all randomness.

    Raises:
        CompositionError: the model is not of counts.
        UsageError: a number of points below 1.
    """
    require_integer(draws=draws, k=k)
    require_counts(model)

    def averaged(batch: Batch) -> Tensor:
        total = torch.zeros(len(batch), model.likelihood.family.dim, dtype=torch.float64, device=batch.x.device)
        for _ in range(draws):
            z = _points(model, guide, batch, k, generator)
            for context in _contexts(contexts, batch):
                total += shares(model, z, context).double()
        return total / (draws * max(len(contexts), 1))

    return by_chunks(data, _chunk(model, k), averaged, generator)


def _contexts(contexts: Sequence[Tensor], batch: Batch) -> Iterator[Tensor | None]:
    """Yield the contexts [B, C] that data are decoded at: their own, unless others are asked for."""
    if not contexts:
        yield batch.context
    for context in contexts:
        yield context.to(batch.x).expand(len(batch), -1)


@dataclass(frozen=True)
class Changes:
    """The log-fold changes of D features between two groups, over T pairs of a datum of each.

    Attributes:
        mean: [2, D] shares of A and of B, averaged over pairs.
        lfc, sd: [D] mean and standard deviation of the log-fold change, in powers of two.
        probability: [D] of a change beyond delta, either way.
        up: [D] of one beyond delta upwards: more in A than in B.
        prior: [D] the probability of a change between as many draws of the model, whose z come from p(z).
        pairs: T.
    """

    mean: np.ndarray
    lfc: np.ndarray
    sd: np.ndarray
    probability: np.ndarray
    up: np.ndarray
    prior: np.ndarray
    pairs: int

    @property
    def log_odds(self) -> np.ndarray:
        """The log of the posterior odds of a change [D], in nats; T draws bound it by about log(2 T)."""
        return _log_odds(self.probability, self.pairs)

    @property
    def log_bayes_factor(self) -> np.ndarray:
        """The log of the Bayes factor [D], in nats: posterior odds of a change over those of the model's prior."""
        return self.log_odds - _log_odds(self.prior, self.pairs)


def _log_odds(p: np.ndarray, n: int) -> np.ndarray:
    """Return log-odds [D] of frequencies among n draws, finite also where these are 0 or n."""
    hits = p * n
    return np.log(hits + 0.5) - np.log(n - hits + 0.5)


@torch.no_grad()
def changes(
    model: LatentVariableModel,
    guide: Guide,
    a: Rows,
    b: Rows,
    *,
    delta: float,
    offset: float,
    pairs: int = 5000,
    cells: int = 1,
    k: int = 1,
    contexts: Sequence[Tensor] = (),
    generator: torch.Generator | None = None,
) -> Changes:
    r"""Return how the shares of features differ between two groups, by pairs of a random datum of each:

    .. math:: \beta_d = \log_2 (\rho_d(z_a, c) + \epsilon) - \log_2 (\rho_d(z_b, c) + \epsilon),
        \qquad z_a \sim q(z | x_a),\ z_b \sim q(z | x_b)

    A feature changes with probability :math:`P(|\beta_d| > \delta)` over pairs and points. Both data of a pair are
    decoded at the same class c, and classes take turns, so that differences between batches cancel. With several
    `cells`, shares are averaged over as many random data of each group first: pairs then tell whether the means of
    groups differ, and a pair of single data whether these do.

    Args:
        model, guide: of counts.
        a, b: the data of the groups.
        delta: the smallest change that counts, in powers of two.
        offset: epsilon, so that shares far below it are equal.
        pairs: T; frequencies have a standard error of at most 0.5 / sqrt(T) by them.
        cells: data of each group in a pair.
        k: points of the guide for each, see `expression`.
        contexts: classes c, each one-hot [C]; by default each datum is decoded at its own.
        generator: of all randomness.

    Raises:
        CompositionError: the model is not of counts.
        UsageError: a number is outside its range, or a group has no data.

    Source: Boyeau et al., "Deep generative models for detecting differential expression in single cells", 2019; Lopez
    et al., 2018.
    """
    require_integer(pairs=pairs, cells=cells, k=k)
    require_finite(0, delta=delta, offset=offset)
    require_counts(model)
    if not len(a) or not len(b):
        raise UsageError(f"group {'B' if len(a) else 'A'} has no data", "Give two groups that have some.")
    sums, prior = (_Sums(delta, offset, model.likelihood.family.dim) for _ in range(2))
    for total, source, each in ((sums, guide, k * cells), (prior, None, cells)):
        for start, n in _pieces(pairs, _chunk(model, each)):
            at = _turns(contexts, start, n, cells)
            drawn = [_group_shares(model, source, rows, n * cells, k, at, generator) for rows in (a, b)]
            total.add(*(x.unflatten(0, (n, cells)).mean(1) for x in drawn))
    lfc, mean = sums.first / pairs, sums.shares / pairs
    sd = np.sqrt(np.maximum(sums.second / pairs - lfc**2, 0.0))
    far, high = sums.far / pairs, sums.high / pairs
    return Changes(mean, lfc, sd, far, high, prior.far / pairs, pairs)


def _pieces(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of pieces of n."""
    for start in range(0, n, size):
        yield start, min(size, n - start)


def _turns(contexts: Sequence[Tensor], start: int, n: int, cells: int = 1) -> Tensor | None:
    """Return the classes [n * cells, C] of pairs from `start` on, which take turns; None without classes."""
    if not contexts:
        return None
    return torch.stack([contexts[(start + i) % len(contexts)] for i in range(n)]).repeat_interleave(cells, 0)


def _group_shares(
    model: LatentVariableModel,
    guide: Guide | None,
    rows: Rows,
    n: int,
    k: int,
    context: Tensor | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Return shares [n, D] at points of n data, which are drawn with replacement; without a guide at points of p(z)."""
    with drawing_from(generator):
        index = torch.randint(len(rows), (n,), device=rows.device)
    batch = rows.take(index, generator)
    context = batch.context if context is None else context.to(batch.x)
    if guide is not None:
        return shares(model, _points(model, guide, batch, k, generator), context)
    with drawing_from(generator):
        prior = model.prior(context)
        z = prior.sample((n,) if prior.batch_shape == () else ())
    return shares(model, z, context)


class _Sums:
    """Sums over pairs, in double precision."""

    def __init__(self, delta: float, offset: float, dim: int) -> None:
        self.delta, self.offset = delta, offset
        self.shares = np.zeros((2, dim))
        self.first, self.second, self.far, self.high = (np.zeros(dim) for _ in range(4))

    def add(self, a: Tensor, b: Tensor) -> None:
        """Count pairs with shares [n, D] of A and B."""
        a, b = a.double(), b.double()
        change = ((a + self.offset).log() - (b + self.offset).log()) / math.log(2)
        for total, value in (
            (self.shares[0], a.sum(0)),
            (self.shares[1], b.sum(0)),
            (self.first, change.sum(0)),
            (self.second, change.square().sum(0)),
            (self.far, (change.abs() > self.delta).sum(0)),
            (self.high, (change > self.delta).sum(0)),
        ):
            total += value.cpu().numpy()


def expected_fdr(probability: np.ndarray, level: float) -> np.ndarray:
    """Return which hypotheses [D] are taken to hold, so that a share of at most `level` of them is expected not to.

    The most probable ones are taken, as many as have a mean of 1 - probability of at most the level.

    Args:
        probability: [D] that each holds.
        level: above 0, below 1.

    Raises:
        UsageError: the level is not between 0 and 1.

    Source: Newton, Noueiry, Sarkar & Ahlquist, "Detecting differential gene expression with a semiparametric
    hierarchical mixture method", 2004; Boyeau et al., 2019.

    Example:
        >>> expected_fdr(np.array([0.2, 0.99, 0.93, 1.0]), 0.05).tolist()
        [False, True, True, True]
    """
    if not 0 < level < 1:
        raise UsageError(
            f"the expected share of false discoveries must be between 0 and 1, got {level:g}", "Give 0.05."
        )
    order = np.argsort(-probability, kind="stable")
    mean = np.cumsum(1 - probability[order]) / np.arange(1, len(order) + 1)
    taken = np.zeros(len(order), dtype=bool)
    taken[order[: int((mean <= level).sum())]] = True
    return taken
