"""The preparation of data as a part of a graph: what the run does to rows before its encoder sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..core.batch import Batch, Rows
from ..data.column_scales import CLOSEST
from .ports import Arrays, Port, Subject

__all__ = ["Prepared", "input_ports", "prepared_batch"]


class Prepared(nn.Module):
    """Data in their own units [B, *shape] -> a batch as the guide takes it.

    Args:
        subject: of the export.
    """

    center: Tensor | None
    scale: Tensor | None
    fill: Tensor
    bounded: Tensor

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject = subject
        schema, preparation, dtype = subject.schema, subject.preparation, subject.dtype
        for name in ("center", "scale"):
            values = getattr(preparation, name)
            if values is None:  # no buffer: torch.export miscounts those that are None
                setattr(self, name, None)
            else:
                self.register_buffer(name, torch.as_tensor(values, dtype=torch.float64))
        fill = np.zeros(schema.size) if preparation.fill is None else preparation.fill
        self.register_buffer("fill", torch.as_tensor(fill, dtype=torch.float64).to(dtype))
        kinds = [column.kind == "bounded" for column in schema.columns or ()]
        self.is_bounded = any(kinds)
        self.register_buffer("bounded", torch.tensor(kinds))

    def forward(
        self, x: Tensor, uniform: Tensor | None = None, mask: Tensor | None = None, label: Tensor | None = None
    ) -> Batch:
        seen = self.values(x.flatten(1), None if uniform is None else uniform.flatten(1))
        if mask is not None:
            seen = torch.where(mask.flatten(1), seen, self.fill)
        context = None if label is None else self.subject.contexts(label)
        return Batch(seen, None if mask is None else mask.flatten(1), context)

    def values(self, x: Tensor, uniform: Tensor | None) -> Tensor:
        """Return what the model sees of data [B, D]; uniform numbers [B, D] draw bits, and dequantise."""
        preparation, dtype = self.subject.preparation, self.subject.dtype
        top = (self.subject.schema.levels or 2) - 1
        if preparation.binarize == "threshold":
            return (x > top / 2).to(dtype)
        if preparation.binarize is not None and uniform is not None:
            return (uniform < x.to(torch.float32) / top).to(dtype)
        if self.center is None and self.scale is None and uniform is None:
            return x.to(dtype)
        reals = x.to(torch.float64) if uniform is None else x.to(torch.float64) + uniform
        reals = reals if self.center is None else reals - self.center
        seen = (reals if self.scale is None else reals / self.scale).to(dtype)
        if self.is_bounded:
            seen = torch.where(self.bounded, seen.clamp(CLOSEST, 1 - CLOSEST), seen)
        return seen


def input_ports(subject: Subject) -> tuple[Port, ...]:
    """Return the inputs of an encoder."""
    schema = subject.schema
    values = {
        "binary": "0 or 1",
        "integers": f"whole numbers from 0 to {(schema.levels or 1) - 1}",
        "real": "in the data's own units",
        "mixed": "the stored number of each column, see schema.json",
    }[schema.kind]
    ports = [Port("x", subject.x_dtype, schema.shape, f"data: {values}")]
    if subject.is_random:
        binarize = subject.preparation.binarize is not None
        what = "a pixel is 1 where it is below its share of the range" if binarize else "added to whole numbers"
        dtype = "float32" if binarize else "float64"
        ports.append(Port("uniform", dtype, schema.shape, f"random numbers, uniform in [0, 1): {what}"))
    if subject.sees_holes:
        ports.append(Port("mask", "bool", schema.shape, "true where a value is known; x is not looked at elsewhere"))
    return (*ports, *([] if subject.label_port is None else [subject.label_port]))


def prepared_batch(subject: Subject, arrays: Arrays) -> Batch:
    """Return the batch that the run itself makes of these inputs, by its own preparation."""
    schema, preparation, dtype = subject.schema, subject.preparation, subject.dtype
    n = len(arrays["x"])
    x, mask = arrays["x"].reshape(n, -1), arrays["mask"].reshape(n, -1) if subject.sees_holes else None
    if preparation.binarize in ("static", "dynamic"):
        top = (schema.levels or 2) - 1
        bits = arrays["uniform"].reshape(n, -1) < x.astype(np.float32) / np.float32(top)
        rows = Rows(torch.from_numpy(bits).to(dtype))
        rows = rows if mask is None else preparation.masked(rows, mask)
    elif preparation.dequantize:
        spread = x + arrays["uniform"].reshape(n, -1)
        real = replace(schema, kind="real", levels=None)
        rows = replace(preparation, dequantize=False).rows(spread, real, mask=mask, dtype=dtype)
    else:
        rows = preparation.rows(x, schema, mask=mask, dtype=dtype)
    batch = rows.take(torch.arange(n))
    if subject.label_port is None:
        return batch
    return replace(batch, context=subject.contexts(torch.from_numpy(arrays["label"])))
