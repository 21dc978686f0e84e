r"""Ladders: latents in groups, each given those above it, computed from the top down by prior and guide alike.

.. math:: p(z) = \prod_g p(z_g | h_g), \qquad q(z|x) = \prod_g q(z_g | h_g, e_g(x)), \qquad
          h_{g+1} = h_g + \mathrm{step}_g(h_g, z_g)

The state h summarises the groups above; the features e of the data are computed from the bottom up. The guide's
parameters are the prior's plus terms from the data, so that a guide whose terms are zero is the prior (Sonderby et al.,
"Ladder variational autoencoders", 2016; Vahdat & Kautz, "NVAE", 2020; Child, "Very deep VAEs", 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.precision import applied
from ..core.shapes import broadcast_shapes
from ..core.validation import require_integer
from ..families import Family, Gaussian
from ..nets import Net
from .conditionals import Conditional
from .guide import Guide
from .model import LatentVariableModel
from .walks import Walk, Walked

__all__ = ["FromLadder", "Ladder", "LadderDistribution", "LadderGuide", "LadderPrior", "Rung", "shared_walk"]


@part
class Rung(nn.Module):
    """One group of latent features.

    Args:
        size: features of the group.
        prior: [..., H] -> [..., 2 * size], the parameters of p(z_g | h).
        step: [..., H + size] -> [..., H'], the change of the state (where H' is H), or the next state.
    """

    def __init__(self, size: int, prior: nn.Module, step: nn.Module) -> None:
        super().__init__()
        require_integer(size=size)
        self.family, self.prior, self.step = Gaussian(size), prior, step

    def after(self, h: Tensor, z: Tensor) -> Tensor:
        """Return the state [..., H'] below this rung."""
        added = applied(self.step, torch.cat([h, z], -1))
        return h + added if added.shape == h.shape else added


@part
class Ladder(nn.Module):
    """The computation from the top down, which prior, guide and likelihood share.

    Args:
        state: H, the size of the state at the top.
        rungs: from the top down.
    """

    def __init__(self, state: int, rungs: Sequence[Rung]) -> None:
        super().__init__()
        require_integer(state=state)
        if not rungs:
            raise CompositionError("a ladder without rungs has no latent", "Give at least one Rung.")
        self.rungs, self.way = nn.ModuleList(rungs), tuple(rungs)
        # not zero, or the weights that read it would have no gradient
        self.start = nn.Parameter(0.1 * torch.randn(state))

    @property
    def sizes(self) -> list[int]:
        """Features of each group, from the top down."""
        return [rung.family.dim for rung in self.way]

    def state_at(self, z: Tensor) -> Tensor:
        """Return the state [..., H'] below the last rung, at z [..., Z]."""
        h = self.start.expand(*z.shape[:-1], -1)
        for rung, group in zip(self.way, z.split(self.sizes, -1), strict=True):
            h = rung.after(h, group)
        return h


class LadderDistribution(Walked):
    """The distribution of all groups: the prior, or the guide for a batch.

    It keeps the walk of its last sample, so that a draw has densities and state at its points without a second pass.

    Args:
        ladder: the shared computation.
        added: the guide, which adds terms from the data to the prior's parameters; None is the prior.
        features: of the data, per rung from the top, [B, F] each.
    """

    has_rsample = True
    arg_constraints: dict[str, constraints.Constraint] = {}
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, ladder: Ladder, added: LadderGuide | None = None, features: Sequence[Tensor] = ()) -> None:
        self.ladder, self.added, self.features = ladder, added, features
        self.last: Walk | None = None
        batch = features[0].shape[:-1] if features else torch.Size()
        super().__init__(batch, torch.Size((sum(ladder.sizes),)), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: None = None) -> LadderDistribution:
        """Return the prior for each of B data, or the guide as it is."""
        made = LadderDistribution(self.ladder, self.added, self.features)
        Distribution.__init__(made, torch.Size(batch_shape), self._event_shape, validate_args=False)
        return made

    def walk(self, z: Tensor | None = None, shape: Sequence[int] = (), *, noise: float = 1.0) -> Walk:
        """Pass down the ladder along a given z [..., Z], or sample a new one of this shape [*, ..., Z].

        With noise 0 the sample is at the groups' means, each given the means above.
        """
        if z is None:
            lead, given = torch.Size((*shape, *self._batch_shape)), None
        else:
            lead = broadcast_shapes(z.shape[:-1], self._batch_shape)
            given = z.expand(*lead, -1).split(self.ladder.sizes, -1)
        h = self.ladder.start.expand(*lead, -1)
        groups: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for g, rung in enumerate(self.ladder.way):
            prior = applied(rung.prior, h)
            params = prior if self.added is None else prior + self.added.added_params(g, h, self.features)
            loc, scale = rung.family.loc_scale(params)
            if given is not None:
                point = given[g]
            else:
                point = loc + noise * scale * torch.randn_like(loc) if noise else loc
            log_prob = rung.family.log_prob(params, point)
            if self.added is None:
                log_prior, rate = log_prob, torch.zeros_like(log_prob)
            else:
                log_prior = rung.family.log_prob(prior, point)
                rate = _kl(loc, scale, *rung.family.loc_scale(prior))
            groups.append((point, log_prob, log_prior, rate))
            h = rung.after(h, point)
        points, *terms = zip(*groups, strict=True)
        log_prob, log_prior, rate = (torch.stack(term, -1) for term in terms)
        return Walk(torch.cat(points, -1) if z is None else z, log_prob, log_prior, rate, h)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.last = self.walk(shape=sample_shape)
        return self.last.z

    def walk_at(self, z: Tensor) -> Walk:
        made = self.last
        if made is None or made.z is not z or (torch.is_grad_enabled() and not made.log_prob.requires_grad):
            return self.walk(z)
        return made

    def is_of(self, prior: Conditional) -> bool:
        return isinstance(prior, LadderPrior) and prior.ladder is self.ladder

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(z) [...]."""
        return self.walk_at(value).log_prob.sum(-1)

    @property
    def mean(self) -> Tensor:
        """The groups' means [..., Z], each given the means above.

        Of a single group that is the mean; the mean of a whole ladder has no closed form.
        """
        return self.walk(noise=0.0).z

    @property
    def scale(self) -> Tensor:
        """Standard deviations [..., Z] of each group, given the means above."""
        scales, h = [], self.ladder.start.expand(*self._batch_shape, -1)
        for g, rung in enumerate(self.ladder.way):
            params = applied(rung.prior, h)
            if self.added is not None:
                params = params + self.added.added_params(g, h, self.features)
            loc, scale = rung.family.loc_scale(params)
            scales.append(scale)
            h = rung.after(h, loc)
        return torch.cat(scales, -1)


def _kl(loc: Tensor, scale: Tensor, prior_loc: Tensor, prior_scale: Tensor) -> Tensor:
    """Return KL(N(loc, scale) || N(prior_loc, prior_scale)) [...], in nats, summed over features."""
    ratio, far = scale / prior_scale, (loc - prior_loc) / prior_scale
    return (0.5 * (ratio.square() + far.square() - 1.0) - ratio.log()).sum(-1)


@part
class LadderPrior(Conditional):
    """p(z) = prod_g p(z_g | the groups above).

    Args:
        ladder: the shared computation.
    """

    def __init__(self, ladder: Ladder) -> None:
        super().__init__()
        self.ladder = ladder
        self.family = Gaussian(sum(ladder.sizes))

    def params(self, c: Tensor | None = None) -> Tensor:
        raise CompositionError("a ladder is no single Gaussian: it has no flat parameters", "Use LadderPrior().")

    def forward(self, c: Tensor | None = None) -> Distribution:
        return LadderDistribution(self.ladder)

    def log_prob(self, y: Tensor, c: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return LadderDistribution(self.ladder).walk(y).log_prob.sum(-1)

    @property
    def phrase(self) -> str:
        return f"ladder of {'-'.join(map(str, self.ladder.sizes))}"


@part
class FromLadder(Conditional):
    """p(x | z) = family(net(h)), h being the state below the last rung.

    Args:
        ladder: the shared computation.
        net: [..., H] -> [..., P - shared].
        family: P parameters.
    """

    def __init__(self, ladder: Ladder, net: nn.Module, family: Family) -> None:
        super().__init__()
        if family.profiled:
            raise CompositionError(
                f"the optimal scale of {family.phrase} is kept by Given alone", "Use another likelihood on a ladder."
            )
        self.ladder, self.net, self.family = ladder, net, family
        self.free = nn.Parameter(torch.zeros(family.shared)) if family.shared else None

    def is_below(self, guide: Distribution) -> bool:
        """Return whether a guide goes down the same ladder."""
        return isinstance(guide, LadderDistribution) and guide.ladder is self.ladder

    def at_state(self, h: Tensor) -> Tensor:
        """Return the parameters [..., P] at the state [..., H]."""
        out = applied(self.net, h)
        return out if self.free is None else torch.cat([out, self.free.expand(*out.shape[:-1], -1)], -1)

    def params(self, c: Tensor | None = None) -> Tensor:
        if c is None:
            raise CompositionError("a ladder's likelihood needs a latent, and none was given", "Pass z [..., Z].")
        return self.at_state(self.ladder.state_at(c))

    @property
    def phrase(self) -> str:
        made = self.net.phrase if isinstance(self.net, Net) else type(self.net).__name__
        return f"{self.family.phrase} by {made} below the ladder"


@part
class LadderGuide(Guide):
    """q(z | x) = prod_g q(z_g | the groups above, x): features from the bottom up, then the shared pass down.

    Args:
        ladder: the shared computation.
        up: nets from the data to features of the lowest rung, from these to features of the one above, and so on.
        heads: per rung, from the top: [..., H + features] -> [..., 2 * size], added to the prior's parameters.
    """

    def __init__(self, ladder: Ladder, up: Sequence[nn.Module], heads: Sequence[nn.Module]) -> None:
        super().__init__()
        if not len(up) == len(heads) == len(ladder.rungs):
            raise CompositionError(
                f"{len(up)} nets up and {len(heads)} heads for {len(ladder.rungs)} rungs", "Give one of each per rung."
            )
        self.ladder, self.up, self.heads = ladder, nn.ModuleList(up), nn.ModuleList(heads)

    def forward(self, batch: Batch) -> Distribution:
        features, h = [], batch.x
        for net in self.up:
            h = applied(net, h)
            features.append(h)
        return LadderDistribution(self.ladder, self, features[::-1])

    def added_params(self, g: int, h: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Return the terms [..., 2 * size] that the data add to the prior's parameters at rung g."""
        expanded = features[g].expand(*h.shape[:-1], -1)
        return applied(self.heads[g], torch.cat([h, expanded], -1))

    @property
    def phrase(self) -> str:
        return f"ladder of {'-'.join(map(str, self.ladder.sizes))}, from the bottom up and down again"


def shared_walk(model: LatentVariableModel, guide: Distribution, z: Tensor) -> tuple[Walk, Tensor] | None:
    """Return the walk at z [K, B, Z] and the likelihood's parameters there, from one pass through what model and guide
    share.

    None where they share nothing.
    """
    if not (isinstance(guide, Walked) and guide.is_of(model.prior)):
        return None
    walk, likelihood = guide.walk_at(z), model.likelihood
    if isinstance(likelihood, FromLadder) and likelihood.is_below(guide):
        return walk, likelihood.at_state(walk.state)
    return walk, likelihood.params(z)
