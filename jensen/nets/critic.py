"""A network that classifies points as of one of two kinds."""

from __future__ import annotations

from torch import Tensor, nn

from ..core.parts import part
from ..core.precision import applied
from ..core.validation import require_integer
from .dense import Standardize, activated

__all__ = ["Critic"]


@part
class Critic(nn.Module):
    """A logit [...] for points [..., D]: log D(x) - log(1 - D(x)), D(x) the probability that x is of the first kind.

    Its optimum is the log-ratio of the two densities.

    Args:
        body: [..., D] -> [..., width].
        width: features of the body, of which the logit is a linear map after the activation.
        scaled: a standardisation of the points before the body; None leaves them. Gradient penalties apply after it, so
            that they do not depend on the data's units.
        activation: by name.

    Example:
        >>> import torch
        >>> Critic(nn.Linear(3, 8), 8)(torch.zeros(5, 3)).shape
        torch.Size([5])
    """

    def __init__(
        self, body: nn.Module, width: int, scaled: Standardize | None = None, activation: str = "leaky_relu"
    ) -> None:
        super().__init__()
        require_integer(width=width)
        self.body, self.scaled, self.activation = body, scaled, activated(activation)
        self.head = nn.Linear(width, 1)

    def standardized(self, x: Tensor) -> Tensor:
        """Return the points [..., D] as the body takes them."""
        return x if self.scaled is None else self.scaled(x)

    def features(self, standardized: Tensor) -> Tensor:
        """Return the features [..., width] of the last layer, at points that are already standardised."""
        return self.activation(applied(self.body, standardized))

    def logits(self, standardized: Tensor) -> Tensor:
        """Return the logits [...] of points that are already standardised."""
        return self.head(self.features(standardized)).squeeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.standardized(x))
