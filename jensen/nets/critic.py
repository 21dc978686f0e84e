"""A network that tells two kinds of points apart."""

from __future__ import annotations

from torch import Tensor, nn

from ..core.parts import part
from ..core.precision import applied
from ..core.validation import require_integer
from .dense import Standardize, activated

__all__ = ["Critic"]


@part
class Critic(nn.Module):
    """A logit [...] for points [..., D]: log D(x) - log(1 - D(x)), with D(x) the chance that x is of the first kind.

    Its optimum is the log-ratio of the two densities.

    Args:
        body: [..., D] -> [..., width].
        width: features that the body finds, of which the logit is a linear map after the activation.
        scaled: what is done to the points first; None leaves them. Gradients are penalised after it, so that they are
            in the same units whatever the data's are.
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

    def seen(self, x: Tensor) -> Tensor:
        """Points [..., D] as the body sees them."""
        return x if self.scaled is None else self.scaled(x)

    def features(self, seen: Tensor) -> Tensor:
        """[..., width] what it looks at last, of points that are already scaled."""
        return self.activation(applied(self.body, seen))

    def judged(self, seen: Tensor) -> Tensor:
        """Logits [...] of points that are already scaled."""
        return self.head(self.features(seen)).squeeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.judged(self.seen(x))
