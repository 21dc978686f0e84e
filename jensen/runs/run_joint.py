"""Questions to the joint p(x) of a run: samples, scores of rows, and predictions of a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..core.errors import UsageError
from ..core.memory import require_memory
from ..core.random import stream
from ..core.validation import require_integer
from ..data.dataframes import available
from ..data.table_building import table_of
from ..data.table_values import as_written
from ..evaluate.estimate import ProgressCallback
from .data import Source, Targets
from .evaluation import Part
from .predict import Prediction, predict
from .run_rows import RunRows
from .sample import GivenSample, sample_given
from .score import RowScores, score

__all__ = ["RunJoint"]


class RunJoint(RunRows):
    """The part of a `Run` that asks its joint; see there."""

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        mean: bool = False,
        label: str | int | None = None,
        given: Mapping[str, Any] | None = None,
        k: int | None = None,
    ) -> Any:
        """New data [n, ...] from the model, in the data's own units; with `mean`, the mean of p(x | z) at z ~ p(z).

        Args:
            n: how many.
            seed: of all randomness.
            mean: see above.
            label: the class of all of them, by name; a model that learned from labels draws them as frequent as in
                training where none is given.
            given: values of columns, by name, such as {"age": 40, "sex": "F"}: samples of the other columns given
                these.
            k: points that are weighted for them, where the latent is not finite; 16,384 by default.

        Returns:
            an array; of a mixed table a DataFrame of pandas; of polars, or an Arrow table, where that is not installed;
            a dictionary of lists where none of them is.

        Raises:
            UsageError: n < 1, there is no such class or column, or labels played no part in training; or the condition
                is too rare.
        """
        if given is not None:
            if mean or label is not None:
                raise UsageError("given= excludes mean= and label=", "Leave one of them out.")
            x = self.given_sample(n, given, k=k, seed=seed).x
        else:
            x = self.labelled_sample(n, seed=seed, mean=mean, label=label)[0]
        columns = self.schema.columns
        return x if columns is None else table_of(columns, as_written(columns, x), available()).data

    def decode(self, z: Any) -> Any:
        """Return the mean of p(x | z) [N, ...] at points z [N, Z] of the latent space, in the data's own units.

        Args:
            z: an array, or a tensor. Of a conditional model the label is the most frequent one.

        Returns:
            an array; of a mixed table what `sample` returns, with the most probable names.

        Raises:
            UsageError: z has another number of features.
        """
        points = torch.as_tensor(np.asarray(z), dtype=self.dtype, device=self.device)
        if points.ndim != 2 or points.shape[1] != self.model.latent:
            shape = f"z must be of shape [N, {self.model.latent}], got {list(points.shape)}"
            raise UsageError(shape, "Give points such as run.encode(data).")
        x, columns = self.shaped(latents.decode(self.model, points)), self.schema.columns
        return x if columns is None else table_of(columns, as_written(columns, x), available()).data

    def given_sample(self, n: int, given: Mapping[str, Any], *, k: int | None = None, seed: int = 0) -> GivenSample:
        """Return samples given the values of some columns, as `sample` draws them, with their diagnostics."""
        self._check_size(n)
        return sample_given(self, n, given, k=k, seed=seed)

    def labelled_sample(
        self, n: int, *, seed: int = 0, mean: bool = False, label: str | int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return samples as `sample` does, with the class [n] of each; None of a model without classes.

        Those of a mixed table are in stored form [n, D], as `Dataset.x` is.
        """
        self._check_size(n)
        classes, generator = self.classes, stream(seed, "sample", self.device)
        if label is not None and classes is None:
            raise UsageError(
                f"--label {label} cannot be asked of a run that knows no labels", "Train with --recipe conditional."
            )
        if mean and self.schema.columns is not None:
            raise UsageError("the mean of a row of names and numbers is no row", "Leave --mean out.")
        if classes is None:
            z, batch = self.model.simulate(n, generator)
            return self.shaped(latents.decode(self.model, z) if mean else batch.x), None
        chosen = None if label is None else classes.find(label)
        z, x, known = latents.simulate_classes(self.model, n, generator, chosen, len(classes))
        x = latents.decode(self.model, z, known if self.conditional else None) if mean else x
        return self.shaped(x), np.asarray(classes.values)[known.argmax(-1).cpu().numpy()]

    def _check_size(self, n: int) -> None:
        """Refuse a number of samples that memory has no room for."""
        require_integer(1, **{"-n": n})
        family = self.model.likelihood.family
        numbers = self.model.latent + family.size + 3 * family.dim  # of a draw, its parameters, and its data
        require_memory(n * numbers * self.dtype.itemsize, f"-n {n:,} samples", "Give a smaller -n.")

    def score(
        self,
        data: Source | Part | None = None,
        *,
        labels: Targets | None = None,
        k: int | None = None,
        columns: bool | None = None,
        seed: int = 0,
        watch: Callable[[str], ProgressCallback] | None = None,
    ) -> RowScores:
        """Return log p(x) of each row, its p-value against rows that did not train the model, and log p of each entry.

        Where entries are missing, rows are compared by log p(x) plus an offset for each missing one; see `RowScores`.

        Args:
            data: rows, other than the run's own test rows; a mixed table may lack columns, but none that is misspelt.
            labels: of these rows, as for `evaluate`.
            k: points per datum, where log p(x) is not exact; 1,000 for rows and 1,024 for their entries by default.
            columns: whether each entry is scored, alone and given the others of its row; by default that of tables of
                up to 256 columns, where the likelihood factorises over columns.
            seed: of all Monte Carlo.
            watch: returns the progress callback of a phase.

        Raises:
            NotNormalised: the model has no density.
            CompositionError: columns are asked for, and depend on each other given z.
        """
        return score(self, data, labels=labels, k=k, columns=columns, seed=seed, watch=watch)

    def predict(
        self,
        data: Source | Part | None,
        column: str,
        *,
        k: int | None = None,
        seed: int = 0,
        watch: ProgressCallback | None = None,
    ) -> Prediction:
        """Return the distribution of a column given the other observed ones, from the joint.

        Args:
            data: rows, with or without the column; None for the run's own test rows.
            column: by name.
            k: points per datum, where the latent is not finite; 1,024 by default.
            seed: of all Monte Carlo.
            watch: progress callback, called with the fraction done, 0 to 1.

        Raises:
            UsageError: there is no such column.
            CompositionError: columns depend on each other given z.
        """
        return predict(self, data, column, k=k, seed=seed, watch=watch)
