"""The values that each family is for: all of them, as a grid, and a few, to be scored."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.core.random import drawing_from, stream
from jensen.families import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Family,
    Gaussian,
    Grouped,
    LogNormal,
    Mixture,
    NegativeBinomial,
    OneHots,
    Poisson,
    Product,
    ZeroInflated,
)

__all__ = ["extremes", "grid", "innermost", "inside", "is_discrete", "params_and_data"]

COUNTS = NegativeBinomial | Poisson | ZeroInflated
LEVELS = DiscretizedLogistic | DiscretizedLogisticMixture
UNIT = Beta | ContinuousBernoulli


def innermost(family: Family) -> Family:
    if isinstance(family, OneHots):
        return Categorical(family.dim)  # of one group
    if isinstance(family, Grouped):
        return innermost(family.parts[0])
    return innermost(family.part) if isinstance(family, Mixture | Product) else family


def is_discrete(family: Family) -> bool:
    return isinstance(innermost(family), Bernoulli | COUNTS | LEVELS)


def inside(family: Family, x: Tensor) -> Tensor:
    """Zeros and ones as values of the support."""
    return 0.2 + 0.6 * x if isinstance(innermost(family), UNIT | LogNormal) else x


def grid(family: Family) -> tuple[Tensor, Tensor]:
    """The values [V] of one feature and the logarithms [V] of their widths: what a density or mass is summed over."""
    kind = innermost(family)
    if is_discrete(kind):
        most = 20_000 if isinstance(kind, COUNTS) else kind.levels if isinstance(kind, LEVELS) else 2
        return torch.arange(most, dtype=torch.float64), torch.zeros(most, dtype=torch.float64)
    half = 45 if not isinstance(kind, UNIT) else 36
    t = torch.linspace(-half, half, 200_001, dtype=torch.float64)
    if isinstance(kind, UNIT):
        x = torch.sigmoid(t)
        width = x * torch.sigmoid(-t)
    else:
        x, width = (t.exp(), t.exp()) if isinstance(kind, LogNormal) else (t.sinh(), t.cosh())
    return x, (width * (t[1] - t[0])).log()


def extremes(family: Family) -> list[float]:
    """Values at the very ends of the support, in single precision."""
    kind = innermost(family)
    if isinstance(kind, UNIT):
        ends = [1e-37, 0.5, 1 - 2.0**-24]
        return [0.0, 1.0, *ends] if isinstance(kind, ContinuousBernoulli) else ends
    if isinstance(kind, LogNormal):
        return [1e-37, 1.0, 1e37]
    if isinstance(kind, COUNTS):
        return [0.0, 1.0, 2.0**24, 1e12]
    if is_discrete(kind):
        return [0.0, 1.0]
    far = 1e12 if isinstance(kind, Gaussian) else 1e30  # squares of what lies further are beyond single precision
    return [-far, -1.0, 0.0, far]


def params_and_data(family: Family, *shape: int) -> tuple[Tensor, Tensor]:
    """Parameters [*shape, P] and a datum from each distribution."""
    params = torch.randn(*shape, family.size, dtype=torch.float64, generator=stream(0, "params"))
    if isinstance(innermost(family), Beta):
        params = params.abs()  # a density that is finite at both ends, so that a grid can hold it
    with drawing_from(stream(0, "x")):
        return params, family(params).sample()
