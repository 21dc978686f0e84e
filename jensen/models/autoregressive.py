"""Autoregressive conditionals: one position after another, by the chain rule of probability."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from ..core.errors import CompositionError
from ..core.parts import part
from ..core.precision import applied
from ..core.random import drawing_from, stream
from ..core.shapes import broadcast_shapes
from ..distributions.moments import EstimatedMoments
from ..families import Categorical, Product
from ..families.base import filled
from ..nets import Causal, CausalConv, CausalMLP, Net, Standardize
from .conditionals import Conditional

__all__ = ["ChainRule", "InOrder", "over_codes"]

ROWS = 256  # sampled at once
POINTS = 16  # samples of an approximate mean


@part
class ChainRule(Conditional):
    r"""p(y | c) as a product over positions, each given those before it: exact density, sequential sampling.

    .. math:: \log p(y \mid c) = \sum_i \log p(y_i \mid y_{<i}, c)

    As a likelihood without a context net it is a model without latents; with one, c = z, a decoder that is also
    conditioned on its output so far. As a prior it is one over codes (see `over_codes`). One pass of the network
    scores; sampling takes a step per position, for which the network caches what does not change (see `Causal.walk`).

    The density of the observed entries of y is a product of factors only if they come first: then it is exact, and any
    other mask is refused.

    Args:
        net: of n positions, E features and P numbers each, and H features of context.
        family: `Product(each, n)`, where `each` is the family of a position, of E features and P parameters.
        context: [..., C] -> [..., H]; None for H = 0.
        before: a standardisation of y as the network's input; None for none.

    Source: Larochelle & Murray, "The neural autoregressive distribution estimator", 2011; Germain et al., 2015; van den
    Oord et al., 2016; as a decoder: Gulrajani et al., "PixelVAE: a latent variable model for natural images", 2017.

    Raises:
        CompositionError: net, family and context do not have the same sizes.

    Example:
        >>> from jensen.families import Bernoulli
        >>> p = ChainRule(CausalMLP(3, 1, 1, hidden=(8,)), Product(Bernoulli(1), 3))
        >>> bits = torch.tensor([[i >> d & 1 for d in range(3)] for i in range(8)], dtype=torch.float32)
        >>> bool(torch.isclose(p.log_prob(bits).exp().sum(), torch.tensor(1.0)))
        True
    """

    family: Product  # pyright: ignore[reportIncompatibleUnannotatedOverride]

    def __init__(
        self, net: Causal, family: Product, context: nn.Module | None = None, before: Standardize | None = None
    ) -> None:
        super().__init__()
        need = (family.n, family.part.dim, family.part.size)
        if (net.positions, net.inputs, net.outputs) != need:
            raise CompositionError(
                f"{net.phrase} has {net.positions} positions of {net.inputs} features and {net.outputs} numbers, and"
                f" {family.phrase} needs {need[0]} of {need[1]} and {need[2]}",
                "Give the net positions=family.n, inputs=family.part.dim and outputs=family.part.size.",
            )
        if (context is None) != (net.context == 0):
            raise CompositionError(
                f"a context net and a causal net with a context go together, got {'no' if context is None else 'a'}"
                f" context net and {net.context} features of context",
                "Give both, or neither.",
            )
        self.net, self.family, self.context, self.before = net, family, context, before

    @property
    def is_constant(self) -> bool:
        return self.context is None

    def params(self, c: Tensor | None = None) -> Tensor:
        """Return the network's context [..., H]; [0] where it has none."""
        if self.context is None:
            return self.net.bias.new_zeros(0)
        if c is None:
            raise CompositionError("this chain is conditioned on a context, and none was given", "Pass c.")
        return applied(self.context, c)

    def at(self, params: Tensor) -> InOrder:
        return InOrder(self, params)

    def given(self, params: Tensor, y: Tensor) -> Tensor:
        """Return the family's parameters [..., n * P] of every position, given the positions of y before it."""
        x = y if self.before is None else self.before(y)
        if self.net.context:
            lead = broadcast_shapes(x.shape[:-1], params.shape[:-1])
            x = torch.cat([x.expand(*lead, -1), params.expand(*lead, -1)], -1)
        return applied(self.net, x)

    def scored(self, params: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None and bool((mask[..., 1:] & ~mask[..., :-1]).any()):
            raise CompositionError(
                "observed entries must come before unobserved ones, since entries are conditioned on all before them",
                "Use a likelihood that factorises over features, such as that of recipe miwae.",
            )
        y = filled(y, mask)
        return self.family.log_prob(self.given(params, y), y, mask)

    @property
    def phrase(self) -> str:
        given = ""
        if self.context is not None:
            given = f" and {self.context.phrase if isinstance(self.context, Net) else type(self.context).__name__}"
        return f"{self.family.phrase} in order, by {self.net.phrase}{given}"


class InOrder(EstimatedMoments, Distribution):
    """The distribution of a `ChainRule` at given contexts: exact densities, samples position by position.

    Mean and variance have no closed form: they are those of 16 samples, always from the same noise, an approximation
    that no density and no bound uses.

    Args:
        chain: the conditional.
        params: [..., H], of `chain.params`.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(self, chain: ChainRule, params: Tensor) -> None:
        self.chain, self.params = chain, params
        super().__init__(params.shape[:-1], torch.Size((chain.family.dim,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:  # pyright: ignore[reportIncompatibleMethodOverride]
        family = self.chain.family
        return family(self.params.new_zeros(family.size)).support

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> InOrder:
        return InOrder(self.chain, self.params.expand(*batch_shape, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.chain.scored(self.params, value).expand(broadcast_shapes(value.shape[:-1], self.params.shape[:-1]))

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        lead = torch.Size((*sample_shape, *self.batch_shape))
        contexts = self.params.expand(*lead, -1).reshape(lead.numel(), -1)
        samples = [self._drawn(c) for c in contexts.split(ROWS)]
        return torch.cat(samples).reshape(*lead, *self.event_shape)

    def _drawn(self, contexts: Tensor) -> Tensor:
        """Draw one sample [M, D] at each context [M, H]."""
        chain, each = self.chain, self.chain.family.part
        x = contexts.new_zeros(len(contexts), chain.family.dim)
        walk = chain.net.walk(len(contexts), contexts if chain.net.context else None)
        params = next(walk)
        for i in range(chain.family.n):
            at = slice(i * each.dim, (i + 1) * each.dim)
            x[:, at] = each(params).sample()
            if i + 1 < chain.family.n:
                params = walk.send(x[:, at] if chain.before is None else chain.before(x)[:, at])
        return x

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        with drawing_from(stream(0, "mean of what is drawn in order", self.params.device)):
            x = self.sample((POINTS,))
        return x.mean(0), x.var(0)


def over_codes(
    grid: tuple[int, int] | int, codes: int, width: int = 32, layers: int = 3, hidden: Sequence[int] = (256,)
) -> ChainRule:
    """Return a prior over codes in raster order: y [..., n * codes], one one-hot group after another.

    Args:
        grid: (h, w) of an image of codes, for gated convolutions; or n codes in a row, for a masked perceptron.
        codes: the number of codes.
        width, layers: of the convolutions.
        hidden: of the perceptron.

    Example:
        >>> prior = over_codes((2, 2), 3)
        >>> y = torch.nn.functional.one_hot(torch.tensor([[0, 2, 1, 1]]), 3).flatten(1).float()
        >>> prior.log_prob(y).shape, prior().sample((5,)).shape
        (torch.Size([1]), torch.Size([5, 12]))
    """
    if isinstance(grid, int):
        return ChainRule(CausalMLP(grid, codes, codes, hidden=hidden), Product(Categorical(codes), grid))
    net = CausalConv(grid, codes, codes, width=width, layers=layers)
    return ChainRule(net, Product(Categorical(codes), net.positions))
