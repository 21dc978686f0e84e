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

from ..core.batch import Batch
from ..core.errors import CompositionError, UsageError
from ..core.parts import part
from ..core.validation import require_integer
from ..distributions import PerColumn
from ..distributions.nodes import has_nodes
from ..families import Categorical, Columns, Family
from .conditionals import Conditional
from .mechanisms import Mechanism
from .posteriors import register_posterior

__all__ = ["SelfMasked", "can_be_masked"]


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


class _Missing(Distribution):
    """The distributions of features [..., D] where they are missing, p(x_d | z, s_d = 0).

    Args:
        features: [..., D_g] of each group.
        mechanisms: of each group; None of a group without masked columns.
        places: the columns of each group.
        hidden: [..., D], True where p(x_d | z, s_d = 1) is wanted: the value was observed, and is hidden.
    """

    arg_constraints = {}  # pyright: ignore[reportAssignmentType]
    has_rsample = False

    def __init__(
        self,
        features: Sequence[Distribution],
        mechanisms: Sequence[Mechanism | None],
        places: Sequence[Sequence[int]],
        hidden: Tensor | None = None,
    ) -> None:
        self.features, self.mechanisms, self.places = tuple(features), tuple(mechanisms), tuple(places)
        self.hidden = hidden
        rows = features[0].batch_shape[:-1]
        super().__init__(torch.Size((*rows, sum(map(len, places)))), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> _Missing:
        rows = tuple(batch_shape)[:-1]
        pairs = zip(self.features, self.places, strict=True)
        features = [f.expand(torch.Size((*rows, len(p)))) for f, p in pairs]
        return _Missing(features, self.mechanisms, self.places, self.hidden)

    def _joined(self, groups: Sequence[Tensor]) -> Tensor:
        order = torch.tensor([column for group in self.places for column in group], device=groups[0].device)
        return torch.cat([*groups], -1)[..., order.argsort()]

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        shape = torch.Size(sample_shape)
        pairs = zip(self.features, self.mechanisms, strict=True)
        with torch.no_grad():
            return self._joined([f.sample(shape) if m is None else m.draw(f, shape, self.hidden) for f, m in pairs])

    @property
    def mean(self) -> Tensor:
        groups = []
        for features, mechanism in zip(self.features, self.mechanisms, strict=True):
            mean = features.mean
            if mechanism is not None:
                mean = mean.clone()
                mean[..., mechanism.at] = mechanism.mean_of_missing(features, self.hidden)
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
            mechanisms.append(Mechanism(family, at, [places[i] for i in at]) if at else nn.Identity())
        self.mechanisms = nn.ModuleList(mechanisms)

    def set(self, x: Tensor, mask: Tensor) -> SelfMasked:
        """Start at missingness at random: at the shares of observed entries of rows [N, D], with slopes of zero."""
        for mechanism in self._each:
            if mechanism is not None:
                mechanism.set(x, mask)
        return self

    @property
    def _each(self) -> list[Mechanism | None]:
        return [m if isinstance(m, Mechanism) else None for m in self.mechanisms]

    def _pairs(self, params: Tensor) -> Iterator[tuple[Mechanism, Distribution]]:
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

    def mask_log_prob(
        self, params: Tensor, y: Tensor, mask: Tensor | None = None, hidden: Tensor | None = None
    ) -> Tensor:
        """Return log P(s_o | x_o) + log P(s_missing | z) [...] in nats; all is observed without a mask.

        Entries that are `hidden` [..., D], and not in the mask, were observed: theirs is log P(s_d = 1 | z).
        """
        return torch.cat([m.term(f, y, mask, hidden) for m, f in self._pairs(params)], -1).sum(-1)

    def scored(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log p(y_o, s | c) [...] in nats, with these parameters [..., P] of `params(c)`."""
        return self.likelihood.scored(params, y, mask) + self.mask_log_prob(params, y, mask)

    def scored_batch(self, params: Tensor, batch: Batch) -> Tensor:
        own = self.likelihood.scored(params, batch.x, batch.mask)
        return own + self.mask_log_prob(params, batch.x, batch.mask, batch.hidden)

    def missing(self, params: Tensor, hidden: Tensor | None = None) -> Distribution:
        places = [places for _, places in _groups(self.family)]
        return Independent(_Missing(_kinds(self.at(params)), self._each, places, hidden), 1, validate_args=False)

    def missing_summary(self, params: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return the family's summary [..., S], of the masked columns given that they are missing, or were observed."""
        own = self.family.split(params) if isinstance(self.family, Columns) else [params]
        pieces: list[Tensor] = []
        groups = zip(self._each, _groups(self.family), own, _kinds(self.at(params)), strict=True)
        for mechanism, (family, _), of_group, features in groups:
            each = list(family.summary(of_group).split(list(family.summary_sizes), -1))
            if mechanism is not None:
                for place, summary in zip(mechanism.at, mechanism.summary_of_missing(features, hidden), strict=True):
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
    log_lik = likelihood.scored_batch(likelihood.params(classes), batch).expand(-1, len(batch))
    return OneHotCategorical(logits=log_lik.mT + torch.log_softmax(logits, -1), validate_args=False)
