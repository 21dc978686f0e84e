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

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import torch
from torch import Tensor

__all__ = ["Data", "Groups", "Latents", "PerDatum", "Points", "Values", "broadcast_shapes"]

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


def broadcast_shapes(*shapes: Sequence[int]) -> torch.Size:
    """Return the shape of tensors of these shapes together, as `torch.broadcast_shapes` does.

    That of torch imports sympy, which takes a second and 35 MB, outside of graphs that are traced, where sizes may be
    symbols.

    Raises:
        RuntimeError: the shapes do not go together.

    Example:
        >>> broadcast_shapes((5, 1), (3,))
        torch.Size([5, 3])
    """
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # pyright: ignore[reportPrivateImportUsage]
        return torch.broadcast_shapes(*shapes)
    result = []
    for sizes in zip_longest(*map(reversed, shapes), fillvalue=1):
        different = {size for size in sizes if size != 1} or {1}
        if len(different) > 1:
            raise RuntimeError(f"the shapes {', '.join(map(str, map(tuple, shapes)))} do not go together")
        result.append(different.pop())
    return torch.Size(result[::-1])
