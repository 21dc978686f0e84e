"""Samples of all columns given the values of some: latent points are resampled by their weights, and columns drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.errors import NumericalError, UsageError
from ..core.random import drawing_from
from ..core.validation import require_integer
from ..core.wording import plural
from ..evaluate.estimate import enough_points, exact_products
from ..evaluate.psis import pareto_k
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .conditional_points import check_conditionals, column_terms, is_enumerable, joint_points
from .gibbs import likelihood_at

__all__ = ["POINTS", "ConditionalSample", "conditional_sample"]

POINTS = 1 << 14
MOST = 10**7


@dataclass(frozen=True)
class ConditionalSample:
    """Samples given the values of some columns, in the units of the prepared data.

    Attributes:
        x: [n, D]; a given column has its value in all of them.
        log_px: log p(given columns) in nats.
        k: points that it is estimated from; None where it is exact.
        ess: their effective number; None where the samples are of the exact conditional.
        k_hat: shape of the weights' tail (see `jensen.evaluate.psis`); None where `ess` is.
    """

    x: Tensor
    log_px: float
    k: int | None = None
    ess: float | None = None
    k_hat: float | None = None


@torch.no_grad()
def conditional_sample(
    model: LatentVariableModel,
    guide: Guide,
    given: Batch,
    n: int,
    *,
    k: int = POINTS,
    generator: torch.Generator | None = None,
) -> ConditionalSample:
    r"""Draw n data from p(x | x_A), A being the columns that are given.

    .. math:: p(x | x_A) = \int p(x | z)\, p(z | x_A)\, dz, \qquad w_k = p(x_A | z_k)\, p(z_k) / q(z_k)

    Points of the guide given x_A, and of the prior, are resampled by their weights; a condition on a continuous column
    is one on its density. Of a finite latent the weights are those of all states, and under an exact guide all points
    are of p(z | x_A): then each sample is one of the conditional itself.

    Args:
        model: its likelihood's features are independent given z.
        guide: proposes points.
        given: one datum [1, D], whose mask is True for the columns of the condition; the others hold values that the
            guide sees in the place of missing ones.
        n: samples.
        k: points, where they are weighted.
        generator: of all randomness.

    Raises:
        UsageError: the condition is so rare that its samples would be of few points; or a number is below 1.
        NumericalError: the condition has no probability. CompositionError, NotNormalised: see `check_conditionals`.
    """
    require_integer(1, MOST, **{"-n": n, "-k": k})
    check_conditionals(model, guide)
    mask = torch.as_tensor(given.mask)
    exact, closed = is_enumerable(model), guide.is_exact
    points = n if closed and not exact else k
    with exact_products(given.x.device):
        at = joint_points(model, guide, given, [mask], given.x[0], points, generator)
        log_w = (at.base + column_terms(model, at, given).sum(-1))[:, 0]
    log_px = float(torch.logsumexp(log_w, 0))
    if not torch.isfinite(torch.tensor(log_px)):
        raise NumericalError("the condition has no probability under the model", "Give values that the data have.")
    ess = k_hat = None
    if closed and not exact:
        index = torch.arange(n, device=log_w.device)
    else:
        weights = torch.softmax(log_w, 0)
        index = torch.multinomial(weights, n, replacement=True, generator=generator)
        if not exact:
            ess, k_hat = float(1 / weights.square().sum()), float(pareto_k(log_w[:, None]))
            _refuse_rare(ess, len(log_w), log_px)
    with drawing_from(generator):
        drawn = likelihood_at(model, at.z[index].flatten(0, 1)[:, None], given.context).sample()[:, 0]
    x = torch.where(mask[0], given.x[0], drawn)
    return ConditionalSample(x, log_px, None if exact or closed else len(log_w), ess, k_hat)


def _refuse_rare(ess: float, k: int, log_px: float) -> None:
    """Refuse a condition that few points carry.

    Raises:
        UsageError: naming the remedy.
    """
    if ess >= enough_points(k):
        return
    raise UsageError(
        f"the condition is too rare (its log p is about {log_px:.1f} nats): of {plural(k, 'point')} an effective"
        f" {ess:.1f} carry it, and samples would repeat these",
        f"Give more points, such as -k {4 * k}, or a condition of fewer columns or more usual values.",
    )
