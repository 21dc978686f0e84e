"""Questions to the joint p(x) of a run: samples, scores of rows, and predictions of a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from ..models.model import LatentVariableModel
from .chain_samples import descending_model
from .data import Source, Targets
from .evaluation import Part
from .expression import (
    DELTA,
    FDR,
    PAIRS,
    DifferentialExpression,
    differential_expression,
    expression_columns,
    expression_frame,
)
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
        label: str | int | Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        k: int | None = None,
        steps: int | None = None,
        ddim: bool = False,
        guidance: float = 1.0,
    ) -> Any:
        """New data [n, ...] from the model, in the data's own units; with `mean`, the mean of p(x | z) at z ~ p(z).

        Args:
            n: how many.
            seed: of all randomness.
            mean: see above.
            label: the class of all of them, by name; of several labels, a value of each, such as {"sex": "F", "age":
                40}. A model that learned from labels draws them as frequent as in training where none is given,
                several ones independently of each other.
            given: values of columns, by name, such as {"age": 40, "sex": "F"}: samples of the other columns given
                these.
            k: points that are weighted for them, where the latent is not finite; 16,384 by default.
            steps: of a diffusion, that the noise is taken off in; by default the levels of its chain, and 256 of
                continuous time.
            ddim: of a diffusion, True for steps without noise.
            guidance: of a diffusion that learned from labels, the multiple of what the label adds: above 1 samples are
                more typical of it, and less varied. With any but 1, or by DDIM, they are not of the model whose log
                p(x) is estimated.

        Returns:
            an array; of a mixed table a DataFrame of pandas; of polars, or an Arrow table, where that is not installed;
            a dictionary of lists where none of them is.

        Raises:
            UsageError: n < 1, there is no such class or column, or labels played no part in training; or the condition
                is too rare.
            CompositionError: steps, DDIM or guidance of a model that is no diffusion, or knows no labels.
        """
        model = descending_model(self, steps, ddim, guidance)
        if given is not None:
            if mean or label is not None or model is not self.model:
                raise UsageError("given= excludes mean=, label= and how a diffusion is drawn", "Leave one of them out.")
            x = self.given_sample(n, given, k=k, seed=seed).x
        else:
            x = self.labelled_sample(n, seed=seed, mean=mean, label=label, model=model)[0]
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
        self,
        n: int,
        *,
        seed: int = 0,
        mean: bool = False,
        label: str | int | Mapping[str, Any] | None = None,
        model: LatentVariableModel | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return samples as `sample` does, with the class [n] of each; None of a model without classes.

        Those of a mixed table are in stored form [n, D], as `Dataset.x` is. Another `model` than the run's own is one
        that draws from the same chain in another way.
        """
        if self.conditions is not None:
            return self.conditioned_sample(n, seed=seed, mean=mean, label=label, model=model)[0], None
        model = self.model if model is None else model
        self._check_size(n)
        classes, generator = self.classes, stream(seed, "sample", self.device)
        if label is not None and classes is None:
            raise UsageError(
                f"--label {label} cannot be asked of a run that knows no labels", "Train with --recipe conditional."
            )
        if mean and self.schema.columns is not None:
            raise UsageError("the mean of a row of names and numbers is no row", "Leave --mean out.")
        if classes is None:
            z, batch = model.simulate(n, generator)
            return self.shaped(latents.decode(model, z) if mean else batch.x), None
        if isinstance(label, Mapping):
            raise UsageError("this run learned from one label, and several were given", "Give its name: --label NAME.")
        chosen = None if label is None else classes.find(label)
        z, x, known = latents.simulate_classes(model, n, generator, chosen, len(classes))
        x = latents.decode(self.model, z, known if self.conditional else None) if mean else x
        return self.shaped(x), np.asarray(classes.values)[known.argmax(-1).cpu().numpy()]

    def conditioned_sample(
        self,
        n: int,
        *,
        seed: int = 0,
        mean: bool = False,
        label: str | int | Mapping[str, Any] | None = None,
        model: LatentVariableModel | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return samples of a model of several labels, and the labels [n, E] of each as their table stores them.

        Raises:
            UsageError: a label is absent, or a value is none that training rows had.
        """
        self._check_size(n)
        model = self.model if model is None else model
        conditions, generator = self.conditions, stream(seed, "sample", self.device)
        if conditions is None:
            raise UsageError("this run knows no labels of several columns", "Train with --labels A,B.")
        if mean and self.schema.columns is not None:
            raise UsageError("the mean of a row of names and numbers is no row", "Leave --mean out.")
        if label is None:  # drawn ones are rounded first, so that rows are of the labels that are beside them
            drawn = torch.as_tensor(self.model.contexts(n, generator)).cpu().numpy()
            stored = as_written(conditions.columns, conditions.values(drawn))
        else:
            stored = np.tile(conditions.stored(label if isinstance(label, Mapping) else {"": label}), (n, 1))
        context = torch.from_numpy(conditions.encoded(stored)).to(self.device, self.dtype)
        z, batch = model.simulate(n, generator, context)
        x = latents.decode(model, z, batch.context) if mean else batch.x
        return self.shaped(x), stored

    def _check_size(self, n: int) -> None:
        """Refuse a number of samples that memory has no room for."""
        require_integer(1, **{"-n": n})
        family = self.model.likelihood.family
        numbers = self.model.latent + family.size + 3 * family.dim  # of a draw, its parameters, and its data
        require_memory(n * numbers * self.dtype.itemsize, f"-n {n:,} samples", "Give a smaller -n.")

    def normalized_expression(
        self,
        data: Source | Part | None = None,
        *,
        batch: str | int | Sequence[str | int] | None = None,
        draws: int = 25,
        k: int = 1,
        size: float = 1.0,
        labels: Targets | None = None,
        seed: int = 0,
    ) -> Any:
        r"""Return the normalised expression of each cell [N, D], a DataFrame of cells and genes:

        .. math:: s \, E_{q(z | x)}\left[\mu_d(z, c) / \sum_{d'} \mu_{d'}(z, c)\right]

        with :math:`\mu` the mean count of p(x | z, c), without the zeros that a zero-inflated family adds. A row sums
        to s: the size of the cell plays no part.

        Args:
            data: rows, other than the run's own test rows.
            batch: c of a model with batches; by default that of each cell. Of several names the average is taken.
            draws: points z of each cell, over which the mean is taken.
            k: each point is one of k of the guide, by importance weight; with 1, q(z | x) is taken for the posterior.
            size: s, the sum of a row, such as 1e4.
            labels: batches of these rows, as for `evaluate`.
            seed: of all randomness.

        Raises:
            CompositionError: the model is not of counts.
            UsageError: there is no such batch, or a number is outside its range.
        """
        part = self.chosen(data, seed, labels=labels, own="all")
        how: dict[str, Any] = {"batch": batch, "draws": draws, "k": k, "size": size, "seed": seed}
        return expression_frame(part, expression_columns(self, part, **how))

    def differential_expression(
        self,
        data: Source,
        groups: tuple[Any, ...],
        *,
        labels: Targets | None = None,
        batches: str | int | Sequence[str | int] | None = None,
        corrected: bool = True,
        delta: float = DELTA,
        offset: float | None = None,
        fdr: float = FDR,
        pairs: int = PAIRS,
        cells: int = 1,
        k: int = 1,
        seed: int = 0,
    ) -> DifferentialExpression:
        r"""Return which genes have another share of the counts in group A than in group B, with probabilities.

        Of pairs of a random cell of each, :math:`\beta = \log_2(\rho_A + \epsilon) - \log_2(\rho_B + \epsilon)` at
        points of their posteriors, with shares :math:`\rho` as in `normalized_expression`; a gene changes with
        probability :math:`P(|\beta| > \delta)`. See `jensen.analysis.expression.changes`.

        Args:
            data: the cells.
            groups: (column, A, B), such as ("cell_type", "B", "T"), where B may be "rest"; or two masks [N].
            labels: batches of these cells, as for `evaluate`.
            batches: both cells of a pair are decoded at each of these in turn; by default at all of the training.
            corrected: with False each cell is decoded at its own batch.
            delta: the smallest change that counts, in powers of two.
            offset: epsilon; by default a tenth of a count in a cell of median size.
            fdr: expected share of false discoveries among the genes that are called.
            cells: of each group in a pair, over which shares are averaged: 1 asks whether a cell of A differs from one
                of B, and 50 or so whether their means do.
            pairs: drawn; a probability has a standard error of at most 0.5 / sqrt(pairs) by that.
            k: as in `normalized_expression`.
            seed: of all randomness.

        Raises:
            CompositionError: the model is not of counts.
            UsageError: groups share cells or have none, there is no such batch, or a number is outside its range.
            DataError: there is no such column.

        Source: Boyeau et al., "Deep generative models for detecting differential expression in single cells", 2019.
        """
        how: dict[str, Any] = {"labels": labels, "batches": batches, "corrected": corrected, "delta": delta}
        how |= {"offset": offset, "fdr": fdr, "pairs": pairs, "cells": cells, "k": k, "seed": seed}
        return differential_expression(self, data, groups, **how)

    def score(
        self,
        data: Source | Part | None = None,
        *,
        labels: Targets | None = None,
        k: int | None = None,
        columns: bool | None = None,
        measures: Sequence[str] = (),
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
            measures: "typicality", "regret", or both: further measures of each row with p-values of their own, by which
                a row is odd that is more likely than others of its kind, or that the encoder does not know; see
                `jensen.runs.row_measures.RowMeasure`.
            seed: of all Monte Carlo.
            watch: returns the progress callback of a phase.

        Raises:
            NotNormalised: the model has no density.
            CompositionError: columns are asked for, and depend on each other given z; or regret, of a guide without a
                network that proposes a Gaussian for each datum.
        """
        return score(self, data, labels=labels, k=k, columns=columns, measures=measures, seed=seed, watch=watch)

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
