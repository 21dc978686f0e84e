"""Rows for a verb, prepared as those of the training were, and checked against the likelihood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..core.batch import Rows
from ..core.errors import UsageError
from ..core.random import stream
from ..data import Conditions, Dataset, Labels, Preparation, Schema
from ..data.hashed_split import RowNumbers
from ..models.conditionals import Conditional
from ..recipes.likelihoods import check_support
from .evaluation import Part
from .row_files import file_names

__all__ = ["Preparing"]


class Preparing:
    """The steps from a data set to a `Part`, as they were in training.

    Args:
        preparation: from the data to what the model sees.
        schema: of the data.
        likelihood: whose support the rows must be in.
        classes: that the model learned from, or several labels that it is given; None where labels played no part.
        device, dtype: of the rows.
    """

    def __init__(
        self,
        preparation: Preparation,
        schema: Schema,
        likelihood: Conditional,
        classes: Labels | Conditions | None,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        self.preparation, self.schema, self.likelihood = preparation, schema, likelihood
        self.classes, self.device, self.dtype = classes, device, dtype

    def part(
        self,
        dataset: Dataset,
        name: str,
        *,
        seed: int,
        number: int,
        notes: tuple[str, ...] = (),
        numbers: np.ndarray | RowNumbers | None = None,
    ) -> Part:
        """Return the rows of a data set.

        Args:
            dataset: with the schema of the training data.
            name: of the rows.
            seed: of bits that are drawn once.
            number: of the stream of noise that rows are prepared with.
            notes: for the user, after those of the data set.
            numbers: [N] of the rows in their file; by default from 0.

        Raises:
            DataError: a value is outside the support, or a label is of no known class.
            UsageError: bits of rows that stay in their files are to be drawn at once.
        """
        if numbers is None:
            numbers = RowNumbers.all_of(len(dataset)) if dataset.is_streamed else np.arange(len(dataset))
        how = {"mask": dataset.mask, "device": self.device, "dtype": self.dtype, "stream": number, "numbers": numbers}
        rows = self.preparation.rows(dataset.x, self.schema, what=name, **how)
        rows = replace(rows, context=self._contexts(dataset, name, numbers))
        self._check(rows, name, numbers)
        if self.preparation.binarize == "dynamic":
            if dataset.is_streamed:
                raise UsageError(
                    f"the bits of {name} cannot all be drawn at once, since these rows stay in their files",
                    "Give fewer rows: DATA; or train with another --binarize.",
                )
            rows = rows.fixed(stream(seed, "binarize", self.device))
        shift: float | torch.Tensor = self.preparation.log_jacobian(self.schema.size)
        if dataset.mask is not None:
            shift = torch.from_numpy(self.preparation.log_jacobians(dataset.mask))
        files = file_names(dataset)
        return Part(
            rows=rows,
            x=dataset.x,
            labels=dataset.labels,
            name=name,
            notes=(*dataset.notes, *notes),
            mask=dataset.mask,
            shift=shift,
            factors=dataset.factors,
            files=files,
            identity={k: v for k, v in dataset.identity.items() if files is None or k != "file"},
            numbers=numbers,
            frame=dataset.frame,
        )

    def _contexts(self, dataset: Dataset, name: str, numbers: np.ndarray | RowNumbers) -> torch.Tensor | None:
        """Return what the rows are conditioned on [N, C]; None where they are on nothing."""
        if isinstance(self.classes, Conditions):
            seen = self.classes.contexts(dataset.conditions, f"the {name}", numbers[:])
        elif self.classes is not None and self.classes.role == "context":
            seen = self.classes.one_hot(dataset.labels, f"the {name}", numbers[:])
        else:
            return None
        return torch.from_numpy(seen).to(self.device, self.dtype)

    def _check(self, rows: Rows, name: str, numbers: np.ndarray | RowNumbers) -> None:
        """Refuse rows with a value outside the support.

        Raises:
            DataError: naming row and column.
        """
        if self.preparation.binarize is None and self.likelihood.has_density:
            remedy = "Drop or correct these rows, or train with a likelihood for such values: --likelihood."
            family, what = self.likelihood.family, f"row {{}} of {name}"
            check_support(family.support, rows, what, family.phrase, remedy, lambda row: int(numbers[row]))
