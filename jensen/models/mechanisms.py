"""The probability that entries of a column are observed, given their values: a logit that is linear in them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from ..distributions.nodes import expectation_nodes
from ..families import Family
from ..families.support import ABOVE_ZERO, ANGLES, OPEN_UNIT, Support

__all__ = ["STEEPEST", "Mechanism"]

TINY, CLOSEST = 1e-30, 2.0**-24  # the least argument of a logarithm, and the closest to the ends of (0, 1)
TRIES = 100  # of drawing a missing value by rejection
STEEPEST = 4.0  # slope per standard deviation of a column: quadratures hold up to it, and no threshold is sharper
RARE = 1e-3  # the least share of missing, and of observed, entries at which a column starts


class Mechanism(nn.Module):
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

    def nodes(self, features: Distribution, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return nodes [..., d, n] of the masked columns, and log w_i + log P(s = 0 | x_i); with s = 1 of `hidden`."""
        values, logs = (v[..., self.at, :] for v in expectation_nodes(features))
        return values, logs + logsigmoid(self._logit(values, hidden))

    def _logit(self, values: Tensor, hidden: Tensor | None) -> Tensor:
        """Return the logits [..., d, n] that values are missing; of those in `hidden` [..., D], that they are
        observed."""
        logits = self(values)
        return -logits if hidden is None else torch.where(hidden[..., self.columns].unsqueeze(-1), logits, -logits)

    def term(self, features: Distribution, x: Tensor, mask: Tensor | None, hidden: Tensor | None) -> Tensor:
        """Return log P(s_d | x_d) [..., d] where x is observed, and log P(s_d = 0 | z) elsewhere; log P(s_d = 1 | z) of
        `hidden`."""
        own = x[..., self.columns]
        seen = None if mask is None else mask[..., self.columns]
        filled = own if seen is None else torch.where(seen, own, self.family.inside)
        observed = logsigmoid(self(filled.unsqueeze(-1)))[..., 0]
        return observed if seen is None else torch.where(seen, observed, self.nodes(features, hidden)[1].logsumexp(-1))

    def mean_of_missing(self, features: Distribution, hidden: Tensor | None) -> Tensor:
        """Return the means [..., d] of the columns where they are missing; of an angle the mean direction."""
        values, logs = self.nodes(features, hidden)
        share = logs.softmax(-1)
        if self.is_angle:
            return torch.atan2((share * values.sin()).sum(-1), (share * values.cos()).sum(-1))
        return (share * values).sum(-1)

    def summary_of_missing(self, features: Distribution, hidden: Tensor | None) -> list[Tensor]:
        """Return the summary [..., S_d] (see `Family.summary`) of each column where it is missing."""
        values, logs = self.nodes(features, hidden)
        share = logs.softmax(-1)
        if self.levels:
            return [share[..., i, : self.family.summary_sizes[place]] for i, place in enumerate(self.at)]
        parts = [values.cos(), values.sin()] if self.is_angle else [values]
        means = torch.stack([(share * v).sum(-1) for v in parts], -1)
        return [means[..., i, :] for i in range(len(self.at))]

    def draw(self, features: Distribution, shape: torch.Size, hidden: Tensor | None) -> Tensor:
        """Draw missing values [*shape, ..., D_g] of the group: others are drawn as they are.

        Values are drawn until one is missing; where a hundred are not, one of them is taken by its probability to be.
        """
        drawn = features.sample(shape)
        kept = drawn[..., self.at]
        total = torch.zeros_like(kept)
        is_done = torch.zeros_like(kept, dtype=torch.bool)
        for attempt in range(TRIES):
            new = kept if attempt == 0 else features.sample(shape)[..., self.at]
            probability = torch.sigmoid(self._logit(new.unsqueeze(-1), hidden))[..., 0]
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
