"""Families fitted to the columns of a table one by one: where decoders start, and by which families are chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core.batch import Batch
from ..families import Columns, Family
from ..families.levelled import Levelled

__all__ = ["descend", "fit_clusters", "fit_marginals", "held_out_gain"]

STEPS, RATE = 20, 0.6  # of Adam, with a rate that falls to zero
BETAS = (0.5, 0.9)  # short memories: gradients are exact, or nearly so, and there are few steps
EVERY, FEWEST = 4, 20  # of so many rows one is held out, and so many must be to tell families apart
SPREAD = 0.3  # of the first parameters, so that components of mixtures differ
PULL = 0.5  # rows that the fit to all data counts for in a cluster, per squared parameter


def fit_marginals(family: Family, batch: Batch) -> Tensor:
    """Return parameters [P] that maximise the likelihood of rows, with no dependence between columns.

    Args:
        family: of independent columns.
        batch: [N, D] prepared rows, with a mask where entries are missing.
    """
    x = batch.x.double()
    count = x.new_tensor(len(x)) if batch.mask is None else batch.mask.sum(0).clamp_min(1)
    mean = (x if batch.mask is None else torch.where(batch.mask, x, 0.0)).sum(0) / count
    first = family.start(mean)
    start = torch.cat([first, first.new_zeros(family.size - len(first))]) + _noise(family.size).to(first)
    climbed = _climbed(family, batch, start[None], torch.zeros(len(x), dtype=torch.long, device=x.device))[0]
    return _with_shares(family, batch, climbed)


def fit_clusters(family: Family, batch: Batch, member: Tensor, clusters: int) -> Tensor:
    """Return parameters [C, P] that fit each cluster of rows, the less far from those of all rows the fewer it has.

    Those that the family shares are the same of all clusters, and fit all of them together.

    Args:
        family: of independent columns.
        batch: [N, D] prepared rows, with a mask where entries are missing.
        member: [N] the cluster of each row, from 0.
        clusters: C.
    """
    marginal = fit_marginals(family, batch)
    fitted = _climbed(family, batch, marginal.expand(clusters, -1), member, PULL)
    return fitted if clusters > 1 else _with_shares(family, batch, fitted[0])[None]


def _with_shares(family: Family, batch: Batch, params: Tensor) -> Tensor:
    """Return parameters [P] by which levels have the probabilities of their shares of the rows; others stay.

    A level without a row has half a one, as its probability must be above 0.
    """
    groups = [(family, tuple(range(family.dim)))]
    pieces = [torch.arange(family.size)]
    if isinstance(family, Columns):
        groups, pieces = list(zip(family.families, family.places, strict=True)), family.split(pieces[0])
    params = params.clone()
    for (group, columns), places in zip(groups, pieces, strict=True):
        if isinstance(group, Levelled):
            shares = [_shares(batch, i, n) for i, n in zip(columns, group.levels, strict=True)]
            params[places] = group.of_probabilities(shares).to(params)
    return params


def _shares(batch: Batch, column: int, levels: int) -> Tensor:
    """Return the share [L] of each level of a column among the rows where it is observed."""
    values = batch.x[:, column] if batch.mask is None else batch.x[batch.mask[:, column], column]
    counts = torch.bincount(values.long(), minlength=levels).double().clamp_min(0.5)
    return counts / counts.sum()


def _climbed(family: Family, batch: Batch, start: Tensor, member: Tensor, pull: float = 0.0) -> Tensor:
    """Return parameters [C, P] after steps from these that raise the likelihood of the rows of each cluster.

    Those that the family shares are the same of all.
    """
    x, outputs = batch.x.double(), family.size - family.shared
    first, common = start[:, :outputs].clone().requires_grad_(), start[0, outputs:].clone().requires_grad_()

    def joined() -> Tensor:
        return torch.cat([first, common.expand(len(first), -1)], -1)

    def loss(step: int) -> Tensor:
        # one cluster is not copied for each row: what depends on parameters alone is computed once
        params = joined()
        own = params if len(params) == 1 else params[member]
        away = pull * (first - start[:, :outputs]).square().sum()
        return (away - family.log_prob(own, x, batch.mask).sum()) / len(x)

    descend([first, common], loss, STEPS, RATE)
    return joined().detach()


@torch.enable_grad()
def descend(params: Sequence[Tensor], loss: Callable[[int], Tensor], steps: int, rate: float) -> None:
    """Take steps of Adam down a loss, with a rate that falls to zero along a half period of the cosine.

    Args:
        params: leaves that the loss depends on, changed in place.
        loss: of the number of the step, from 0.
        steps: how many there are.
        rate: of the first step.
    """
    optimizer = torch.optim.Adam(params, rate, betas=BETAS)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()


def _noise(size: int) -> Tensor:
    """Return fixed noise [size] without a generator: multiples of the golden ratio, spread about zero."""
    golden = 0.6180339887498949
    return SPREAD * (2 * torch.remainder(torch.arange(1, size + 1, dtype=torch.float64) * golden, 1.0) - 1)


def held_out_gain(first: Columns, second: Columns, batch: Batch) -> list[float]:
    """Return, by column, by how much the second family's log-likelihood of held-out rows is higher, less its error.

    Args:
        first, second: of the same columns.
        batch: [N, D] prepared rows, a quarter of which is held out; 0 where that is too few.
    """
    is_held = torch.arange(len(batch), device=batch.x.device) % EVERY == EVERY - 1
    if int(is_held.sum()) < FEWEST:
        return [0.0] * first.dim
    fit, held = (Batch(batch.x[at], None if batch.mask is None else batch.mask[at]) for at in (~is_held, is_held))
    with torch.no_grad():
        scores = [f.log_probs(fit_marginals(f, fit), held.x.double(), held.mask) for f in (first, second)]
    difference = scores[1] - scores[0]
    error = difference.std(0) / len(held) ** 0.5
    return (difference.mean(0) - error).tolist()
