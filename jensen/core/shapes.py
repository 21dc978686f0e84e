"""The legend of shapes, and the names under which annotations use it.

| letter | meaning |
|---|---|
| N | data in a data set |
| B | data in a batch |
| K | latent points per datum |
| Z | latent features |
| G | latent groups (1 when the latent is flat) |
| D | data features; an image is flat, in the order height, width, channel |
| P | parameters of a family |

The aliases are jaxtyping annotations where jaxtyping is installed (the tests install it, and check every call against
them) and plain `torch.Tensor` elsewhere, so that nothing is paid in production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

__all__ = ["Data", "Groups", "Latents", "PerDatum", "Points", "Values"]

if TYPE_CHECKING:
    Data = Latents = Points = Groups = PerDatum = Values = Tensor
else:
    try:
        from jaxtyping import Float, Shaped
    except ImportError:
        Data = Latents = Points = Groups = PerDatum = Values = Tensor
    else:
        Data = Shaped[Tensor, "B D"]
        Latents = Float[Tensor, "K B Z"]
        Points = Float[Tensor, "K B"]
        Groups = Float[Tensor, "K B G"]
        PerDatum = Float[Tensor, "B"]
        Values = Float[Tensor, "..."]
