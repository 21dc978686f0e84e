r"""Expectations of univariate distributions as sums over nodes, :math:`E f(x) \approx \sum_i w_i f(x_i)`.

They are exact for levels, and for other values exact up to a quadrature, whatever the parameters are. Both nodes and
weights are functions of the parameters, so that the gradient of the sum is that of the expectation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal
from torch.nn.functional import logsigmoid

from ..core.errors import CompositionError
from .circular import VonMises
from .feature_mixture import FeatureMixture, LinkedNormal
from .heaps import Heaped
from .integers import RoundedLogistic
from .levels import Choice, OrderedLogistic
from .rounded_terms import rounded_logistic_terms
from .tails import LogNormal, StudentT
from .unit import LogitNormal

__all__ = ["are_finer", "expectation_nodes", "finer_nodes", "has_nodes"]

NORMAL = 32  # of the rule of Gauss and Hermite
WHOLE, TAILS = 48, 32  # nodes on each side of the middle, of whole numbers and of Student's t
STEP = 0.3  # of u, with t = sinh(u) times the scale: the outermost node is at 7,000 scales
FINER = 2  # times as many nodes, by which the error of the others is measured
ANGLES, WIDTH = 48, 1.5  # on the circle, drawn together to this many deviations where the concentration is large


_times: ContextVar[int] = ContextVar("times", default=1)


@contextmanager
def finer_nodes() -> Iterator[None]:
    """A scope in which there are twice as many nodes."""
    token = _times.set(FINER)
    try:
        yield
    finally:
        _times.reset(token)


def are_finer() -> bool:
    """Return whether this is within `finer_nodes`."""
    return _times.get() > 1


@functools.singledispatch
def expectation_nodes(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Return values [..., D, n] and the logarithms of their weights [..., D, n], which add up to 1.

    The values may have fewer axes than the weights. Weights of levels are their probabilities. Of normal variables, of
    their exponentials and sigmoids, and of mixtures of these, the nodes are those of Gauss and Hermite, 32 for each
    component: to 1e-9 of a sigmoid of 1.5 times the standard variable, and to 1e-4 of one of 4 times. Of whole numbers
    they are every number where the scale is below 3, else about two to a scale, to 1e-3 where mass is collected at a
    lowest one; of heavy tails and angles those of the trapezoidal rule in a variable that suits them.

    Args:
        distribution: univariate, batch shape [..., D].

    Raises:
        CompositionError: its kind has no nodes.

    Example:
        >>> values, logs = expectation_nodes(Normal(torch.ones(1), torch.ones(1)))
        >>> round(float((logs.exp() * values.square()).sum()), 4)
        2.0
    """
    raise CompositionError(
        f"expectations under {type(distribution).__name__} have no nodes",
        "Use a family of levels, Gaussians, their mixtures, Student's t, whole numbers or angles.",
    )


def has_nodes(distribution: Distribution) -> bool:
    """Return whether expectations under this kind of distribution are sums over nodes; of a mixture, its components.

    Example:
        >>> has_nodes(Normal(torch.zeros(1), 1.0)), has_nodes(torch.distributions.Gamma(torch.ones(1), 1.0))
        (True, False)
    """
    if isinstance(distribution, FeatureMixture):
        return has_nodes(distribution.base)
    if isinstance(distribution, Heaped):
        return has_nodes(distribution.rest)
    return expectation_nodes.dispatch(type(distribution)) is not expectation_nodes.dispatch(object)


@functools.cache
def _hermite(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the nodes of a standard normal variable [n], and the logarithms of their weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    logs = np.log(weights) - math.log(math.sqrt(2 * math.pi))
    with torch.inference_mode(False):
        return torch.tensor(nodes, dtype=dtype, device=device), torch.tensor(logs, dtype=dtype, device=device)


def _normal(loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nodes of a normal variable."""
    nodes, logs = _hermite(NORMAL * _times.get(), loc.dtype, loc.device)
    values = loc.unsqueeze(-1) + scale.unsqueeze(-1) * nodes
    return values, logs.expand(values.shape)


def _steps(half: int, like: Tensor) -> Tensor:
    """Return -half, ..., half."""
    return torch.arange(-half, half + 1, dtype=like.dtype, device=like.device)


@expectation_nodes.register
def _of_normal(distribution: Normal) -> tuple[Tensor, Tensor]:
    return _normal(distribution.loc, distribution.scale)


def _exp(y: Tensor) -> Tensor:
    info = torch.finfo(y.dtype)
    return y.exp().clamp(info.tiny, info.max)


def _sigmoid(y: Tensor) -> Tensor:
    info = torch.finfo(y.dtype)
    return y.sigmoid().clamp(info.tiny, 1 - info.eps)


@expectation_nodes.register
def _of_log_normal(distribution: LogNormal) -> tuple[Tensor, Tensor]:
    y, logs = _normal(distribution.loc, distribution.scale)
    return _exp(y), logs


@expectation_nodes.register
def _of_logit_normal(distribution: LogitNormal) -> tuple[Tensor, Tensor]:
    y, logs = _normal(distribution.loc, distribution.scale)
    return _sigmoid(y), logs


@expectation_nodes.register
def _of_linked_normal(distribution: LinkedNormal) -> tuple[Tensor, Tensor]:
    y, logs = _normal(distribution.loc, distribution.scale)
    x = y
    for where, link in ((distribution.is_positive, _exp), (distribution.is_unit, _sigmoid)):
        if where is not None:
            is_so = where.unsqueeze(-1)
            x = torch.where(is_so, link(torch.where(is_so, y, 0.0)), x)  # no gradient of an overflow elsewhere
    return x, logs


@expectation_nodes.register
def _of_mixture(distribution: FeatureMixture) -> tuple[Tensor, Tensor]:
    """Return the nodes of all components, by the weights of these."""
    values, logs = expectation_nodes(distribution.base)
    logs = logs + distribution.logits.log_softmax(-1).unsqueeze(-1)
    return values.expand(logs.shape).flatten(-2), logs.flatten(-2)


@expectation_nodes.register
def _of_heaped(distribution: Heaped) -> tuple[Tensor, Tensor]:
    """Return the nodes of the rest and the heaps, by the weights of these."""
    values, logs = expectation_nodes(distribution.rest)
    logs = torch.cat([distribution.logs[..., :1] + logs, distribution.logs[..., 1:]], -1)
    parts = (v.expand((*logs.shape[:-1], v.shape[-1])) for v in (values, distribution.heaps))
    return torch.cat(list(parts), -1), logs


@expectation_nodes.register
def _of_bits(distribution: Bernoulli) -> tuple[Tensor, Tensor]:
    logits = torch.as_tensor(distribution.logits)
    logs = torch.stack([logsigmoid(-logits), logsigmoid(logits)], -1)
    return torch.arange(2).to(logs).expand(logits.shape[-1], 2), logs


@expectation_nodes.register
def _of_choice(distribution: Choice) -> tuple[Tensor, Tensor]:
    logs = distribution.logs
    return torch.arange(logs.shape[-1]).to(logs).expand(logs.shape[-2:]), logs


@expectation_nodes.register
def _of_ordered(distribution: OrderedLogistic) -> tuple[Tensor, Tensor]:
    loc, scale = distribution.loc.unsqueeze(-1), distribution.scale.unsqueeze(-1)
    lower, upper = (distribution.cuts[..., :-1] - loc) / scale, (distribution.cuts[..., 1:] - loc) / scale
    logs = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(-distribution.gaps / scale))
    return torch.arange(logs.shape[-1]).to(logs).expand(logs.shape[-2:]), logs


@expectation_nodes.register
def _of_whole_numbers(distribution: RoundedLogistic) -> tuple[Tensor, Tensor]:
    """Return whole numbers about the middle, with the masses of the variable that has no lowest value.

    A sum over every t-th number, t times its mass, is as good as that over all while t is well below the scale.
    """
    loc, scale, center, unit = (
        torch.broadcast_to(v, distribution.batch_shape).unsqueeze(-1)
        for v in (distribution.loc, distribution.scale, distribution.center, distribution.unit)
    )
    with torch.no_grad():
        times = _times.get()
        apart = ((unit * scale + 1) / (2 * times)).floor().clamp_min(1.0)
        values = (center + unit * loc).round() + apart * _steps(WHOLE * times, loc)
    logs = rounded_logistic_terms((values - center) / unit, loc, scale, 0.5 / unit).log_softmax(-1)
    if distribution.lowest is not None:
        values = torch.maximum(values, distribution.lowest.unsqueeze(-1))
    return values, logs


@expectation_nodes.register
def _of_student_t(distribution: StudentT) -> tuple[Tensor, Tensor]:
    loc, scale = distribution.loc.unsqueeze(-1), distribution.scale.unsqueeze(-1)
    u = STEP / _times.get() * _steps(TAILS * _times.get(), loc)
    degrees = distribution.degrees.unsqueeze(-1)
    values = loc + scale * u.sinh()
    logs = StudentT(degrees, torch.zeros_like(loc), torch.ones_like(scale), False).log_prob(u.sinh()) + u.cosh().log()
    return values, logs.expand(values.shape).log_softmax(-1)


@expectation_nodes.register
def _of_angle(distribution: VonMises) -> tuple[Tensor, Tensor]:
    n = ANGLES * _times.get()
    turns = (torch.arange(n).to(distribution.cosine) + 0.5) * (2 * math.pi / n) - math.pi
    with torch.no_grad():  # nodes that lie anywhere have the same sum
        shrink = (WIDTH * distribution.concentration.rsqrt()).clamp_max(1.0).unsqueeze(-1)
        away = 2 * torch.atan(shrink * (turns / 2).tan())
        stretch = shrink / ((turns / 2).cos().square() + (shrink * (turns / 2).sin()).square())
        values = torch.remainder(distribution.mean.unsqueeze(-1) + away + math.pi, 2 * math.pi) - math.pi
    parts = (distribution.cosine.unsqueeze(-1), distribution.sine.unsqueeze(-1))
    return values, (VonMises(*parts, validate_args=False).log_prob(values) + stretch.log()).log_softmax(-1)
