"""Input features for networks of tables of mixed kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..core.errors import CompositionError
from ..core.parts import part
from ..core.validation import require_integer
from .dense import MLP, Net

__all__ = ["ColumnCode", "EncodeColumns", "SkipMLP"]

ColumnCode = Literal["number", "log", "logit", "counts", "angle", "levels", "order"]
NUMBERS = ("number", "log", "logit", "counts")  # of one feature each
BEND = 3.0  # standard deviations: numbers beyond them count by their logarithm
TINY, CLOSEST = 1e-30, 2.0**-24  # the least argument of a logarithm, and the closest to the ends of (0, 1)


@part
class EncodeColumns(Net):
    r"""Prepared columns [..., 2 D], x and 0 where observed, -1 where not, as `Masked` gives them -> features [..., F].

    By column: a number ("number"; "log" and "logit" of it; :math:`\pm\log(1 + |x|)` for "counts"), standardised and
    bent beyond three standard deviations, :math:`3 \operatorname{asinh}(u / 3)`; sine and cosine of an angle ("angle");
    a one-hot of "levels"; whether x reaches each level above the first ("order"). All are zero where the column is not
    observed. The last D features are 1 where it is. Rows [..., D] alone count as observed.

    Args:
        codes: of the D columns.
        sizes: the number of levels of each column, 0 of those without.

    Raises:
        CompositionError: codes and sizes do not belong together.

    Example:
        >>> net = EncodeColumns(("number", "levels"), (0, 3))
        >>> net(torch.tensor([[0.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, -1.0]]))
        tensor([[0., 0., 0., 1., 1., 1.],
                [0., 0., 0., 0., 1., 0.]])
    """

    mean: Tensor
    scale: Tensor
    numbers: Tensor
    logs: Tensor
    logits: Tensor
    counted: Tensor
    angles: Tensor
    named: Tensor
    names: Tensor
    ordered: Tensor
    order: Tensor

    def __init__(self, codes: Sequence[ColumnCode], sizes: Sequence[int]) -> None:
        super().__init__()
        require_integer(columns=len(codes))
        require_integer(0, sizes=tuple(sizes))
        has_levels = [code in ("levels", "order") for code in codes]
        if len(codes) != len(sizes) or has_levels != [size > 0 for size in sizes]:
            raise CompositionError("each column with levels needs their number, and others 0", "Give sizes by column.")
        self.codes, self.sizes, self.dim = tuple(codes), tuple(sizes), len(codes)
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("scale", torch.ones(self.dim))
        numbers = [i for i, code in enumerate(codes) if code in NUMBERS]
        levels = [(i, j) for i, code in enumerate(codes) if code == "levels" for j in range(sizes[i])]
        order = [(i, j) for i, code in enumerate(codes) if code == "order" for j in range(1, sizes[i])]
        places = {
            "numbers": numbers,
            "logs": [code == "log" for code in codes],
            "logits": [code == "logit" for code in codes],
            "counted": [code == "counts" for code in codes],
            "angles": [i for i, code in enumerate(codes) if code == "angle"],
            "named": [i for i, _ in levels],
            "names": [float(j) for _, j in levels],
            "ordered": [i for i, _ in order],
            "order": [float(j) for _, j in order],
        }
        for name, values in places.items():  # they follow from the arguments, and no file of weights holds them
            kind = torch.bool if name in ("logs", "logits", "counted") else torch.long
            kind = torch.float32 if name in ("names", "order") else kind
            self.register_buffer(name, torch.tensor(values, dtype=kind), persistent=False)

    @property
    def outputs(self) -> int:
        """F, the number of features."""
        return len(self.numbers) + 2 * len(self.angles) + len(self.named) + len(self.ordered) + self.dim

    def transformed(self, x: Tensor) -> Tensor:
        """Return x [..., D] with the logarithms of the columns that have them, before they are standardised."""
        x = torch.where(self.logs, x.clamp_min(TINY).log(), x)
        x = torch.where(self.logits, torch.logit(x.clamp(CLOSEST, 1 - CLOSEST)), x)
        return torch.where(self.counted, x.abs().log1p() * x.sign(), x)

    def set(self, x: Tensor, mask: Tensor | None = None) -> EncodeColumns:
        """Set mean and scale to those of the observed entries of rows [N, D]; a scale of zero becomes one."""
        values = self.transformed(x.double())
        seen = torch.ones_like(values) if mask is None else mask.to(values)
        count = seen.sum(0).clamp_min(1)
        mean = (values * seen).sum(0) / count
        scale = (((values - mean) * seen).square().sum(0) / count).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        x, away = (x, torch.zeros_like(x)) if x.shape[-1] == self.dim else x.split(self.dim, -1)
        seen = away + 1
        bent = BEND * torch.asinh((self.transformed(x) - self.mean) / (BEND * self.scale))
        parts = [bent * seen, (x.sin() * seen), (x.cos() * seen)]
        pieces = [
            part.index_select(-1, at) for part, at in zip(parts, (self.numbers, self.angles, self.angles), strict=True)
        ]
        named = (x.index_select(-1, self.named) == self.names).to(x) * seen.index_select(-1, self.named)
        order = (x.index_select(-1, self.ordered) >= self.order).to(x) * seen.index_select(-1, self.ordered)
        return torch.cat([*pieces, named, order, seen], -1)

    @property
    def phrase(self) -> str:
        return f"features of {self.dim} columns"


@part
class SkipMLP(Net):
    """An affine map and a multilayer perceptron, added: [..., inputs] -> [..., outputs].

    The perceptron's last layer starts at zero, so that training starts from the affine map, as factor analysis has it.

    Args:
        inputs, outputs: sizes.
        hidden: sizes of the perceptron's hidden layers.
        activation: one of `ACTIVATIONS`.

    Example:
        >>> SkipMLP(3, 2, hidden=(8,))(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int] = (64,), activation: str = "silu") -> None:
        super().__init__()
        require_integer(inputs=inputs, outputs=outputs)
        self.affine = nn.Linear(inputs, outputs)
        self.bent = MLP(inputs, outputs, hidden, activation)
        last = self.bent.layers[-1]
        nn.init.zeros_(last.weight)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(last.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(x) + self.bent(x)

    @property
    def phrase(self) -> str:
        return f"{self.bent.phrase} and an affine map"
