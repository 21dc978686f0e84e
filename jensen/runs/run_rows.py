"""The part of a run that deals with rows of data: their codes, reconstructions and missing entries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..analysis.chain_paths import reconstruct_from_noise
from ..analysis.clusters import cluster_probabilities, require_clusters
from ..analysis.imputation import impute
from ..core.errors import CompositionError, DataError, UsageError
from ..core.memory import require_memory
from ..core.random import stream
from ..data.determined import tells_any
from ..data.table_values import as_written
from ..estimators.denoising import Corruption, corrupted_rows
from ..evaluate.estimate import ProgressCallback
from ..families import Columns
from .chain_samples import noise_option
from .completion_pieces import completions
from .data import RunData, Source, Targets
from .evaluation import Part
from .expression import batch_contexts
from .impute import Completion, complete, hide
from .pieces import ROWS, InPieces, row_pieces, stays_in_files
from .players import recorded_corruption
from .table_completion import PointSettings, TableCompletion, complete_table
from .table_results import encoded_table, reconstructed_table

__all__ = ["RunRows"]

FRAMES = ("pandas", "polars", "arrow")  # tables in memory, for which results are such tables too


class RunRows(RunData):
    """The part of a `Run` that deals with rows of data; see there."""

    @property
    def corruption(self) -> Corruption | None:
        """The noise on what the guide saw in training; None where it saw the data."""
        return recorded_corruption(self.spec)

    def corrupted(self, data: Source | Part | None = None, *, seed: int = 0) -> Part:
        """Return rows with the noise of the training, drawn once, for other verbs to start from; `x` stays the clean
        data.

        Raises:
            UsageError: the run was trained without noise.
        """
        if self.corruption is None:
            raise UsageError("this run was trained without noise", "Train with --recipe denoising-vae.")
        part = self.chosen(data, seed, own="all")
        noise = stream(seed, "corrupt", self.device)
        return replace(part, rows=corrupted_rows(part.rows, self.corruption, noise), name=f"{part.name}, with noise")

    def active_features(self) -> np.ndarray:
        """Return whether the posterior mean of each latent feature [Z] has a variance over training rows above 0.01."""
        rows = self.part("train").rows
        return latents.active_features(self.model, self.guide, rows, self.class_features).cpu().numpy()

    @property
    def class_features(self) -> int:
        """The number of latent features, the first ones, that code a class known of some rows."""
        return len(self.classes) if self.classes is not None and self.classes.role == "partial" else 0

    def shaped(self, x: torch.Tensor) -> np.ndarray:
        """From the model's space [N, D] to the data's units and shape [N, H, W, C] or [N, D]."""
        return self.preparation.invert(x).reshape(len(x), *self.schema.shape)

    def encode(self, data: Source | Part | None = None, *, labels: Targets | None = None, seed: int = 0) -> Any:
        """Return the mean of q(z | x) [N, Z].

        For a DataFrame or an Arrow table, with a model of a mixed table, it is a table of the same library, with the
        same index and the columns z1, z2, ...
        """
        part = self.chosen(data, seed, labels=labels, own="all")
        codes = latents.encode(self.model, self.guide, part.rows).cpu().numpy()
        if not self._is_frame(data, part):
            return codes
        names = [f"z{i + 1}" for i in range(codes.shape[1])]
        return encoded_table(part, self.schema.columns or (), codes, names, identified=False).data

    def clusters(
        self, data: Source | Part | None = None, *, labels: Targets | None = None, seed: int = 0
    ) -> np.ndarray:
        """Return the probabilities [N, C] of the C clusters of each datum; see
        `jensen.analysis.clusters.cluster_probabilities`.

        Raises:
            CompositionError: the latent is no class, and the prior no mixture.
        """
        require_clusters(self.model, self.guide)  # before any row is read
        rows = self.chosen(data, seed, labels=labels, own="all").rows
        return cluster_probabilities(self.model, self.guide, rows, seed).cpu().numpy()

    def reconstruct(
        self,
        data: Source | Part | None = None,
        *,
        labels: Targets | None = None,
        seed: int = 0,
        sample: bool = False,
        batch: str | int | None = None,
        from_noise: float | None = None,
        steps: int | None = None,
        ddim: bool = False,
    ) -> Any:
        """Return a reconstruction of each datum [N, ...], in the data's own units: a mean, or a sample.

        With a `batch` (or the label of a conditional model) z is that of the datum, and x | z is of that batch.

        Of a diffusion, noise is added up to the time `from_noise`, above 0 and at most 1, and taken off again by the
        chain; `steps` (of the whole way from t = 1) and `ddim` are as in `sample`.

        For a DataFrame or an Arrow table, with a model of a mixed table, it is a table of the same library, index,
        columns and types; names are the most probable ones.
        """
        part = self.chosen(data, seed, labels=labels, own="all")
        noise = {"from_noise": from_noise, "steps": steps, "ddim": ddim}
        parts = list(self.reconstructions(part, seed=seed, sample=sample, batch=batch, **noise))
        x = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return reconstructed_table(part, self.schema.columns or (), x).data if self._is_frame(data, part) else x

    def reconstructions(
        self,
        part: Part,
        *,
        seed: int = 0,
        sample: bool = False,
        batch: str | int | None = None,
        from_noise: float | None = None,
        steps: int | None = None,
        ddim: bool = False,
    ) -> Iterator[np.ndarray]:
        """Yield the reconstructions of the pieces of a part [n, ...], as `reconstruct` returns those of all rows."""
        how: Any = {"sample": sample, "generator": stream(seed, "reconstruct", self.device)}
        how |= {"context": next(iter(batch_contexts(self, batch)), None)}
        from_time = noise_option(self, from_noise, steps, ddim)
        for rows in row_pieces(part):
            if from_time is None:
                x = self.shaped(latents.reconstruct(self.model, self.guide, rows, **how))
            else:
                x = self.shaped(reconstruct_from_noise(self.model, self.guide, rows, *from_time, **how))
            yield x if self.schema.columns is None else as_written(self.schema.columns, x)

    def impute(
        self,
        data: Source | Part | None = None,
        *,
        m: int | None = None,
        point: str | None = None,
        intervals: float | None = None,
        method: str | None = None,
        k: int | None = None,
        steps: int | None = None,
        hidden: np.ndarray | None = None,
        labels: Targets | None = None,
        seed: int = 0,
        watch: ProgressCallback | None = None,
    ) -> Any:
        """Complete what is missing, given what is observed: by draws, or by one value each; see `completion`.

        For a DataFrame or an Arrow table, with a model of a mixed table, the result is the completed table, of the same
        library, index, columns and types: by the points and with the intervals that are asked for, by default the
        means; or with `m` a list of m tables, each with one draw. For any other data it is the `Completion`, or the
        `TableCompletion`, of which these can be had.

        Args:
            data: rows with missing entries (NaN), other than the run's own test rows.
            m: versions of each datum, by default 5.
            point, intervals, method, k, steps, hidden, labels, seed, watch: see `completion`.

        Raises:
            UsageError: both draws and points are asked for.
        """
        if m is not None and (point is not None or intervals is not None):
            raise UsageError(
                "m draws, and points or intervals, are asked for at once",
                "Leave m out, or point and intervals; run.completion has all of them.",
            )
        part = self.chosen(data, seed, True, labels, own="all")
        completion = self.completion(
            part,
            m=(1 if self.schema.columns is not None else 5) if m is None else m,
            point=point,
            intervals=intervals,
            method=method,
            k=k,
            steps=steps,
            hidden=hidden,
            seed=seed,
            watch=watch,
        )
        if not (isinstance(completion, TableCompletion) and self._is_frame(data, part)):
            return completion
        return completion.table().data if m is None else [table.data for table in completion.versions()]

    def completion(
        self,
        data: Source | Part | None = None,
        *,
        m: int = 5,
        point: str | None = None,
        intervals: float | None = None,
        method: str | None = None,
        k: int | None = None,
        steps: int | None = None,
        hidden: np.ndarray | None = None,
        labels: Targets | None = None,
        seed: int = 0,
        watch: ProgressCallback | None = None,
    ) -> Completion | TableCompletion:
        """Draw what is missing m times, given what is observed; see `jensen.analysis.imputation.impute`.

        Args:
            data: rows with missing entries (NaN), other than the run's own test rows.
            m: versions of each datum.
            point: of a mixed table, the one value of each missing number: "mean", "median" or "mode"; by default the
                median of counts and the mean of others. That of a name is the most probable one, and with "median" the
                middle one of ordered names.
            intervals: of a mixed table, the probability that an interval for each missing number has.
            method: "sir", "gibbs" for Metropolis-within-Gibbs from there on, or "annealed"; of a diffusion
                "particles".
            k: points per datum of the importance weights, annealed chains, or particles.
            steps: of each chain, temperatures, or steps of particles.
            hidden: [N, D] or [D], True where entries are to be taken for missing, whatever they are.
            labels: of these rows, as for `evaluate`.
            seed: of all randomness.
            watch: progress callback, called with the fraction done, 0 to 1.

        Raises:
            CompositionError: the likelihood does not factorise over features.
            DataError: nothing is missing of images.
            UsageError: points or intervals of data that are no mixed table, or of another kind.
        """
        settings = self._point_settings(point, intervals)
        original = self.chosen(data, seed, True, labels, own="all").loaded()
        part = self._with_holes(original, hidden)
        needed = 8 * m * math.prod(part.x.shape)
        require_memory(needed, f"-m {m:,} versions of {len(part.rows):,} rows", "Give a smaller -m, or fewer rows.")
        drawn = impute(
            self.model,
            self.guide,
            part.rows,
            m,
            method=method,
            k=k,
            steps=steps,
            seed=seed,
            watch=watch,
            statistics=None if settings is None else settings.statistics,
        )
        if settings is None:
            return complete(part, drawn, original, self.schema, self.preparation)
        return complete_table(part, drawn, original, settings, self.preparation)

    def completions(
        self,
        data: Source | Part | None = None,
        *,
        m: int = 1,
        point: str | None = None,
        intervals: float | None = None,
        method: str | None = None,
        k: int | None = None,
        steps: int | None = None,
        hidden: np.ndarray | None = None,
        labels: Targets | None = None,
        seed: int = 0,
        watch: ProgressCallback | None = None,
        size: int = ROWS,
    ) -> InPieces[TableCompletion]:
        """Return completions of so many rows after another of a mixed table that stays in its files: their cells are
        those of `completion`.

        Args:
            data, m, point, intervals, method, k, steps, hidden, labels, seed, watch: see `completion`.
            size: rows of each; the last may have fewer.

        Raises:
            UsageError: the rows are in memory. Further errors: see `completion`.
        """
        settings = self._point_settings(point, intervals)
        original = self.chosen(data, seed, True, labels, own="all")
        if settings is None or not stays_in_files(original):
            raise UsageError(f"{original.name} are in memory", "Use completion.")
        part, how = self._with_holes(original, hidden), {"method": method, "k": k, "steps": steps, "seed": seed}
        return completions(self, part, original, settings, m, size=size, watch=watch, **how)

    def _with_holes(self, part: Part, hidden: np.ndarray | None) -> Part:
        """Return rows with a mask, in which more entries are missing where `hidden` is True."""
        part = part if hidden is None else hide(part, hidden, self.preparation)
        return self._complete(part) if part.mask is None else part

    def _complete(self, part: Part) -> Part:
        """Return rows without missing entries as rows some of which could be, with a note.

        Raises:
            DataError: they are images.
        """
        if self.schema.is_image:
            raise DataError(f"{part.name} have no missing entries", "Give data with NaN, or hide some with --mask.")
        kind = "entries" if self.schema.columns is None else "cells"
        columns = self.schema.columns
        is_filled = columns is not None and part.frame is not None and tells_any(columns, part.frame)
        rest = " but those that other columns tell" if is_filled else ": they are given back as they are"
        note = f"{part.name} have no missing {kind}{rest}"
        whole = hide(part, np.zeros(self.schema.size, dtype=bool), self.preparation)
        return replace(whole, notes=(*part.notes, note))

    def _point_settings(self, point: str | None, intervals: float | None) -> PointSettings | None:
        """Return how the missing cells of a mixed table are filled; None of other data.

        Raises:
            UsageError, CompositionError: see `completion`.
        """
        columns, family = self.schema.columns, self.model.likelihood.family
        if columns is None:
            if point is not None or intervals is not None:
                raise UsageError(
                    "points and intervals are of tables whose columns have kinds of their own, and these data are none",
                    "Leave point and intervals out: the mean is in the result.",
                )
            return None
        if not isinstance(family, Columns):
            raise CompositionError(
                f"{family.phrase} has no points for columns of several kinds", "Train with --likelihood columns."
            )
        return PointSettings(columns, family, point or "auto", intervals, self.model.likelihood.missing_summary)

    def _is_frame(self, data: Source | Part | None, part: Part) -> bool:
        """Return whether results are tables of a library, as the data are that the user gave."""
        given = data is not None and not isinstance(data, Part)
        return given and part.frame is not None and part.frame.source_kind in FRAMES
