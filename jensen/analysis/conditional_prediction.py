"""The distribution of one column given the others, from the joint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Independent

from ..core.batch import Batch, Rows
from ..core.divided import by_groups, recut
from ..core.errors import UsageError
from ..core.random import drawing_from, stream
from ..core.validation import require_integer
from ..distributions import PerColumn
from ..evaluate.estimate import ProgressCallback, enough_points, exact_products
from ..evaluate.exact import number_of_states
from ..evaluate.psis import pareto_k
from ..families.columns import Columns
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .column_scores import NUMBERS, fill_of, watched
from .conditional_points import JointPoints, check_conditionals, hidden, is_enumerable, joint_points, terms_and_values
from .gibbs import likelihood_at

__all__ = ["DRAWS", "POINTS", "ColumnPrediction", "predict_column", "predictions_in_pieces"]

POINTS, DRAWS = 1024, 256
MOST = 10**6
ORDERED = 8  # numbers that ordering a sample takes beside its point


@dataclass(frozen=True)
class ColumnPrediction:
    """p(x_d | the other observed columns) of one column d, in the units of the prepared data.

    Attributes:
        summary: [N, S]: of `Columns` the mean of what summarises the column there (probabilities of levels, the mean of
            a number, [cos, sin] of an angle); of other families [N, 1], the mean of the column.
        draws: [m, N] samples, from low to high; None where m is 0.
        log_prob: [N] log p(x_d | others) in nats where x_d is known; NaN elsewhere.
        k: points per datum; None where they are all states of the latent.
        ess: [N] their effective number, and `k_hat` the shape of their weights' tail; None where these are exact.
    """

    summary: Tensor
    draws: Tensor | None
    log_prob: Tensor
    k: int | None = None
    ess: Tensor | None = None
    k_hat: Tensor | None = None

    @property
    def unreliable(self) -> Tensor | None:
        """[N], True where too few points carry the weight; None where no weight has an error."""
        return None if self.ess is None or self.k is None else self.ess < enough_points(self.k)


def predict_column(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    column: int,
    *,
    k: int = POINTS,
    m: int = DRAWS,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> ColumnPrediction:
    r"""Return the distribution of a column given the other observed ones, whether it is itself known or not.

    .. math:: p(x_d | x_{-d}) = \sum_k \tilde w_k\, p(x_d | z_k), \qquad w_k = p(x_{-d} | z_k)\, p(z_k) / q(z_k)

    The points are of the guide, which does not see the column, and of the prior; all states of a finite latent; or of
    the exact posterior, with equal weights (see `joint_points`).

    Args:
        model: its likelihood's features are independent given z.
        guide: proposes points.
        rows: [N, D]; with `Rows.fill` for the column that is left out.
        column: its number, d.
        k: points per datum, where the latent is not finite.
        m: samples of the column, for quantiles, at points in equal steps of the total weight; 0 for none.
        seed: of all randomness.
        watch: progress callback, called with the fraction done, 0 to 1.

    Raises:
        UsageError: there is no such column, or a number is too small.
        CompositionError, NotNormalised: see `check_conditionals`.

    Example:
        >>> from jensen.families import Categorical, Gaussian
        >>> from jensen.guides import Exact
        >>> from jensen.models.conditionals import Table, Unconditional
        >>> model = LatentVariableModel(Unconditional(Categorical(2)), Table(Gaussian(3), 2))
        >>> predict_column(model, Exact(model), Rows(torch.zeros(5, 3)), 1).summary.shape
        torch.Size([5, 1])
    """
    how = {"k": k, "m": m, "seed": seed, "watch": watch}
    (prediction,) = predictions_in_pieces(model, guide, rows, column, size=len(rows), **how)
    return prediction


def predictions_in_pieces(
    model: LatentVariableModel,
    guide: Guide,
    rows: Rows,
    column: int,
    *,
    size: int,
    k: int = POINTS,
    m: int = DRAWS,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Iterator[ColumnPrediction]:
    """Yield the predictions of so many rows after another: the numbers are those that `predict_column` returns for all.

    Random streams are those of batches, whose size follows from the model, k, m and the column alone.

    Args:
        model, guide, rows, column, k, m, seed, watch: see `predict_column`.
        size: rows of each; the last may have fewer.
    """
    dim = rows.stored.shape[1]
    _check(column, dim, k, m)
    check_conditionals(model, guide)
    rows = rows.fixed(stream(seed, "predicted rows", rows.device))
    exact = is_enumerable(model)
    weighted = not exact and not guide.is_exact
    points = (number_of_states(model) or 1) if exact else k
    # the terms of all points of a row, or its samples, each with a point of its own and some numbers to order them by
    per_row = max(points * max(dim, _width(model, column)), m * (model.latent + ORDERED))
    batch = max(NUMBERS // per_row, 1)

    def predicted(index: Tensor) -> list[Tensor]:
        noise = stream(seed, f"prediction of row {int(index[0])}", rows.device)
        tensors = _predicted(model, guide, rows.take(index), fill_of(rows), column, k, m, noise)
        return tensors if weighted else tensors[:-2]

    batches = watched(torch.arange(len(rows), device=rows.device).split(batch), watch)
    results = recut(by_groups(batches, predicted, max(size // batch, 1)), size)
    while True:
        with torch.no_grad(), exact_products(rows.device):  # not while others go on with what is yielded
            values = next(results, None)
        if values is None:
            return
        summary, log_prob, *more = values
        draws = more.pop(0).mT if m else None
        ess, k_hat = more if weighted else (None, None)
        yield ColumnPrediction(summary, draws, log_prob, None if exact else k, ess, k_hat)


def _check(column: int, dim: int, k: int, m: int) -> None:
    """Refuse a column that is not among `dim`, and numbers that are too small."""
    require_integer(1, MOST, **{"-k": k})
    require_integer(0, MOST, m=m)
    if not 0 <= column < dim:
        raise UsageError(f"there is no column {column} among {dim}", f"Give a number from 0 to {dim - 1}.")


def _predicted(
    model: LatentVariableModel,
    guide: Guide,
    batch: Batch,
    fill: Tensor,
    column: int,
    k: int,
    m: int,
    noise: torch.Generator,
) -> list[Tensor]:
    """Return summary [B, S], log p [B], m draws [B, m] if any, ESS and k-hat [B] of a batch."""
    others = torch.arange(batch.x.shape[1], device=batch.x.device) != column
    points = joint_points(model, guide, hidden(batch, others, fill), [others], fill, k, noise)

    def of_params(params: Tensor) -> Tensor:
        if isinstance(model.likelihood.family, Columns):
            return _summary_of(model.likelihood.family, params, column)
        return model.likelihood.at(params).mean[..., column, None]

    terms, values = terms_and_values(model, points, batch, of_params)
    log_w = (points.base + terms[..., others].sum(-1)).log_softmax(0)
    weights, log_prob = log_w.exp(), torch.logsumexp(log_w + terms[..., column], 0)
    if batch.mask is not None:
        log_prob = torch.where(batch.mask[:, column], log_prob, torch.nan)
    summary = torch.einsum("kb,kbs->bs", weights, values.double().expand(*weights.shape, -1))
    tensors = [summary, log_prob]
    if m:
        tensors.append(_draws(model, points, batch, weights, column, m, noise).mT)
    return [*tensors, 1 / weights.square().sum(0), pareto_k(log_w)]


def _width(model: LatentVariableModel, column: int) -> int:
    """Return S, the numbers that summarise a column."""
    family = model.likelihood.family
    return family.summary_sizes[column] if isinstance(family, Columns) else 1


def _summary_of(family: Columns, params: Tensor, column: int) -> Tensor:
    """Return what summarises one column [..., S], without the columns of other groups."""
    group = next(i for i, places in enumerate(family.places) if column in places)
    own, place = family.families[group], family.places[group].index(column)
    start = sum(own.summary_sizes[:place])
    return own.summary(family.split(params)[group])[..., start : start + own.summary_sizes[place]]


def _draws(
    model: LatentVariableModel,
    points: JointPoints,
    batch: Batch,
    weights: Tensor,
    column: int,
    m: int,
    generator: torch.Generator,
) -> Tensor:
    """Return m samples [m, B] of the column, sorted, at points in equal steps of the total weight."""
    start = torch.rand(1, weights.shape[1], dtype=weights.dtype, device=weights.device, generator=generator)
    places = (torch.arange(m, dtype=weights.dtype, device=weights.device)[:, None] + start) / m
    index = torch.searchsorted(weights.cumsum(0).mT.contiguous(), places.mT.contiguous()).clamp_max(len(weights) - 1).mT
    z = points.z.expand(-1, weights.shape[1], -1).gather(0, index[..., None].expand(-1, -1, points.z.shape[-1]))
    samples = []
    at_once = max(NUMBERS // (model.likelihood.family.size * weights.shape[1]), 1)
    for some in z.split(at_once):
        own = likelihood_at(model, some, batch.context)
        group, place = own, column
        if isinstance(own, Independent) and isinstance(own.base_dist, PerColumn):  # other kinds need not be drawn
            group, place = own.base_dist.of_column(column)
        with drawing_from(generator):
            samples.append(group.sample()[..., place])
    return torch.cat(samples).double().sort(0).values
