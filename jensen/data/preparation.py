"""Preparation of data for the model: binarisation, dequantisation, standardisation, with the log-Jacobian.

A density p' of x' = (x - center) / scale gives the density of x: log p(x) = log p'(x') - sum_d log scale_d.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..core.batch import Rows
from ..core.errors import CorruptRunError, DataError, UsageError
from ..core.wording import plural
from .agreement import constant_columns, extremes
from .column_scales import column_scales, inside_ends, shifted_columns
from .column_statistics import pieces
from .columns import Column
from .conversions import BinaryDraw, Cast
from .dataset import chunks
from .file_rows import Array, ColumnRows, FileRows
from .hashed_split import RowNumbers
from .magnitudes import are_safe, check_magnitudes
from .schema import Schema
from .statistics import center_and_scale, column_means, row_sums
from .streams import StreamedRows

__all__ = ["Binarize", "Preparation", "Standardize", "constant_columns"]

Binarize = Literal["static", "dynamic", "threshold"]
Standardize = Literal["none", "global", "feature"]


def _check_fit(schema: Schema, binarize: str | None, dequantize: bool, standardize: str) -> None:
    """Refuse steps that do not go together, before any work.

    Raises:
        UsageError: naming them.
    """
    if binarize is not None and binarize not in get_args(Binarize):
        choices = ", ".join(get_args(Binarize))
        raise UsageError(f"--binarize must be one of {choices}, got {binarize}", f"Choose from {choices}.")
    if standardize not in get_args(Standardize):
        choices = ", ".join(get_args(Standardize))
        raise UsageError(f"--standardize must be one of {choices}, got {standardize}", f"Choose from {choices}.")
    if schema.kind == "mixed" and (binarize or dequantize or standardize != "none"):
        what = "the columns of a table of mixed kinds are prepared each by its kind"
        raise UsageError(what, "Leave --binarize, --dequantize and --standardize out.")
    if binarize and schema.kind == "binary":
        raise UsageError("the data are already binary", "Leave --binarize out.")
    if binarize and (dequantize or standardize != "none"):
        raise UsageError("binarised data are neither dequantised nor standardised", "Choose one of them.")
    if dequantize and schema.kind != "integers":
        raise UsageError(f"only integers can be dequantised, got {schema.kind} data", "Leave --dequantize out.")
    if standardize != "none" and schema.kind != "real" and not dequantize:
        remedy = "Dequantise them first." if schema.kind == "integers" else "Leave --standardize out."
        raise UsageError(f"{schema.kind} data have no density, so they cannot be standardised", remedy)


def _check_columns(schema: Schema, mask: np.ndarray | None) -> None:
    """Refuse rows without an observed entry in some column.

    Raises:
        DataError: naming the first such column.
    """
    empty = np.flatnonzero([] if mask is None else ~mask.any(axis=0))
    if len(empty):
        name = repr(schema.names[empty[0]]) if schema.names else str(empty[0])
        raise DataError(
            f"{plural(len(empty), 'column')} of the training rows have no observed entry, first {name} (from 0)",
            "Drop these columns, or give more rows or another --split-seed.",
        )


def _check_unit(x: Array) -> None:
    """Refuse reals outside [0, 1].

    Raises:
        DataError: naming their range.
    """
    low, high = (np.min(x), np.max(x)) if isinstance(x, np.ndarray) else (np.min(extremes(x)), np.max(extremes(x)))
    if low < 0 or high > 1:
        raise DataError(
            f"grey levels must be from 0 to 1 to be binarised, got values from {low:g} to {high:g}",
            "Scale them to 0..1, or leave --binarize out.",
        )


def _top(schema: Schema) -> int:
    """Return the largest value of integers; 1 of other data."""
    return 1 if schema.levels is None else schema.levels - 1


def _shortened(values: np.ndarray) -> np.ndarray:
    """Return numbers with the digits of single precision, as far as they are in its range."""
    largest = float(np.finfo(np.float32).max)
    return np.where(np.abs(values) > largest, values, values.clip(-largest, largest).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Preparation:
    """The steps from stored data to the input of the model: binarisation, or dequantisation and standardisation.

    Attributes:
        binarize: "static" (drawn once), "dynamic" (drawn anew whenever a row is taken), both with
            P(1) = x / (levels - 1), "threshold" (above half the range); None leaves values as they are.
        dequantize: True for x + u with u ~ U[0, 1), drawn once (Theis, van den Oord and Bethge, 2016).
        center: [D] float64, subtracted.
        scale: [] or [D] float64, divided by.
        seed: of all draws that are made once.
        fill: [D], the mean of the model's input, which replaces missing entries; with a `center`, None for 0.

    Example:
        >>> schema = Schema("real", (2,))
        >>> x = np.array([[0.0, 1.0], [2.0, 5.0]])
        >>> preparation = Preparation.fit(x, schema, standardize="feature")
        >>> preparation.rows(x, schema).stored
        tensor([[-1., -1.],
                [ 1.,  1.]])
        >>> round(preparation.log_jacobian(2), 4)
        -0.6931
    """

    binarize: Binarize | None = None
    dequantize: bool = False
    center: np.ndarray | None = None
    scale: np.ndarray | None = None
    seed: int = 0
    fill: np.ndarray | None = None

    @staticmethod
    def fit(
        x: Array,
        schema: Schema,
        *,
        mask: np.ndarray | None = None,
        binarize: Binarize | None = None,
        dequantize: bool = False,
        standardize: Standardize = "none",
        seed: int = 0,
        floor: float | None = None,
    ) -> Preparation:
        """Return the steps, with statistics of the training rows [N, D] in float64.

        Args:
            x: the training rows, as stored.
            schema: of the data.
            mask: [N, D], True where observed; statistics are of these entries alone.
            binarize: see the class.
            dequantize: see the class; statistics are expectations over the noise.
            standardize: "global" centres each column and divides all by one number, the root mean square of the
                centred values; "feature" divides each column by its standard deviation, a constant one by 1.
            seed: of all draws that are made once.
            floor: the smallest scale to divide by, in the data's units.

        Raises:
            UsageError: the steps do not suit the kind of data, or each other.
            DataError: reals to binarise are outside [0, 1], or a column has no observed entry.
        """
        _check_fit(schema, binarize, dequantize, standardize)
        _check_columns(schema, mask)
        if binarize and schema.kind == "real":
            _check_unit(x)
        if schema.columns is not None:
            center, scale, fill = column_scales(x if isinstance(x, ColumnRows) else x[:], mask, schema.columns)
            return Preparation(None, False, center, scale, seed, fill)
        if standardize == "none":
            mean = column_means(x, mask)[0] + (0.5 if dequantize else 0.0)
            top = (schema.levels or 2) - 1 if binarize else 1
            # a few digits are enough for the input of a guide, and keep a specification short
            return Preparation(binarize, dequantize, seed=seed, fill=_shortened(mean / top))
        center, scale = center_and_scale(x, mask, dequantize, standardize, floor)
        return Preparation(None, dequantize, center, scale, seed)

    def rows(
        self,
        x: Array,
        schema: Schema,
        *,
        mask: np.ndarray | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        stream: int = 0,
        numbers: np.ndarray | RowNumbers | None = None,
        what: str = "the data",
    ) -> Rows:
        """Return rows [N, D] of the stored data as a source of batches, after the steps that are done once.

        Bytes stay bytes on the device until a batch is taken. Reals are computed in float64, and stored as float32
        (float64 if `dtype` is).

        Args:
            x: rows of `Dataset.x`; those in files stay there, and become the same numbers when they are read.
            schema: of the data.
            mask: [N, D], True where observed; None if all entries are.
            device: of the rows.
            dtype: of the batches.
            stream: number of the random stream (training, validation, test); equal rows, seed and stream give equal
                bits.
            numbers: [N] of the rows in their file, by which errors name them; by default from 0.
            what: the name of the rows in errors.

        Raises:
            DataError: the rows do not have the schema's size, reals to binarise are outside [0, 1], or prepared values
                are so large that their squares overflow.
            UsageError: integers in files are to be binarised once, so that all bits would have to be kept.
        """
        if x.ndim != 2 or x.shape[1] != schema.size:
            raise DataError(
                f"rows must have the shape [N, {schema.size}] of the schema, got {x.shape}", "Give [N, D] rows."
            )
        if self.binarize and schema.kind == "real":
            _check_unit(x)
        prepare = BinaryDraw(_top(schema), dtype) if self.binarize == "dynamic" else Cast(dtype)
        real = torch.float64 if dtype == torch.float64 else torch.float32
        how = partial(self._stored, schema=schema, real=real, stream=stream)
        if isinstance(x, FileRows) and not isinstance(x, ColumnRows):
            self._check_streamed(x, schema, how, numbers, what)
            draws, kept = self.dequantize or self.binarize == "static", torch.from_numpy(how(x[:0], 0)).dtype
            tensor = StreamedRows(x, how, kept, device, draws=draws)
        else:
            stored = self._of_columns(x, schema.columns or (), dtype) if isinstance(x, ColumnRows) else how(x, 0)
            if self._makes_reals(schema):
                check_magnitudes(stored, x, mask, numbers, schema.names, what)
            tensor = torch.from_numpy(stored if stored.flags.writeable else stored.copy()).to(device)
        rows = Rows(tensor, None if isinstance(prepare, Cast) and tensor.dtype == dtype else prepare)
        return rows if mask is None else self.masked(rows, mask)

    def _makes_reals(self, schema: Schema) -> bool:
        return self.binarize is None and (schema.kind == "real" or self.dequantize or self.scale is not None)

    def _stored(self, x: np.ndarray, start: int, *, schema: Schema, real: torch.dtype, stream: int) -> np.ndarray:
        """Return rows after the steps that are done once; they are those from `start` of all rows of their stream."""
        rng = np.random.default_rng([self.seed, stream])
        if start:
            rng.bit_generator.advance(start * schema.size)  # pyright: ignore[reportAttributeAccessIssue]
        if self.binarize == "dynamic":
            return x.astype(np.float32, copy=False) if schema.kind == "real" else x
        if self.binarize is not None:
            return self._binarized(x, schema, _top(schema), rng)
        if self._makes_reals(schema):
            reals = self._real(x, np.float64 if real == torch.float64 else np.float32, rng)
            return reals if schema.columns is None else inside_ends(reals, x, schema.columns)
        return x

    def _of_columns(self, x: ColumnRows, columns: Sequence[Column], dtype: torch.dtype) -> np.ndarray:
        """Return rows of a mixed table as `_stored` does, one column at a time."""
        x.let_go()  # in the room that columns took, no large array would fit
        result = np.empty(x.shape, dtype=np.float64 if dtype == torch.float64 else np.float32)
        for i, column in enumerate(columns):
            center, scale = (None if v is None else v[[i]] for v in (self.center, self.scale))
            own, values = replace(self, center=center, scale=scale), x.column(i)[:, None]
            result[:, i] = inside_ends(own._real(values, result.dtype.type, None), values, [column])[:, 0]
        x.let_go()
        return result

    def _check_streamed(
        self,
        x: FileRows,
        schema: Schema,
        stored: Callable[[np.ndarray, int], np.ndarray],
        numbers: np.ndarray | RowNumbers | None,
        what: str,
    ) -> None:
        """Refuse rows in files that cannot be prepared as they are read.

        Raises:
            UsageError, DataError: see `rows`.
        """
        if self.binarize == "static" and schema.kind == "integers":
            raise UsageError(
                "rows that stay in their files cannot be binarised once: all bits would have to be kept",
                "Give --binarize dynamic or threshold; or read the rows into memory: --in-memory.",
            )
        if not self._makes_reals(schema) or not len(x):
            return
        low, high = extremes(x)
        if not are_safe(*stored(np.stack([low, high]), 0)):
            for start, part in pieces(x):
                own = np.arange(start, start + len(part)) if numbers is None else numbers[start : start + len(part)]
                check_magnitudes(stored(part, start), part, None, own, schema.names, what)

    def masked(self, rows: Rows, mask: np.ndarray) -> Rows:
        """Return the rows with a mask [N, D], True where observed; other entries are neither seen nor scored."""
        fill = np.zeros(mask.shape[1]) if self.fill is None else self.fill
        dtype = torch.float64 if rows.device.type != "mps" else torch.float32
        filled = torch.as_tensor(fill, dtype=dtype, device=rows.device)
        return replace(rows, mask=torch.from_numpy(mask).to(rows.device), fill=filled)

    def _binarized(self, x: np.ndarray, schema: Schema, top: int, rng: np.random.Generator) -> np.ndarray:
        """Return bits that are drawn once, or decided by a threshold."""
        if self.binarize == "threshold":
            return (x > top / 2).astype(np.uint8)
        if schema.kind == "integers":
            return (rng.integers(0, top, size=x.shape, dtype=x.dtype) < x).astype(np.uint8)
        bits = np.empty(x.shape, dtype=np.uint8)
        for start, part in chunks(x):
            bits[start : start + len(part)] = rng.random(part.shape) < part
        return bits

    def _real(self, x: np.ndarray, dtype: type, rng: np.random.Generator | None) -> np.ndarray:
        """Return reals, dequantised and standardised; those beyond the range of `dtype` are infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            if not self.dequantize and self.scale is None:
                return np.ascontiguousarray(x, dtype=dtype)
            result = np.empty(x.shape, dtype=dtype)
            for start, part in chunks(x):
                values = part + rng.random(part.shape) if rng and self.dequantize else part.astype(np.float64)
                if self.center is not None:
                    values -= self.center
                if self.scale is not None:
                    values /= self.scale
                result[start : start + len(part)] = values
            return result

    def outcome(self, schema: Schema) -> Schema:
        """Return the schema of the prepared data, which the model sees."""
        if self.binarize is not None:
            return replace(schema, kind="binary", levels=None)
        if schema.columns is not None and self.center is not None:
            return replace(schema, columns=shifted_columns(schema.columns, self.center))
        if schema.kind != "mixed" and (self.dequantize or self.scale is not None):
            return replace(schema, kind="real", levels=None)
        return schema

    def log_jacobian(self, size: int) -> float:
        """Return -sum_d log scale_d over D = `size` features, 0 without a scale.

        Added to the model's log-density, in nats, it gives that in the data's own units.
        """
        if self.scale is None:
            return 0.0
        return -math.fsum(np.log(np.broadcast_to(self.scale, (size,))))

    def log_jacobians(self, mask: np.ndarray) -> np.ndarray:
        """Return the log-Jacobian of the observed entries of each row: [N] from a mask [N, D]."""
        if self.scale is None:
            return np.zeros(len(mask))
        return -row_sums(mask, np.log(np.broadcast_to(self.scale, mask.shape[1:])))

    def invert(self, x: Tensor | np.ndarray) -> np.ndarray:
        """Return x [..., D] of the model's space in the data's units: x * scale + center, in float64 with a scale."""
        values = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
        if self.scale is not None:
            values = values.astype(np.float64) * self.scale
        return values if self.center is None else values + self.center

    def describe(self, schema: Schema) -> str:
        """Return the preparation in words.

        Example:
            >>> Preparation().describe(Schema("integers", (8, 8, 1), levels=17))
            '17 levels, no binarisation'
        """
        if self.binarize is not None:
            how = {"static": f"once (seed {self.seed})", "dynamic": "dynamically", "threshold": "at half the range"}
            return f"binarised {how[self.binarize]}"
        if schema.kind in ("binary", "mixed"):
            return "binary values" if schema.kind == "binary" else "columns of mixed kinds, each in its own unit"
        values = {None: "real values", 256: "8-bit values"}.get(schema.levels, f"{schema.levels} levels")
        if self.dequantize:
            values += f" dequantised by uniform noise (seed {self.seed})"
        if self.scale is not None:
            return f"{values}, standardised {'per feature' if self.scale.ndim else 'by one scale'}"
        return f"{values}, no binarisation" if schema.kind == "integers" and not self.dequantize else values

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable values, from which `from_dict` makes a bit-identical preparation."""
        return {
            "binarize": self.binarize,
            "dequantize": self.dequantize,
            "center": None if self.center is None else self.center.tolist(),
            "scale": None if self.scale is None else self.scale.tolist(),
            "seed": self.seed,
            "fill": None if self.fill is None else self.fill.tolist(),
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Preparation:
        """Return the preparation from the result of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing or of the wrong type.
        """
        try:
            center, scale, fill = (
                None if v is None else np.asarray(v, dtype=np.float64)
                for v in (plain["center"], plain["scale"], plain.get("fill"))  # which older runs lack
            )
            return Preparation(plain["binarize"], bool(plain["dequantize"]), center, scale, int(plain["seed"]), fill)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptRunError(
                f"the record of the data's preparation cannot be read ({error!r})", "The specification is damaged."
            ) from error
