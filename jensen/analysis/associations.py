"""Associations of pairs of columns of any kinds, in data and in rows of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..data.columns import Column
from .marginals import halves

__all__ = ["AssociationAgreement", "associations", "compare_associations"]

FEWEST = 20  # rows in which both columns are observed, below which a pair has no association
SMALL = 1e-10  # share of the largest eigenvalue, below which a direction does not vary


def associations(columns: Sequence[Column], x: np.ndarray) -> np.ndarray:
    r"""Return the association [D, D] of each pair of columns, over the rows in which both are observed.

    It is the root mean square of the canonical correlations between the features of both columns, which are the value
    of a number, cosine and sine of a circular one, and an indicator for each level,

    .. math:: \sqrt{\mathrm{tr}(S_{aa}^{-1} S_{ab} S_{bb}^{-1} S_{ba}) / \min(r_a, r_b)}

    with the ranks r of the covariances S. Of two numbers this is their correlation, which has a sign here; of a number
    and a column with levels the correlation ratio; of two columns with levels Cramer's V.

    Source: Cramer, Mathematical methods of statistics, 1946; Mardia & Jupp, Directional statistics, 2000, for circular
    columns.

    Args:
        columns: the D columns.
        x: [N, D] stored values, NaN where missing.

    Returns:
        NaN where a column does not vary in these rows, or these are fewer than 20; 1 on the diagonal.
    """
    observed = ~np.isnan(x)
    features = [_features(column, x[:, i]) for i, column in enumerate(columns)]
    has_sign = [not column.is_levelled and column.kind != "circular" for column in columns]
    values = np.eye(len(columns))
    for i, j in combinations(range(len(columns)), 2):
        both = observed[:, i] & observed[:, j]
        value = _association(features[i][both], features[j][both]) if both.sum() >= FEWEST else np.nan
        if has_sign[i] and has_sign[j] and np.isfinite(value):
            value = np.copysign(value, np.cov(x[both, i], x[both, j])[0, 1])
        values[i, j] = values[j, i] = value
    return values


def _features(column: Column, values: np.ndarray) -> np.ndarray:
    """Return the features [N, F] of a column, which span the constant too; those of missing values are not used."""
    if column.is_levelled:
        return (values[:, None] == np.arange(len(column.levels))).astype(np.float64)
    one = np.ones_like(values)
    if column.kind == "circular":
        low, high = column.low or 0.0, column.high or 0.0
        angle = 2 * np.pi * (values - low) / (high - low)
        return np.stack([one, np.cos(angle), np.sin(angle)], -1)
    known = values[~np.isnan(values)]
    middle, scale = (known.mean(), known.std()) if len(known) else (0.0, 1.0)
    return np.stack([one, (values - middle) / (scale if scale > 0 else 1.0)], -1)


def _association(a: np.ndarray, b: np.ndarray) -> float:
    """Return the association of features [N, F] and [N, G], each of which spans the constant."""
    (inverse_a, rank_a), (inverse_b, rank_b) = _inverse(a), _inverse(b)
    least = min(rank_a, rank_b) - 1
    if least < 1:
        return float("nan")
    cross = a.T @ b
    # the two constants have a canonical correlation of 1
    squares = float(np.sum((inverse_a @ cross) * (cross @ inverse_b))) - 1.0
    return float(np.sqrt(min(max(squares / least, 0.0), 1.0)))


def _inverse(features: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the pseudo-inverse of the second moments of features [N, F], with their rank."""
    values, vectors = np.linalg.eigh(features.T @ features)
    kept = values > SMALL * values[-1]
    return (vectors[:, kept] / values[kept]) @ vectors[:, kept].T, int(kept.sum())


@dataclass(frozen=True)
class AssociationAgreement:
    """The associations of columns in data and in rows of a model, and how far they differ, beside what is noise.

    Attributes:
        data: [D, D] of all rows of the data; see `associations`.
        drawn: [D, D] of all rows of the model.
        difference: mean absolute difference over pairs, of half the data to as many rows of the model, on average over
            random halves.
        spread: its standard deviation over these.
        noise: that of one half of the data to the other: that of a perfect model.
        noise_spread: its standard deviation.
    """

    data: np.ndarray
    drawn: np.ndarray
    difference: float
    spread: float
    noise: float
    noise_spread: float


def compare_associations(
    columns: Sequence[Column], data: np.ndarray, drawn: np.ndarray, *, repeats: int = 5, seed: int = 0
) -> AssociationAgreement:
    """Compare the associations of columns in data with those in as many rows of a model.

    Args:
        columns: the D columns.
        data: [N, D] stored values, NaN where missing.
        drawn: [N, D].
        repeats: random halves of the data.
        seed: of these.
    """
    complete, drawn = drawn, np.where(np.isnan(data), np.nan, drawn)  # pairs are of as many rows in both
    differences, noises = [], []
    mixed = halves(len(drawn), repeats, seed + 1)
    for (a, b), (some, _) in zip(halves(len(data), repeats, seed), mixed, strict=True):
        first, second = associations(columns, data[a]), associations(columns, data[b])
        other = associations(columns, np.where(np.isnan(data[b]), np.nan, complete[some]))
        differences.append(_distance(first, other))
        noises.append(_distance(first, second))
    return AssociationAgreement(
        data=associations(columns, data),
        drawn=associations(columns, drawn),
        difference=float(np.mean(differences)),
        spread=float(np.std(differences)),
        noise=float(np.mean(noises)),
        noise_spread=float(np.std(noises)),
    )


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean absolute difference over pairs that both have; NaN where there is none."""
    upper = np.triu_indices(len(a), 1)
    difference = np.abs(a[upper] - b[upper])
    known = difference[np.isfinite(difference)]
    return float(known.mean()) if len(known) else float("nan")
