"""The values that each family is for: all of them, as a grid, and a few, to be scored."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen import families
from jensen.core.random import drawing_from, stream

__all__ = ["extremes", "grid", "innermost", "inside", "is_discrete", "is_positive", "params_and_data"]

COUNTS = families.NegativeBinomial | families.Poisson | families.ZeroInflated
LEVELS = families.DiscretizedLogistic | families.DiscretizedLogisticMixture
NAMED = families.Choices | families.Ordinal
WHOLE = families.Integers | families.IntegerMixtures | families.HeapedIntegers
UNIT = families.Beta | families.ContinuousBernoulli | families.LogitNormal


def innermost(family: families.Family) -> families.Family:
    """The family of a feature; of columns, that of the first and the last one."""
    if isinstance(family, families.Columns):
        return family.families[0]
    if isinstance(family, families.OneHots):
        return families.Categorical(family.dim)  # of one group
    if isinstance(family, families.Grouped):
        return innermost(family.parts[0])
    return innermost(family.part) if isinstance(family, families.Mixture | families.Product) else family


def is_discrete(family: families.Family) -> bool:
    return isinstance(innermost(family), families.Bernoulli | COUNTS | LEVELS | NAMED | WHOLE)


def is_positive(kind: families.Family) -> bool:
    """True if the first and the last feature are above 0."""
    return isinstance(kind, families.LogNormal) or (
        isinstance(kind, families.GaussianMixtures) and kind.values[0] == "positive"
    )


def inside(family: families.Family, x: Tensor) -> Tensor:
    """Zeros and ones as values of the support."""
    kind = innermost(family)
    return 0.2 + 0.6 * x if isinstance(kind, UNIT) or is_positive(kind) else x


def grid(family: families.Family) -> tuple[Tensor, Tensor]:
    """The values [V] of one feature and the logarithms [V] of their widths: what a density or mass is summed over."""
    kind = innermost(family)
    if isinstance(kind, WHOLE):
        return torch.arange(-10_000, 10_001, dtype=torch.float64), torch.zeros(20_001, dtype=torch.float64)
    if isinstance(kind, NAMED):
        return torch.arange(kind.levels[0], dtype=torch.float64), torch.zeros(kind.levels[0], dtype=torch.float64)
    if isinstance(kind, families.VonMises):  # the first and the last are the same point
        x = torch.linspace(-math.pi, math.pi, 20_001, dtype=torch.float64)[1:]
        return x, torch.full_like(x, math.log(2 * math.pi / 20_000))
    if is_discrete(kind):
        most = 20_000 if isinstance(kind, COUNTS) else kind.levels if isinstance(kind, LEVELS) else 2
        return torch.arange(most, dtype=torch.float64), torch.zeros(most, dtype=torch.float64)
    half = 45 if not isinstance(kind, UNIT) else 36
    t = torch.linspace(-half, half, 200_001, dtype=torch.float64)
    if isinstance(kind, UNIT):
        x = torch.sigmoid(t)
        width = x * torch.sigmoid(-t)
    else:
        x, width = (t.exp(), t.exp()) if is_positive(kind) else (t.sinh(), t.cosh())
    return x, (width * (t[1] - t[0])).log()


def extremes(family: families.Family) -> list[float]:
    """Values at the very ends of the support, in single precision."""
    kind = innermost(family)
    if isinstance(kind, UNIT):
        ends = [1e-37, 0.5, 1 - 2.0**-24]
        return [0.0, 1.0, *ends] if isinstance(kind, families.ContinuousBernoulli) else ends
    if is_positive(kind):
        return [1e-37, 1.0, 1e37]
    if isinstance(kind, families.VonMises):
        return [-math.pi, 0.0, math.pi]
    if isinstance(kind, WHOLE):
        return [-1e12, -(2.0**24), 0.0, 1.0, 1e12]
    if isinstance(kind, COUNTS):
        return [0.0, 1.0, 2.0**24, 1e12]
    if is_discrete(kind):
        return [0.0, 1.0]
    # squares of what lies further are beyond single precision
    far = 1e12 if isinstance(kind, families.Gaussian | families.GaussianMixtures) else 1e30
    return [-far, -1.0, 0.0, far]


def params_and_data(family: families.Family, *shape: int) -> tuple[Tensor, Tensor]:
    """Parameters [*shape, P] and a datum from each distribution."""
    params = torch.randn(*shape, family.size, dtype=torch.float64, generator=stream(0, "params"))
    if isinstance(innermost(family), families.Beta):
        params = params.abs()  # a density that is finite at both ends, so that a grid can hold it
    with drawing_from(stream(0, "x")):
        return params, family(params).sample()
