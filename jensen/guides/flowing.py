"""Guides pushed through a flow."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.distributions import Distribution

from ..core.batch import Batch
from ..core.errors import CompositionError
from ..core.parts import part
from ..core.precision import applied
from ..distributions import Flowed
from ..flows import Flow
from ..models.guide import Guide
from ..nets import Net

__all__ = ["Flowing"]


@part
class Flowing(Guide):
    r"""z = f(u; h(x)) with u from another guide: :math:`\log q(z|x) = \log q_0(u|x) - \log|\det\partial z/\partial u|`.

    Before training the flow is the identity, and this guide is q_0.

    Args:
        guide: q_0, with a density and a pathwise gradient.
        flow: of its Z features.
        context: [B, D] -> [B, H], the flow's context from the data; None for a flow that is the same for all data.

    Source: Rezende & Mohamed, "Variational inference with normalizing flows", 2015.

    Raises:
        CompositionError: the guide has no density or is exact, or the flow's context and the net do not go together.

    Example:
        >>> import torch
        >>> from jensen.models.conditionals import Given
        >>> from jensen.families import Gaussian
        >>> from jensen.flows import SplineCoupling
        >>> from jensen.guides import Amortized
        >>> guide = Flowing(Amortized(Given(nn.Linear(5, 4), Gaussian(2))), SplineCoupling(2))
        >>> guide(Batch(torch.zeros(3, 5))).rsample().shape
        torch.Size([3, 2])
    """

    def __init__(self, guide: Guide, flow: Flow, context: nn.Module | None = None) -> None:
        super().__init__()
        if guide.is_exact or not guide.has_density:
            raise CompositionError(
                f"a flow needs a guide with a density that is not exact, got {guide.phrase}",
                "Use Flowing(Amortized(...), flow).",
            )
        if (context is None) != (flow.context == 0):
            raise CompositionError(
                f"a context net and a flow with a context go together, got {'no' if context is None else 'a'}"
                f" context net and {flow.context} features of context",
                "Give the flow `context=H` and its guide a context net with H outputs, or neither.",
            )
        self.guide, self.flow, self.context = guide, flow, context

    def forward(self, batch: Batch) -> Distribution:
        base = self.guide(batch)
        if base.event_shape != (self.flow.dim,) or not base.has_rsample:
            raise CompositionError(
                f"a flow over {self.flow.dim} real features cannot follow {self.guide.phrase}",
                "Use a Gaussian guide of as many features.",
            )
        h = None if self.context is None else applied(self.context, batch.x)
        return Flowed(base, partial(self.flow, h=h), partial(self.flow.inverse, h=h))

    @property
    def phrase(self) -> str:
        net = self.context
        context = "" if net is None else f" with {net.phrase if isinstance(net, Net) else type(net).__name__}"
        return f"{self.guide.phrase}, then {self.flow.phrase}{context}"

    @property
    def scores_any_point(self) -> bool:
        return self.flow.invertible and self.guide.scores_any_point
