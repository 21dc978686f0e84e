"""Evaluators that are exact: closed forms of the posterior, and enumeration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, OneHotCategorical

from ..core.batch import Batch, Rows
from ..core.divided import in_columns
from ..core.errors import CompositionError, NoExactPosterior, NotEnumerable
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..distributions.nodes import are_finer, finer_nodes
from ..estimators.enumeration import bit_states, class_states
from ..estimators.reparameterized import Pathwise
from ..families import Bernoulli, Categorical, OneHots
from ..guides import Exact as ExactGuide
from ..models.conditionals import Table
from ..models.draw import place, weigh
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .estimate import Estimate, Evaluator, ProgressCallback, concatenated, exact_products
from .floors import exact_kind
from .importance import widest

__all__ = ["MOST_STATES", "Enumerated", "Exact", "number_of_states"]

NUMBERS = 1 << 24  # numbers of the posterior of a batch, in memory at once
PIECE = 1 << 22  # numbers of the widest layer that a piece of the states may need
ROWS = 64  # data per pass of the network over a piece of the states
MOST_STATES = 1 << 16
CHECKED = 100  # rows by which the error of a quadrature within the likelihood is measured
POINTS, AT_ONCE = 256, 32  # per datum, of the ELBO of a guide that is not the posterior
OFF = 1e-3  # deviation from 1 of the guide's total probability beyond which its states are not the prior's


@dataclass(frozen=True)
class Exact(Evaluator):
    """log p(x) = log p(x, z) - log p(z | x) at any z, where p(z | x) has a closed form.

    Rate and distortion are the guide's own: for a guide that is not the posterior they are sums over a finite latent,
    else Monte Carlo means over 256 points per datum. A guide without a density has a distortion and no rate.

    Raises:
        NoExactPosterior: the model has no closed form.
    """

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        try:
            exact = guide if guide.is_exact else ExactGuide(model)
        except NoExactPosterior as error:
            raise NoExactPosterior(error.what, "Use --method importance.") from None
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        # the posterior itself reads every state (or a covariance), and needs the memory
        rows = max(NUMBERS // max(model.latent * model.likelihood.family.size, widest(model)), 1)
        nats, distortion = [], []
        with exact_products(data.device):
            for batch in data.batches(rows, noise):
                draw = Pathwise(1).draw(model, exact, batch, noise)
                nats.append(draw.log_evidence)
                distortion.append(draw.distortion)
                if watch is not None:
                    watch(min(len(nats) * rows / len(data), 1.0))
        log_px, own_distortion = concatenated(nats), concatenated(distortion)
        # under the posterior -distortion - rate is log p(x): a closed form of the rate with a sampled distortion is not
        own_rate: Tensor | None = -log_px - own_distortion
        if not guide.is_exact:
            own_distortion, own_rate = _own_parts(model, guide, data, seed)
        kind, error = exact_kind(model, exact, data), _error_of_nodes(self, model, guide, data, log_px, seed)
        return Estimate(kind, log_px, own_distortion, own_rate, error=error, seconds=time.monotonic() - started)


def _error_of_nodes(
    evaluator: Evaluator, model: LatentVariableModel, guide: Guide, data: Rows, nats: Tensor, seed: int
) -> float | None:
    """Return the largest difference of numbers [N] from those by twice as many nodes, of some rows; None without."""
    if not model.likelihood.is_quadrature or are_finer() or not len(data):
        return None
    index = evenly_spaced(len(data), CHECKED, data.device)
    with finer_nodes():
        finer = evaluator(model, guide, data.subset(index), seed).nats
    return float((torch.as_tensor(finer).to(nats) - nats[index.to(nats.device)]).abs().max())


def _own_parts(model: LatentVariableModel, guide: Guide, data: Rows, seed: int) -> tuple[Tensor, Tensor | None]:
    """Return distortion and rate [N] of the guide itself, from the same points, so that the ELBO has the noise of log w
    alone; without a density no rate."""
    states = number_of_states(model)
    if guide.has_density and states is not None and states <= MOST_STATES:
        estimate = Enumerated()(model, guide, data, seed)
        return torch.as_tensor(estimate.distortion), torch.as_tensor(estimate.rate)
    noise, parts = stream(seed, "own bound", data.device), []
    rows = max(min(ROWS, NUMBERS // (AT_ONCE * widest(model))), 1)
    with exact_products(data.device):
        for batch in data.batches(rows, noise):
            q, sums = guide(batch), []
            for _ in range(POINTS // AT_ONCE if guide.has_density else 1):
                z, eps = place(q, AT_ONCE if guide.has_density else 1, noise)
                draw = weigh(model, q, z, batch, noise=eps)
                log_ratio = (draw.log_guide - draw.log_prior).sum(-1) if guide.has_density else draw.log_lik
                sums.append(torch.stack([-draw.log_lik.double().mean(0), log_ratio.double().mean(0)]))
            parts.append(torch.stack(sums).mean(0).mT)
    distortion, rate = concatenated(parts).unbind(-1)
    return distortion, rate if guide.has_density else None


@dataclass(frozen=True)
class Enumerated(Evaluator):
    r"""log p(x) as a sum over every state of a finite latent, for any guide; with the guide's ELBO, likewise a sum.

    .. math:: \log p(x) = \log \sum_z p(x, z), \qquad
              E_q[\log p(x|z)] = \sum_z q(z|x) \log p(x|z)

    States (up to 65,536) are classes, several classes at once, or settings of up to 16 bits. They are
    processed in pieces: the memory depends on the size of neither the latent space nor the data. Classes are one-hot
    inputs of a network: the time then rises with the square of their number (rows of a `Table` are looked up).

    Raises:
        NotEnumerable: the latent is not finite, or has too many states.
        CompositionError: the guide gives no probabilities of the states.
    """

    @torch.no_grad()
    def __call__(
        self, model: LatentVariableModel, guide: Guide, data: Rows, seed: int = 0, watch: ProgressCallback | None = None
    ) -> Estimate:
        n = _require_few_states(model)
        if not guide.has_density:
            raise _no_probabilities(guide)
        started, noise = time.monotonic(), stream(seed, "evaluation", data.device)
        rows = max(min(ROWS, PIECE // model.latent, len(data)), 1)
        wide = widest(model)

        def summed(batch: Batch) -> list[Tensor]:
            sums, q = _Sums(batch), guide(batch)
            if q.event_shape != (model.latent,):
                raise _no_probabilities(guide)
            for log_lik, log_prior, log_q in _pieces(model, q, batch, n, wide):
                sums.add(log_lik, log_prior, log_q)
            if ((sums.mass - 1).abs() > OFF).any():
                raise _no_probabilities(guide)
            if watch is not None:
                watch(min(batch.before + len(batch) / len(data), 1.0))
            return [sums.log_px, sums.distortion, sums.rate]

        with exact_products(data.device):
            columns = in_columns(data.batches(rows, noise), summed)
        log_px, distortion, rate = (concatenated([column]) for column in columns)
        kind, error = exact_kind(model, guide, data), _error_of_nodes(self, model, guide, data, log_px, seed)
        return Estimate(kind, log_px, distortion, rate, error=error, seconds=time.monotonic() - started)


def number_of_states(model: LatentVariableModel) -> int | None:
    """Return the number of states of the latent: n classes, n^G of G classes, or 2^Z settings of Z bits; None where
    there are infinitely many."""
    family = model.prior.family
    if isinstance(family, OneHots):
        return family.classes**family.groups
    return family.dim if isinstance(family, Categorical) else 1 << family.dim if isinstance(family, Bernoulli) else None


def _require_few_states(model: LatentVariableModel) -> int:
    """Return the number of states, if there are few enough to enumerate."""
    n, dim = number_of_states(model), model.latent
    if n is None:
        raise NotEnumerable("the latent has infinitely many states", "Use --method importance.")
    if n > MOST_STATES:
        count = f"{n:,}" if n == dim else f"{n:.1e}" if isinstance(model.prior.family, OneHots) else f"2^{dim}"
        raise NotEnumerable(
            f"the latent has {count} states, and at most {MOST_STATES:,} are enumerated", "Use --method importance."
        )
    return n


def _no_probabilities(guide: Guide) -> CompositionError:
    return CompositionError(
        f"{type(guide).__name__} gives no probabilities of the prior's states",
        "Use a guide of the prior's own family, such as Categorical, OneHots or Bernoulli.",
    )


def _pieces(
    model: LatentVariableModel, q: Distribution, batch: Batch, n: int, wide: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield log p(x | z), log p(z) and log q(z | x), each [S, B], of all n states in order, as many at once as fit.

    Args:
        wide: numbers that the network needs for one state.
    """
    prior, likelihood, classes = model.prior, model.likelihood, isinstance(model.prior.family, Categorical)
    of_densities = len(batch) * max(likelihood.family.size, 1 if classes else model.latent)
    # rows of tables are looked up: no one-hot of a class is formed
    table = likelihood if classes and isinstance(likelihood, Table) and isinstance(q, OneHotCategorical) else None
    logits = q.logits if table is not None and isinstance(q, OneHotCategorical) else None
    at_once = max(PIECE // (max(of_densities, wide) if table is None else of_densities), 1)
    for start in range(0, n, at_once):
        stop = min(start + at_once, n)
        if table is not None and logits is not None:
            params = table.rows(start, stop)[:, None]
            log_prior = _columns(prior.params(batch.context).log_softmax(-1), start, stop)
            log_q = _columns(logits, start, stop)
        else:
            z = _states(model, start, stop, batch.x)[:, None]
            params = model.likelihood_params(z, batch.context)
            log_prior, log_q = prior.log_prob(z, batch.context), q.log_prob(z)
        log_lik = likelihood.scored_batch(params, batch)
        shape = (stop - start, len(batch))
        yield log_lik.expand(shape).double(), log_prior.expand(shape).double(), log_q.expand(shape).double()


def _columns(logs: Tensor, start: int, stop: int) -> Tensor:
    """Return the log-probabilities [S, B] or [S, 1] of some classes, from those of all, [B, n] or [n]."""
    return torch.atleast_2d(logs)[:, start:stop].mT


def _states(model: LatentVariableModel, start: int, stop: int, like: Tensor) -> Tensor:
    """Return the states [S, Z] from `start` to `stop`."""
    family = model.prior.family
    if isinstance(family, OneHots):
        return class_states(family.groups, family.classes, start, stop, like)
    if isinstance(family, Bernoulli):
        return bit_states(model.latent, start, stop, like)
    z = like.new_zeros(stop - start, model.latent)
    z.diagonal(start).fill_(1)
    return z


class _Sums:
    """Sums over the states so far, [B] each, in double precision.

    Attributes:
        log_px: log sum_z p(x, z).
        mass: sum_z q(z | x), 1 in the end.
        distortion, rate: -E_q[log p(x | z)] and KL(q(z | x) || p(z)).
    """

    def __init__(self, batch: Batch) -> None:
        zero = torch.zeros(len(batch), dtype=torch.float64, device=batch.x.device)
        self.log_px, self.mass, self.distortion, self.rate = zero - torch.inf, zero, zero, zero

    def add(self, log_lik: Tensor, log_prior: Tensor, log_q: Tensor) -> None:
        self.log_px = torch.logaddexp(self.log_px, torch.logsumexp(log_lik + log_prior, 0))
        mass = log_q.exp()
        # a state of zero mass contributes nothing, even if its densities are infinite
        negative_log_lik, log_ratio = (torch.where(mass == 0, 0.0, t) for t in (-log_lik, log_q - log_prior))
        self.mass = self.mass + mass.sum(0)
        self.distortion = self.distortion + (mass * negative_log_lik).sum(0)
        self.rate = self.rate + (mass * log_ratio).sum(0)
