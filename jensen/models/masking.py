r"""Missingness that depends on the missing value itself: p(x, s | z), where s says which entries are observed.

Where an entry is missing, x is integrated out. Given z entries are independent, and each s_d depends on its own x_d
alone, so that this is one univariate expectation for each missing entry, which is computed by its nodes:

    p(x_o, s | z) = prod_observed p(x_d | z) P(s_d = 1 | x_d)  prod_missing E[P(s_d = 0 | x_d) | z]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, OneHotCategorical
from torch.nn.functional import logsigmoid

from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import PerColumn
from ..distributions.nodes import expectation_nodes, has_nodes
from ..families import Categorical, Columns, Family
from ..families.support import ABOVE_ZERO, ANGLES, OPEN_UNIT, Support
from .conditionals import Conditional
from .posteriors import register_posterior

__all__ = ["SelfMasked", "can_be_masked"]

TINY, CLOSEST = 1e-30, 2.0**-24  # the least argument of a logarithm, and the closest to the ends of (0, 1)
TRIES = 100  # of drawing a missing value by rejection
STEEPEST = 4.0  # slope per standard deviation of a column: quadratures hold up to it, and no threshold is sharper
RARE = 1e-3  # the least share of missing, and of observed, entries at which a column starts


def can_be_masked(family: Family) -> bool:
    """Return whether expectations under the features of a family can be computed.

    Example:
        >>> from jensen.families import Gaussian, Poisson
        >>> can_be_masked(Gaussian(2)), can_be_masked(Poisson(2))
        (True, False)
    """
    if not family.factorises:
        return False
    distribution = family(torch.zeros(family.size))
    return isinstance(distribution, Independent) and all(map(has_nodes, _kinds(distribution)))


def _kinds(distribution: Distribution) -> tuple[Distribution, ...]:
    """Return the distributions of the features, [..., D_g] of each group."""
    features = distribution.base_dist if isinstance(distribution, Independent) else distribution
    return features.groups if isinstance(features, PerColumn) else (features,)


def _groups(family: Family) -> Sequence[tuple[Family, Sequence[int]]]:
    """Return the families of the groups of columns, with their columns; one group of all of another family."""
    if isinstance(family, Columns):
        return list(zip(family.families, family.places, strict=True))
    return [(family, range(family.dim))]


class _Mechanism(nn.Module):
    r"""The logit that an entry is observed, :math:`b_d - w_d \cdot u_d(x_d)`, of the masked columns of one group.

    u is x, log x or logit x, standardised; cos x and sin x of an angle; a one-hot of levels. w is 4 tanh(slope / 4),
    and the slope itself of levels, whose sums are exact.

    Attributes:
        family: of the group.
        at: the places of the masked columns in the group; `columns`: in the table.
    """

    mean: Tensor
    scale: Tensor
    is_positive: Tensor
    is_unit: Tensor

    def __init__(self, family: Family, at: Sequence[int], columns: Sequence[int]) -> None:
        super().__init__()
        self.family, self.at, self.columns = family, tuple(at), tuple(columns)
        supports = [family.support.column(i) for i in at]
        self.is_angle = supports[0] == ANGLES
        self.levels = 0 if self.is_angle else max(map(_number_of_levels, supports))
        self.slope = nn.Parameter(torch.zeros(len(at), 2 if self.is_angle else self.levels or 1))
        self.bias = nn.Parameter(torch.zeros(len(at)))
        self.register_buffer("mean", torch.zeros(len(at)))
        self.register_buffer("scale", torch.ones(len(at)))
        self.register_buffer("is_positive", torch.tensor([s == ABOVE_ZERO for s in supports]), persistent=False)
        self.register_buffer("is_unit", torch.tensor([s == OPEN_UNIT for s in supports]), persistent=False)

    @property
    def weights(self) -> Tensor:
        """w [d, n]; of numbers and angles within 4, since a steeper probability would fall between the nodes."""
        return self.slope if self.levels else STEEPEST * (self.slope / STEEPEST).tanh()

    def linked(self, x: Tensor) -> Tensor:
        """Return x [..., d, n] with the logarithms and logits of the columns that have them."""
        x = torch.where(self.is_positive[:, None], x.clamp_min(TINY).log(), x)
        return torch.where(self.is_unit[:, None], torch.logit(x.clamp(CLOSEST, 1 - CLOSEST)), x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [..., d, n] of values x [..., d, n]."""
        if self.levels:
            is_level = x.unsqueeze(-1) == torch.arange(self.levels, device=x.device)
            score = (is_level * self.weights.unsqueeze(-2)).sum(-1)
        elif self.is_angle:
            weights = self.weights
            score = weights[:, :1] * x.cos() + weights[:, 1:] * x.sin()
        else:
            score = self.weights * ((self.linked(x) - self.mean[:, None]) / self.scale[:, None])
        return self.bias[:, None] - score

    def set(self, x: Tensor, mask: Tensor) -> None:
        """Start at no dependence on x: at the share of observed entries; set the place and scale of numbers."""
        x, seen = self.linked(x[:, self.columns].unsqueeze(-1).double())[..., 0], mask[:, self.columns].double()
        count = seen.sum(0).clamp_min(1)
        x = torch.where(seen > 0, x, 0.0)
        mean = x.sum(0) / count
        scale = ((x - mean).square() * seen).sum(0).div(count).sqrt()
        with torch.no_grad():
            if not (self.levels or self.is_angle):
                self.mean.copy_(mean)
                self.scale.copy_(torch.where(scale > 0, scale, 1.0))
            self.bias.copy_(torch.logit(seen.mean(0), eps=RARE))

    def nodes(self, features: Distribution) -> tuple[Tensor, Tensor]:
        """Return nodes [..., d, n] of the masked columns, and log w_i + log P(s = 0 | x_i)."""
        values, logs = (v[..., self.at, :] for v in expectation_nodes(features))
        return values, logs + logsigmoid(-self(values))

    def term(self, features: Distribution, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return log P(s_d | x_d) [..., d] where x is observed, and log P(s_d = 0 | z) elsewhere."""
        own = x[..., self.columns]
        seen = None if mask is None else mask[..., self.columns]
        filled = own if seen is None else torch.where(seen, own, self.family.inside)
        observed = logsigmoid(self(filled.unsqueeze(-1)))[..., 0]
        return observed if seen is None else torch.where(seen, observed, self.nodes(features)[1].logsumexp(-1))

    def mean_of_missing(self, features: Distribution) -> Tensor:
        """Return the means [..., d] of the columns where they are missing; of an angle the mean direction."""
        values, logs = self.nodes(features)
        share = logs.softmax(-1)
        if self.is_angle:
            return torch.atan2((share * values.sin()).sum(-1), (share * values.cos()).sum(-1))
        return (share * values).sum(-1)

    def summary_of_missing(self, features: Distribution) -> list[Tensor]:
        """Return the summary [..., S_d] (see `Family.summary`) of each column where it is missing."""
        values, logs = self.nodes(features)
        share = logs.softmax(-1)
        if self.levels:
            return [share[..., i, : self.family.summary_sizes[place]] for i, place in enumerate(self.at)]
        parts = [values.cos(), values.sin()] if self.is_angle else [values]
        means = torch.stack([(share * v).sum(-1) for v in parts], -1)
        return [means[..., i, :] for i in range(len(self.at))]

    def draw(self, features: Distribution, shape: torch.Size) -> Tensor:
        """Draw missing values [*shape, ..., D_g] of the group: others are drawn as they are.

        Values are drawn until one is missing; where a hundred are not, one of them is taken by its probability to be.
        """
        drawn = features.sample(shape)
        kept = drawn[..., self.at]
        total = torch.zeros_like(kept)
        is_done = torch.zeros_like(kept, dtype=torch.bool)
        for attempt in range(TRIES):
            new = kept if attempt == 0 else features.sample(shape)[..., self.at]
            probability = torch.sigmoid(-self(new.unsqueeze(-1)))[..., 0]
            total = total + probability
            accepted = torch.rand_like(kept) < probability
            taken = accepted | (torch.rand_like(kept) * total < probability)
            kept = torch.where(taken & ~is_done, new, kept)
            is_done = is_done | accepted
            if bool(is_done.all()):
                break
        drawn[..., self.at] = kept
        return drawn


def _number_of_levels(support: Support) -> int:
    """Return the number of levels of a feature; 0 of numbers."""
    return int(support.high) + 1 if support.is_whole and support.low == 0 and support.high < torch.inf else 0


class _Missing(Distribution):
    """The distributions of features [..., D] where they are missing, p(x_d | z, s_d = 0).

    Args:
        features: [..., D_g] of each group.
        mechanisms: of each group; None of a group without masked columns.
        places: the columns of each group.
    """

    arg_constraints = {}  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(
        self,
        features: Sequence[Distribution],
        mechanisms: Sequence[_Mechanism | None],
        places: Sequence[Sequence[int]],
    ) -> None:
        self.features, self.mechanisms, self.places = tuple(features), tuple(mechanisms), tuple(places)
        rows = features[0].batch_shape[:-1]
        super().__init__(torch.Size((*rows, sum(map(len, places)))), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> _Missing:
        rows = tuple(batch_shape)[:-1]
        pairs = zip(self.features, self.places, strict=True)
        return _Missing([f.expand(torch.Size((*rows, len(p)))) for f, p in pairs], self.mechanisms, self.places)

    def _joined(self, groups: Sequence[Tensor]) -> Tensor:
        order = torch.tensor([column for group in self.places for column in group], device=groups[0].device)
        return torch.cat([*groups], -1)[..., order.argsort()]

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        shape = torch.Size(sample_shape)
        pairs = zip(self.features, self.mechanisms, strict=True)
        with torch.no_grad():
            return self._joined([f.sample(shape) if m is None else m.draw(f, shape) for f, m in pairs])

    @property
    def mean(self) -> Tensor:
        groups = []
        for features, mechanism in zip(self.features, self.mechanisms, strict=True):
            mean = features.mean
            if mechanism is not None:
                mean = mean.clone()
                mean[..., mechanism.at] = mechanism.mean_of_missing(features)
            groups.append(mean)
        return self._joined(groups)


@part
class SelfMasked(Conditional):
    r"""A likelihood p(x | z), and beside it P(s | x): whether an entry is observed depends on its own value.

    .. math:: P(s_d = 1 | x_d) = \sigma(b_d - w_d \cdot u_d(x_d))

    u is the standardised number (its logarithm or logit, for values above 0 or in (0, 1)), cosine and sine of an angle,
    or a one-hot of levels, so that each level has a logit of its own. Weights of numbers are within 4 per standard
    deviation of the column. `scored` is then log p(x_o, s | z), and the
    evidence log p(x_o, s), of the pattern of missing entries too; the distribution of x remains p(x | z). Zero slopes
    w are missingness at random, for which the evidence is log p(x_o) and the log-probabilities of s added.

    Args:
        likelihood: of features that are independent given z.
        columns: in which entries may be missing; P(s_d) of others is left out.

    Raises:
        CompositionError: features depend on each other, or expectations under a family cannot be computed.
        UsageError: there is no such column, or none.

    Source: Ipsen, Mattei & Frellsen, "not-MIWAE: deep generative modelling with missing not at random data", 2021.

    Example:
        >>> from jensen.families import Gaussian
        >>> from jensen.models.conditionals import Unconditional
        >>> p = SelfMasked(Unconditional(Gaussian(2)), (1,))
        >>> x, mask = torch.zeros(1, 2), torch.tensor([[True, False]])
        >>> p.log_prob(x, mask=mask) - p.likelihood.log_prob(x, mask=mask)  # log 1/2
        tensor([-0.6931], grad_fn=<SubBackward0>)
    """

    def __init__(self, likelihood: Conditional, columns: Sequence[int]) -> None:
        super().__init__()
        self.likelihood, self.columns, self.family = likelihood, tuple(columns), likelihood.family
        _check(likelihood, self.columns)
        mechanisms: list[nn.Module] = []
        for family, places in _groups(self.family):
            at = [i for i, column in enumerate(places) if column in self.columns]
            mechanisms.append(_Mechanism(family, at, [places[i] for i in at]) if at else nn.Identity())
        self.mechanisms = nn.ModuleList(mechanisms)

    def set(self, x: Tensor, mask: Tensor) -> SelfMasked:
        """Start at missingness at random: at the shares of observed entries of rows [N, D], with slopes of zero."""
        for mechanism in self._each:
            if mechanism is not None:
                mechanism.set(x, mask)
        return self

    @property
    def _each(self) -> list[_Mechanism | None]:
        return [m if isinstance(m, _Mechanism) else None for m in self.mechanisms]

    def _pairs(self, params: Tensor) -> Iterator[tuple[_Mechanism, Distribution]]:
        """Yield the mechanism of each group that has one, and the distributions of its features."""
        for mechanism, features in zip(self._each, _kinds(self.at(params)), strict=True):
            if mechanism is not None:
                yield mechanism, features

    @property
    def models_mask(self) -> bool:
        return True

    @property
    def is_quadrature(self) -> bool:
        return any(m is not None and not m.levels for m in self._each)

    @property
    def has_density(self) -> bool:
        return self.likelihood.has_density

    @property
    def sees_context(self) -> bool:
        return self.likelihood.sees_context

    @property
    def is_constant(self) -> bool:
        return self.likelihood.is_constant

    @property
    def phrase(self) -> str:
        n = len(self.columns)
        return f"{self.likelihood.phrase}, {n} column{'s' * (n > 1)} missing by their own values"

    def params(self, c: Tensor | None = None) -> Tensor:
        return self.likelihood.params(c)

    def adapted(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.likelihood.adapted(params, y, mask)

    def at(self, params: Tensor) -> Distribution:
        return self.likelihood.at(params)

    def mask_log_prob(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log P(s_o | x_o) + log P(s_missing | z) [...] in nats; all is observed without a mask."""
        return torch.cat([m.term(f, y, mask) for m, f in self._pairs(params)], -1).sum(-1)

    def scored(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log p(y_o, s | c) [...] in nats, with these parameters [..., P] of `params(c)`."""
        return self.likelihood.scored(params, y, mask) + self.mask_log_prob(params, y, mask)

    def missing(self, params: Tensor) -> Distribution:
        places = [places for _, places in _groups(self.family)]
        return Independent(_Missing(_kinds(self.at(params)), self._each, places), 1, validate_args=False)

    def missing_summary(self, params: Tensor) -> Tensor:
        """Return the family's summary [..., S], of the masked columns given that they are missing."""
        own = self.family.split(params) if isinstance(self.family, Columns) else [params]
        pieces: list[Tensor] = []
        groups = zip(self._each, _groups(self.family), own, _kinds(self.at(params)), strict=True)
        for mechanism, (family, _), of_group, features in groups:
            each = list(family.summary(of_group).split(list(family.summary_sizes), -1))
            if mechanism is not None:
                for place, summary in zip(mechanism.at, mechanism.summary_of_missing(features), strict=True):
                    each[place] = summary
            pieces += each
        return torch.cat(pieces, -1)

    @torch.no_grad()
    def draw_mask(self, x: Tensor) -> Tensor:
        mask = torch.ones_like(x, dtype=torch.bool)
        for mechanism in self._each:
            if mechanism is not None:
                seen = torch.sigmoid(mechanism(x[..., mechanism.columns].unsqueeze(-1)))[..., 0]
                mask[..., mechanism.columns] = torch.rand_like(seen) < seen
        return mask


def _check(likelihood: Conditional, columns: tuple[int, ...]) -> None:
    """Refuse columns that do not exist, and likelihoods whose missing entries have no expectations.

    Raises:
        CompositionError, UsageError: naming the remedy.
    """
    family, dim = likelihood.family, likelihood.family.dim
    require_integer(0, columns=columns)
    if not columns or len(set(columns)) < len(columns) or not set(columns) <= set(range(dim)):
        raise UsageError(f"columns {list(columns)} cannot be masked, of {dim}", f"Give some of 0 to {dim - 1}, once.")
    if family.profiled:
        raise CompositionError(
            f"{family.phrase} sets its scale to the optimum of log p(x_o | z), which is not that of log p(x_o, s | z)",
            "Use a family whose scale is learned, such as --likelihood gaussian-shared.",
        )
    bad = next((f for f, places in _groups(family) if set(places) & set(columns) and not can_be_masked(f)), None)
    if bad is not None:
        raise CompositionError(
            f"under {bad.phrase} the probability that a value is missing has no sum or quadrature",
            "Use a family of independent Gaussians, their mixtures, Student's t, whole numbers, levels or angles.",
        )


@register_posterior(Categorical, SelfMasked)
def _finite(prior: Conditional, likelihood: SelfMasked, batch: Batch) -> Distribution:
    """Return p(z = j | x_o, s), proportional to p(z = j) p(x_o, s | z = j), by all classes."""
    logits = prior.params(batch.context)
    classes = torch.eye(prior.family.dim, dtype=batch.x.dtype, device=batch.x.device)[:, None]
    log_lik = likelihood.scored(likelihood.params(classes), batch.x, batch.mask).expand(-1, len(batch))
    return OneHotCategorical(logits=log_lik.mT + torch.log_softmax(logits, -1), validate_args=False)
