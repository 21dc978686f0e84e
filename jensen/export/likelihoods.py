"""The parameters of p(x | z) by name, in the data's own units where they have units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Laplace, Normal

from ..distributions import (
    Beta,
    Choice,
    ContinuousBernoulli,
    DiscretizedLogistic,
    FeatureMixture,
    Heaped,
    LinkedNormal,
    LogitNormal,
    LogNormal,
    NegativeBinomial,
    OrderedLogistic,
    Poisson,
    RoundedLogistic,
    StudentT,
    VonMises,
    ZeroInflated,
)
from ..families import Columns, Family
from ..models.conditionals import Conditional

__all__ = ["Named", "Units", "features_of", "level_slices", "named_parameters", "unwrapped"]

PLACE, WIDTH, PLAIN = "place", "width", "plain"

# distribution -> (attribute, name, how its unit is, meaning) of what its mean leaves open
PARAMETERS: dict[type[Distribution], tuple[tuple[str, str, str, str], ...]] = {
    Normal: (("scale", "scale", WIDTH, "standard deviations"),),
    Laplace: (("scale", "scale", WIDTH, "scales of Laplace distributions about the mean"),),
    StudentT: (
        ("scale", "scale", WIDTH, "scales of t distributions about the mean"),
        ("degrees", "degrees", PLAIN, "degrees of freedom"),
    ),
    Bernoulli: (("logits", "logits", PLAIN, "log-odds of 1; the mean is their sigmoid"),),
    ContinuousBernoulli: (("logits", "logits", PLAIN, "natural parameters of continuous Bernoulli distributions"),),
    LogNormal: (
        ("loc", "log_location", PLAIN, "means of log x"),
        ("scale", "log_scale", PLAIN, "standard deviations of log x"),
    ),
    LogitNormal: (
        ("loc", "logit_location", PLAIN, "means of logit x"),
        ("scale", "logit_scale", PLAIN, "standard deviations of logit x"),
    ),
    Beta: (("a", "a", PLAIN, "first concentrations"), ("b", "b", PLAIN, "second concentrations")),
    Poisson: (("log_rate", "log_rate", PLAIN, "logarithms of the mean"),),
    NegativeBinomial: (
        ("log_mean", "log_mean", PLAIN, "logarithms of the mean"),
        ("theta", "dispersion", PLAIN, "inverse dispersion: the variance is mean + mean^2 / dispersion"),
    ),
    ZeroInflated: (("gate", "zero_logits", PLAIN, "log-odds of a zero beyond those of the counts"),),
    DiscretizedLogistic: (
        ("loc", "location", PLACE, "locations of logistic distributions that are rounded to whole numbers"),
        ("scale", "scale", WIDTH, "scales of these"),
    ),
    LinkedNormal: (
        ("loc", "location", PLAIN, "locations of the components, see schema.json"),
        ("scale", "scale", PLAIN, "their standard deviations"),
    ),
    RoundedLogistic: (
        ("loc", "location", PLACE, "locations of logistic distributions that are rounded to whole numbers"),
        ("scale", "scale", WIDTH, "scales of these"),
    ),
    VonMises: (("concentration", "concentration", PLAIN, "concentrations about the mean direction"),),
}


@dataclass(frozen=True)
class Units:
    """The data's own unit: x = center + scale * (what the model sees).

    Attributes:
        center, scale: [D] or [], float64; None for 0 and 1.
    """

    center: Tensor | None = None
    scale: Tensor | None = None

    def own(self, value: Tensor, kind: str = PLACE) -> Tensor:
        """Return places, or widths, of the model's space in the data's unit, in float64 where they have one."""
        if kind == PLAIN or (self.center is None and self.scale is None):
            return value
        value = value.to(torch.float64)
        value = value if self.scale is None else value * self.scale
        return value if kind == WIDTH or self.center is None else value + self.center


@dataclass(frozen=True)
class Named:
    """One parameter of p(x | z): its name, its values [B, ...] and what they mean."""

    name: str
    value: Tensor
    meaning: str


def features_of(family: Family, params: Tensor) -> Distribution:
    """Return the distributions of independent features."""
    return unwrapped(family(params))


def unwrapped(distribution: Distribution) -> Distribution:
    """Return the distributions of features within an `Independent`; another distribution as it is."""
    return distribution.base_dist if isinstance(distribution, Independent) else distribution


def level_slices(family: Columns) -> dict[int, slice]:
    """Return the places of each column with levels in the output of probabilities, by the number of the column."""
    sizes = {}
    for own, places in zip(family.families, family.places, strict=True):
        if _has_levels(own):
            sizes |= dict(zip(places, own.summary_sizes, strict=True))
    slices, start = {}, 0
    for column in sorted(sizes):
        slices[column] = slice(start, start + sizes[column])
        start += sizes[column]
    return slices


def _has_levels(family: Family) -> bool:
    features = features_of(family, torch.zeros(family.size))
    return isinstance(features, Choice | OrderedLogistic | Bernoulli)


def named_parameters(likelihood: Conditional, params: Tensor, units: Units) -> list[Named]:
    """Return the parameters of p(x | z) by name, from the flat ones [B, P].

    Of a mixed table these are the probabilities of levels, of all columns that have some, in the order of the columns;
    and the parameters of each other group of columns, whose names begin with the number of the group.
    """
    family = likelihood.family
    if not isinstance(family, Columns):
        known = list(_of(unwrapped(likelihood.at(params)), units, ""))
        return known or [Named("parameters", params, f"the flat parameters of {family.phrase}")]
    named, pieces = [], {}
    for g, (own, p) in enumerate(zip(family.families, family.split(params), strict=True), 1):
        if _has_levels(own):
            parts = own.summary(p).split(list(own.summary_sizes), -1)
            pieces |= dict(zip(family.places[g - 1], parts, strict=True))
        else:
            named += _of(features_of(own, p), Units(), f"group{g}_")
    if pieces:
        probabilities = torch.cat([pieces[column] for column in sorted(pieces)], -1)
        what = "probabilities of the levels of all columns that have some, see schema.json"
        named.insert(0, Named("probabilities", probabilities, what))
    return named


def _of(distribution: Distribution, units: Units, prefix: str) -> Iterator[Named]:
    """Yield the parameters of the distributions of features, and of what these are made of."""
    if isinstance(distribution, FeatureMixture):
        yield Named(f"{prefix}weights", distribution.logits.softmax(-1), "weights of the components of each column")
        yield from _of(distribution.base, units, prefix)
        return
    if isinstance(distribution, Heaped):
        what = "weights of the mixture, and of each frequent number, see schema.json"
        yield Named(f"{prefix}frequent", distribution.logs.exp(), what)
        yield from _of(distribution.rest, units, prefix)
        return
    if isinstance(distribution, ZeroInflated):
        yield from _of(distribution.base, units, prefix)
    if isinstance(distribution, DiscretizedLogistic):  # on an axis from -1 to 1
        half = (distribution.levels - 1) / 2
        units = Units(torch.tensor(half, dtype=torch.float64), torch.tensor(half, dtype=torch.float64))
    if isinstance(distribution, RoundedLogistic):
        units = Units(distribution.center.to(torch.float64), distribution.unit.to(torch.float64))
    for attribute, name, kind, meaning in PARAMETERS.get(type(distribution), ()):
        value = getattr(distribution, attribute)
        value = units.own(value, kind)
        yield Named(f"{prefix}{name}", value, meaning)
