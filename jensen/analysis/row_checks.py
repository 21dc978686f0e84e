"""Rows of a model beside rows of data: told apart by a classifier, and their distances to training rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.columns import Column

__all__ = ["Distinguished", "Nearness", "distinguish", "nearest_distances", "nearness", "ranked"]

FOLDS = 5
MOST_LEVELS = 255  # that the classifier's trees take as categories; beyond, levels are taken as numbers
NAMED = 3  # columns by which rows are told apart
CHUNK = 1 << 18  # distances at a time, which a processor's cache holds
COPY = 1e-6  # a distance from here on is one


def ranked(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return P(a > b) + P(a = b) / 2, the area under the ROC curve of scores [N] and [M], with its standard error.

    Source: DeLong, DeLong & Clarke-Pearson, "Comparing the areas under two or more correlated ROC curves", 1988.

    Example:
        >>> ranked(np.array([1.0, 3.0]), np.array([0.0, 2.0]))[0]
        0.75
    """

    def wins(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        ordered = np.sort(y)
        return (np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")) / (2 * len(y))

    of_a, of_b = wins(a, b), 1.0 - wins(b, a)
    variance = sum(float(v.var(ddof=1)) / len(v) if len(v) > 1 else math.inf for v in (of_a, of_b))
    return float(of_a.mean()), math.sqrt(variance)


@dataclass(frozen=True)
class Distinguished:
    """A classifier of rows of a model against rows of data, measured on rows that it was not fitted to.

    Attributes:
        auc: probability that it ranks a row of the model above one of the data; 0.5 is chance, 1 always.
        stderr: its standard error over rows.
        n: rows of each.
        columns: names of columns, with the AUC that is lost in the first fold when the classifier is given the column's
            values in another order, largest first.
    """

    auc: float
    stderr: float
    n: int
    columns: tuple[tuple[str, float], ...]


def distinguish(columns: Sequence[Column], data: np.ndarray, drawn: np.ndarray, *, seed: int = 0) -> Distinguished:
    """Fit gradient-boosted trees to tell rows of a model from rows of data, and measure them on the other fold of five.

    Where a cell of the data is missing, the same cell of a row of the model is too.

    Source: Lopez-Paz & Oquab, "Revisiting classifier two-sample tests", 2017.

    Args:
        columns: the D columns.
        data, drawn: [N, D] stored values, NaN where missing.
        seed: of folds, classifiers and orders.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # takes half a second to import

    n = min(len(data), len(drawn))
    data, drawn = data[:n], drawn[:n]
    x = np.concatenate([data, np.where(np.isnan(data), np.nan, drawn)])
    label = np.repeat([0, 1], n)
    rng = np.random.default_rng(seed)
    # a row of the model is in the fold of the row that it has its missing cells from
    fold = np.tile(rng.permutation(n) % FOLDS, 2)
    is_category = [column.is_levelled and len(column.levels) <= MOST_LEVELS for column in columns]
    areas, variances, loss = [], [], np.zeros(len(columns))
    for part in range(FOLDS):
        trees = HistGradientBoostingClassifier(
            categorical_features=is_category,  # pyright: ignore[reportArgumentType]
            early_stopping=True,  # pyright: ignore[reportArgumentType]
            random_state=seed,
        )
        trees.fit(x[fold != part], label[fold != part])
        held, truth = x[fold == part], label[fold == part]
        auc, stderr = _area(trees.decision_function(held), truth)
        areas.append(auc)
        variances.append(stderr**2)
        if part == 0:  # one fold is enough to name columns
            others = _shuffled(held, rng)
            loss = np.array([auc - _area(trees.decision_function(other), truth)[0] for other in others])
    order = [int(i) for i in np.argsort(-loss) if loss[i] > 0][:NAMED]
    named = tuple((columns[i].name, float(loss[i])) for i in order)
    return Distinguished(float(np.mean(areas)), math.sqrt(sum(variances)) / FOLDS, n, named)


def _area(scores: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    return ranked(scores[label == 1], scores[label == 0])


def _shuffled(x: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the rows [N, D] with the values of each column in turn in a random order."""
    others = []
    for i in range(x.shape[1]):
        other = x.copy()
        other[:, i] = rng.permutation(x[:, i])
        others.append(other)
    return others


@dataclass(frozen=True)
class Nearness:
    """Distances to the nearest training row, of rows of a model and of rows that were not trained on.

    Attributes:
        drawn, held_out: median distance.
        drawn_low, held_out_low: the distance that one in twenty is below.
        drawn_copies, held_out_copies: share of rows that equal a training row.
        nearer: probability that a row of the model is nearer than a held-out row, ties in part; 0.5 of new rows.
        stderr: its standard error.
        n: rows of the model; n_held_out of the others, n_training of the training.
    """

    drawn: float
    held_out: float
    drawn_low: float
    held_out_low: float
    drawn_copies: float
    held_out_copies: float
    nearer: float
    stderr: float
    n: int
    n_held_out: int
    n_training: int


def nearness(columns: Sequence[Column], drawn: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> Nearness:
    """Compare the distances of rows of a model to their nearest training rows with those of held-out rows.

    Args:
        columns: the D columns.
        drawn, held_out, training: rows [., D] of stored values, NaN where missing. Cells that a held-out row lacks are
            taken for missing in a row of the model too, so that both have equally many to be compared by.
    """
    like = np.isnan(held_out)[np.arange(len(drawn)) % len(held_out)]
    a = nearest_distances(columns, np.where(like, np.nan, drawn), training)
    b = nearest_distances(columns, held_out, training)
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    nearer, stderr = ranked(b, a)
    return Nearness(
        drawn=float(np.median(a)),
        held_out=float(np.median(b)),
        drawn_low=float(np.quantile(a, 0.05)),
        held_out_low=float(np.quantile(b, 0.05)),
        drawn_copies=float((a < COPY).mean()),
        held_out_copies=float((b < COPY).mean()),
        nearer=nearer,
        stderr=stderr,
        n=len(a),
        n_held_out=len(b),
        n_training=len(training),
    )


def nearest_distances(columns: Sequence[Column], rows: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Return the distance [N] of each row to the nearest training row, from 0 to 1.

    It is the mean over the columns that both have: for names 0 if they are equal and 1 otherwise; for numbers the share
    of training rows between both, half of those at either end; on a circle the angle between them over half a turn.

    Source: Gower, "A general coefficient of similarity and some of its properties", 1971, with ranks in the place of
    values (Podani, 1999).

    Args:
        columns: the D columns.
        rows: [N, D] stored values, NaN where missing.
        training: [M, D].

    Returns:
        Infinite for a row that shares no observed column with any training row.
    """
    a, b = (_places(columns, x, training).astype(np.float32) for x in (rows, training))
    has_a, has_b = (~np.isnan(x) for x in (a, b))
    seen = has_b.astype(np.float32)
    holed = np.logical_or(np.isnan(a).any(0), np.isnan(b).any(0))
    b = np.asfortranarray(b)
    step = max(CHUNK // max(len(b), 1), 1)
    nearest = np.full(len(a), np.inf)
    for start in range(0, len(a), step):
        some = slice(start, start + step)
        total = np.zeros((len(a[some]), len(b)), np.float32)
        for i, column in enumerate(columns):
            apart = _apart(column, a[some, i, None], b[None, :, i])
            total += np.nan_to_num(apart, copy=False, nan=0.0) if holed[i] else apart
        shared = has_a[some].astype(np.float32) @ seen.T
        total[shared == 0] = np.inf
        nearest[some] = (total / np.maximum(shared, 1)).min(1)
    return nearest


def _places(columns: Sequence[Column], x: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Return values [N, D] as ranks among the training rows, from 0 to 1; of unordered and circular columns as they
    are."""
    places = x.copy()
    for i, column in enumerate(columns):
        if column.kind in ("categorical", "boolean", "circular"):
            continue
        ordered = np.sort(training[~np.isnan(training[:, i]), i])
        below, upto = (np.searchsorted(ordered, x[:, i], side) for side in ("left", "right"))
        places[:, i] = np.where(np.isnan(x[:, i]), np.nan, (below + upto) / max(2 * len(ordered), 1))
    return places


def _apart(column: Column, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how far values lie apart, from 0 to 1; NaN where one is missing."""
    difference = a - b
    np.abs(difference, out=difference)
    if column.kind in ("categorical", "boolean"):
        return np.minimum(difference, 1.0, out=difference)
    if column.kind == "circular":
        turn = difference / ((column.high or 0.0) - (column.low or 0.0))
        return 2 * np.minimum(turn, 1 - turn)
    return difference
