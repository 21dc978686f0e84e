"""Predictions of a column as the model sees them, in the data's own units and names."""

from __future__ import annotations

import numpy as np
import torch

from ..analysis.conditional_prediction import ColumnPrediction
from ..data.cells import decode
from ..data.columns import Column
from ..data.determined import finder, values_of
from .data import RunData

__all__ = ["INTERVAL", "column_at", "levels_of", "names_of", "numbers_of", "probabilities_of"]

INTERVAL = 0.9  # of predicted numbers


def column_at(run: RunData, index: int) -> Column | None:
    """Return what is known of a column of a mixed table; None of other tables."""
    return None if run.schema.columns is None else run.schema.columns[index]


def names_of(run: RunData, index: int, column: str) -> tuple[str, ...]:
    """Return the names of the levels of a column that is asked for: it, or the one that determines it, is predicted."""
    levels, determined = levels_of(run, index), finder(run.schema.columns or (), column)
    if determined is None or not levels:
        return levels
    return tuple(decode(determined[1].column, values_of(determined[1], np.arange(float(len(levels))))).tolist())


def levels_of(run: RunData, index: int) -> tuple[str, ...]:
    """Return the names of the levels of a column; empty for numbers."""
    column = column_at(run, index)
    if column is not None:
        return column.levels
    return ("0", "1") if run.schema.kind == "binary" else ()


def probabilities_of(drawn: ColumnPrediction, levels: tuple[str, ...]) -> np.ndarray | None:
    """Return the probabilities [N, L] of levels; of bits from their mean."""
    if not levels:
        return None
    p = drawn.summary.double().cpu().numpy()
    p = np.concatenate([1 - p, p], 1) if p.shape[1] == 1 and len(levels) == 2 else p
    return p / p.sum(1, keepdims=True)


def numbers_of(
    run: RunData, drawn: ColumnPrediction, index: int, column: Column | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean [N], and the median between the ends of the interval [3, N], in the data's own units."""
    m = len(torch.as_tensor(drawn.draws))
    places = [min(max(round(q * m - 0.5), 0), m - 1) for q in ((1 - INTERVAL) / 2, 0.5, (1 + INTERVAL) / 2)]
    draws = torch.as_tensor(drawn.draws).double().cpu().numpy()
    summary = drawn.summary.double().cpu().numpy()
    if column is None or column.kind != "circular":
        return _inverted(run, summary[:, 0], index), np.stack([_inverted(run, draws[i], index) for i in places])
    mean = np.arctan2(summary[:, 1], summary[:, 0])
    away = np.sort(_wrapped(draws - mean), 0)  # quantiles of a circle are about its mean
    ends = [_inverted(run, _wrapped(mean + away[i]), index) for i in places]
    return _inverted(run, mean, index), np.stack(ends)


def _wrapped(angle: np.ndarray) -> np.ndarray:
    """Return angles in [-pi, pi)."""
    return np.mod(angle + np.pi, 2 * np.pi) - np.pi


def _inverted(run: RunData, values: np.ndarray, index: int) -> np.ndarray:
    """Return values [N] of one column of the model's space in the data's own units."""
    x = np.zeros((len(values), run.schema.size))
    x[:, index] = values
    noise = 0.5 if run.preparation.dequantize else 0.0  # the model is of x + u, u in [0, 1)
    return run.preparation.invert(x)[:, index] - noise
