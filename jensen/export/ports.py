"""The subject of an export, its graphs, and the tensors that go in and come out of them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Conditions, Preparation, Schema
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..nets import Experts

__all__ = ["BATCH", "Arrays", "Graph", "Port", "Subject"]

BATCH = "batch"  # the name of the first axis of every tensor
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Port:
    """A tensor that goes into a graph, or comes out of it.

    Attributes:
        name: in the graph.
        dtype: as NumPy calls it.
        shape: of one row; the first axis of the tensor is the batch.
        meaning: for people.
        unit: what errors of an output are compared with where its own values are smaller, [*shape] or a number; None
            for the root mean square of the tensor.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    meaning: str
    unit: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable description."""
        return {
            "name": self.name,
            "type": self.dtype,
            "shape": [BATCH, *self.shape],
            "meaning": self.meaning,
        }


@dataclass(frozen=True)
class Graph:
    """One graph of an export.

    Attributes:
        name: "encoder", "decoder" or "sampler".
        purpose: in words.
        module: takes the inputs by name, and returns the outputs in their order.
        inputs, outputs: of the module.
        expected: from inputs to the outputs that the run itself gives.
    """

    name: str
    purpose: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    expected: Callable[[Arrays], Arrays]

    def tensors(self, arrays: Arrays) -> dict[str, Tensor]:
        """Return the inputs, in the order of the graph, as tensors."""
        return {port.name: torch.from_numpy(np.ascontiguousarray(arrays[port.name])) for port in self.inputs}


@dataclass(frozen=True)
class Subject:
    """A trained model with what it needs to take data in their own units.

    Attributes:
        model, guide: on the processor, with their weights.
        schema: of the data.
        preparation: from the data to what the model sees.
        classes: the names of the labels that the model is given, in the order of their numbers; empty where it is
            given none.
        sees_holes: whether entries of the data may be missing.
        conditions: several labels that it is given, in the place of classes.
    """

    model: LatentVariableModel
    guide: Guide
    schema: Schema
    preparation: Preparation
    classes: tuple[str, ...] = ()
    sees_holes: bool = False
    conditions: Conditions | None = None

    @property
    def label_port(self) -> Port | None:
        """The input of the label, or of the context that several labels become; None of a model without."""
        if self.conditions is not None:
            what = f"{', '.join(self.conditions.names)}, each one-hot or standardised: see labels in schema.json"
            return Port("label", self.number, (len(self.conditions),), what)
        what = f"number of the class, 0 to {len(self.classes) - 1}: see schema.json"
        return Port("label", "int64", (), what) if self.classes else None

    def contexts(self, label: Tensor) -> Tensor:
        """Return contexts [B, C] of the values of this input."""
        if self.conditions is not None:
            return label
        return torch.eye(len(self.classes), dtype=self.dtype, device=label.device).index_select(0, label)

    def labels(self, n: int) -> Tensor | None:
        """Return n values of this input to try a graph with; None of a model without."""
        if self.conditions is not None:
            return torch.zeros(n, len(self.conditions), dtype=self.dtype)
        return torch.zeros(n, dtype=torch.long) if self.classes else None

    def copied(self) -> tuple[LatentVariableModel, Guide]:
        """Return copies of model and guide for a graph: experts for classes all run, and are selected afterwards."""
        model, guide = deepcopy((self.model, self.guide))
        for module in (*model.modules(), *guide.modules()):
            if isinstance(module, Experts):
                module.through = True
        return model.eval(), guide.eval()

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the model."""
        return next(self.model.parameters()).dtype

    @property
    def number(self) -> str:
        """The type of the numbers that the model computes, as NumPy calls it."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def is_random(self) -> bool:
        """True if the preparation draws bits, or spreads whole numbers by noise."""
        return self.preparation.binarize in ("static", "dynamic") or self.preparation.dequantize

    @property
    def x_dtype(self) -> str:
        """The type of the data, as NumPy calls it."""
        if self.schema.kind in ("real", "mixed"):
            return "float64"
        return "uint8" if (self.schema.levels or 2) <= 256 else "int64"
