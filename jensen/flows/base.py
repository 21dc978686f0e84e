"""The abstraction of a flow, and the composition of flows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.errors import CompositionError, NotInvertible
from ..core.parts import part
from ..core.shapes import broadcast_shapes

__all__ = ["LARGEST", "Flow", "Stack", "net_input", "one_way"]

LARGEST = 1e6  # inputs of flows' networks are clamped to +-this, so that no finite input gives a NaN


class Flow(nn.Module, ABC):
    r"""An invertible map z = f(u; h) of R^Z, which may depend on a context h.

    With u ~ p(u), :math:`\log q(z) = \log p(u) - \log|\det \partial z / \partial u|`.

    Attributes:
        dim: Z.
        context: H, features of the context; 0 for none.
    """

    dim: int
    context: int

    @abstractmethod
    def forward(self, u: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z [..., Z] and log|det dz/du| [...] at u [..., Z] and h [..., H], whose leading shapes broadcast."""

    @abstractmethod
    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return u [..., Z] and log|det du/dz| [...] at z [..., Z].

        Raises:
            NotInvertible: the inverse is not cheap (see `invertible`).
        """

    @property
    @abstractmethod
    def invertible(self) -> bool:
        """True if the inverse is as cheap as the map, so that any point can be scored."""

    @property
    @abstractmethod
    def phrase(self) -> str:
        """A short description, for the sentence that describes a model."""


def net_input(x: Tensor, h: Tensor | None, context: int) -> Tensor:
    """Return the input [..., F + H] of a flow's network: features [..., F] and context, both clamped to +-1e6.

    Raises:
        CompositionError: the context is missing, unexpected, or of another size.
    """
    given = 0 if h is None else h.shape[-1]
    if given != context:
        raise CompositionError(
            f"the context of this flow must have {context} features, got {given}",
            "Give the flow `context=H` and its guide a context net with H outputs, or neither.",
        )
    if h is None:
        return x.clamp(-LARGEST, LARGEST)
    lead = broadcast_shapes(x.shape[:-1], h.shape[:-1])
    return torch.cat([x.expand(*lead, -1), h.expand(*lead, -1)], -1).clamp(-LARGEST, LARGEST)


def one_way(flow: Flow) -> NotInvertible:
    """Return the error of a flow that cannot score points which it did not produce."""
    return NotInvertible(
        f"{flow.phrase} has no cheap inverse, so it cannot score a point that it did not produce itself",
        "Use a coupling flow (AffineCoupling, SplineCoupling); to anneal, start from the prior: --start prior.",
    )


@part
class Stack(Flow):
    """A composition of flows: z = f_n(... f_1(u)).

    Args:
        flows: from the first to the last; those with a context all have the same one.

    Example:
        >>> from jensen.flows import AffineCoupling
        >>> flow = Stack([AffineCoupling(3), AffineCoupling(3, flip=True)])
        >>> z, log_det = flow(torch.ones(2, 3))
        >>> z.equal(torch.ones(2, 3)), log_det.tolist()
        (True, [0.0, 0.0])
    """

    def __init__(self, flows: Sequence[Flow]) -> None:
        super().__init__()
        dims, contexts = {f.dim for f in flows}, {f.context for f in flows} - {0}
        if len(dims) != 1 or len(contexts) > 1:
            raise CompositionError(
                f"flows over {sorted(dims)} features with contexts of {sorted(contexts)} cannot follow each other",
                "Give one or more flows of one size, and one context for all.",
            )
        self.flows, self.way = nn.ModuleList(flows), tuple(flows)
        self.dim, self.context = dims.pop(), max(contexts, default=0)

    def forward(self, u: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = u.new_zeros(())
        for flow in self.way:
            u, log_det = flow(u, h if flow.context else None)
            total = total + log_det
        return u, total.expand(u.shape[:-1])

    def inverse(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(())
        for flow in reversed(self.way):
            z, log_det = flow.inverse(z, h if flow.context else None)
            total = total + log_det
        return z, total.expand(z.shape[:-1])

    @property
    def invertible(self) -> bool:
        return all(flow.invertible for flow in self.way)

    @property
    def phrase(self) -> str:
        kinds = list(dict.fromkeys(flow.phrase for flow in self.way))
        counts = [sum(flow.phrase == kind for flow in self.way) for kind in kinds]
        return ", ".join(f"{n} x {kind}" if n > 1 else kind for n, kind in zip(counts, kinds, strict=True))
