"""log p of each entry of a row: by itself, and given the other entries of its row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.divided import by_groups, recut
from ..core.random import stream
from ..core.validation import require_integer
from ..evaluate.estimate import ProgressCallback, exact_products
from ..evaluate.exact import Exact, number_of_states
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .conditional_points import (
    JointPoints,
    check_conditionals,
    column_terms,
    is_enumerable,
    joint_points,
    without_each,
)

__all__ = ["NUMBERS", "POINTS", "ColumnScores", "column_scores", "fill_of", "scores_in_pieces", "watched"]

POINTS = 1024  # per datum
NUMBERS = 1 << 21  # terms of a batch that are in memory at once
GROUPS = 30  # most sets of columns that the guide is asked for without
MOST = 10**6


@dataclass(frozen=True)
class ColumnScores:
    """log p of each entry in nats, in the units of the prepared data; NaN where it is missing.

    Attributes:
        alone: [N, D] log p(x_d).
        given_others: [N, D] log p(x_d | the other observed entries of the row).
        ess: [N, D] the effective number of the points that the latter rests on; None where it is exact.
        k: points per datum; None where it is exact.
    """

    alone: Tensor
    given_others: Tensor
    ess: Tensor | None = None
    k: int | None = None


def column_scores(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    *,
    k: int = POINTS,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> ColumnScores:
    r"""Return log p(x_d) and :math:`\log p(x_d \mid x_{-d}) = \log p(x) - \log p(x_{-d})` of every entry.

    The two terms of the difference are of the same points, which come from the guide given all columns, and given all
    but some of them; of a finite latent and under an exact guide they are exact. p(x_d) is of points of the prior.

    Args:
        model: its likelihood's features are independent given z.
        guide: proposes points.
        rows: [N, D]; with `Rows.fill` for columns that are left out.
        k: points per datum, where the latent is not finite.
        seed: of all randomness.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        UsageError: k < 1. CompositionError, NotNormalised: see `check_conditionals`.

    Example:
        >>> from jensen.families import Categorical, Gaussian
        >>> from jensen.guides import Exact
        >>> from jensen.models.conditionals import Table, Unconditional
        >>> model = LatentVariableModel(Unconditional(Categorical(2)), Table(Gaussian(3), 2))
        >>> column_scores(model, Exact(model), Rows(torch.zeros(5, 3))).given_others.shape
        torch.Size([5, 3])
    """
    (scores,) = scores_in_pieces(model, guide, rows, size=len(rows), k=k, seed=seed, watch=watch)
    return scores


def scores_in_pieces(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    *,
    size: int,
    k: int = POINTS,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Iterator[ColumnScores]:
    """Yield the scores of so many rows after another: the numbers are those that `column_scores` returns for all rows.

    Random streams are those of batches, whose size follows from the model and k alone. Those of closed forms are
    computed for all rows at once.

    Args:
        model, guide, rows, k, seed, watch: see `column_scores`.
        size: rows of each; the last may have fewer.
    """
    require_integer(1, MOST, **{"-k": k})
    check_conditionals(model, guide)
    rows = rows.fixed(stream(seed, "scored rows", rows.device))
    by_points = is_enumerable(model) or not guide.is_exact
    with torch.no_grad(), exact_products(rows.device):
        results = (_by_points if by_points else _by_closed_form)(model, guide, rows, k, seed, watch, size)
    while True:
        with torch.no_grad(), exact_products(rows.device):  # not while others go on with what is yielded
            values = next(results, None)
        if values is None:
            return
        ess = None if is_enumerable(model) or not by_points else values[2]
        yield ColumnScores(values[0], values[1], ess, None if ess is None else k)


def _by_points(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    k: int,
    seed: int,
    watch: ProgressCallback | None,
    piece: int,
) -> Iterator[list[Tensor]]:
    """Return the scores by all states of the latent, or by K points for each datum and K for all, with ESS."""
    exact, fill, (n, dim) = is_enumerable(model), fill_of(rows), tuple(rows.stored.shape)
    masks = [torch.ones(dim, dtype=torch.bool, device=rows.device), *_without_groups(dim, rows.device)]
    shared = _prior_points(model, k, rows, seed) if model.context is None and not exact else None
    size = max(NUMBERS // (((number_of_states(model) or 1) if exact else k) * dim), 1)

    def scored(index: Tensor) -> list[Tensor]:
        batch = rows.take(index)
        noise = stream(seed, f"points of row {int(index[0])}", rows.device)
        points = joint_points(model, guide, batch, masks, fill, k, noise)
        terms = column_terms(model, points, batch)
        log_px = torch.logsumexp(points.base + terms.sum(-1), 0)
        others = points.base[..., None] + without_each(terms)
        log_others = torch.logsumexp(others, 0)
        ess = 1 / (others - log_others).exp().square().sum(0)
        if not exact:
            points = joint_points(model, guide, batch, (), fill, k, noise) if shared is None else shared
            terms = column_terms(model, points, batch)
        log_alone = torch.logsumexp(points.base[..., None] + terms, 0)
        seen = torch.ones_like(log_alone, dtype=torch.bool) if batch.mask is None else batch.mask
        values = (log_alone, log_px[:, None] - log_others, ess)
        return [torch.where(seen, value, torch.nan) for value in values]

    pieces = watched(torch.arange(n, device=rows.device).split(size), watch)
    return recut(by_groups(pieces, scored, max(piece // size, 1)), piece)


def watched(pieces: tuple[Tensor, ...], watch: ProgressCallback | None) -> Iterator[Tensor]:
    """Yield the numbers of the rows of each piece, and report progress."""
    for done, index in enumerate(pieces, 1):
        yield index
        if watch is not None:
            watch(done / len(pieces))


def fill_of(rows: Rows) -> Tensor:
    """Return the guide's input in the place of a column that is left out."""
    return torch.zeros(rows.stored.shape[1], device=rows.device) if rows.fill is None else rows.fill


def _without_groups(dim: int, device: torch.device) -> list[Tensor]:
    """Return masks [D] that leave out each column, or if there are many, each group of neighbours."""
    numbers = torch.arange(dim, device=device)
    return [~torch.isin(numbers, group) for group in numbers.chunk(min(dim, GROUPS))]


def _prior_points(model: LatentVariableModel, k: int, rows: Rows, seed: int) -> JointPoints:
    """Return points of the prior, the same for all data."""
    noise = stream(seed, "points of the prior", rows.device)
    z = model.simulate(k, noise)[0]
    return JointPoints(z[:, None], z.new_full((k, 1), -math.log(k), dtype=torch.float64))


def _by_closed_form(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    k: int,
    seed: int,
    watch: ProgressCallback | None,
    piece: int,
) -> Iterator[list[Tensor]]:
    """Return the scores as differences of exact evidences, of all columns, of all but one, and of one."""
    dim, seen = rows.stored.shape[1], _seen(rows)
    filled = replace(rows, fill=fill_of(rows))

    def evidence(mask: Tensor) -> Tensor:
        estimate = Exact()(model, guide, replace(filled, mask=mask & seen), seed)
        return torch.as_tensor(estimate.nats).double().to(rows.device)

    whole, eye = evidence(torch.ones_like(seen)), torch.eye(dim, dtype=torch.bool, device=rows.device)
    alone, others = [], []
    for d in range(dim):
        alone.append(evidence(eye[d]))
        others.append(evidence(~eye[d]))
        if watch is not None:
            watch((d + 1) / dim)
    log_alone, log_others = torch.stack(alone, -1), torch.stack(others, -1)
    alone_seen, others_seen = (torch.where(seen, t, torch.nan) for t in (log_alone, whole[:, None] - log_others))
    return recut([[alone_seen, others_seen]], piece)


def _seen(rows: Rows) -> Tensor:
    """Return the mask [N, D] of what is observed."""
    shape = tuple(rows.stored.shape)
    return torch.ones(shape, dtype=torch.bool, device=rows.device) if rows.mask is None else rows.mask
