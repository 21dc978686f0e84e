"""Disentanglement, one latent feature per factor of the data: MIG, SAP, DCI and the FactorVAE score.

All compare codes [N, Z] with the factors [N, F] that generated the data. Predictors are fitted on some rows and scored
on others. No measure is comparable between data sets, nor between implementations with other bins, predictors or
votes; each docstring states those used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..data import Factors

__all__ = ["FactorCodes", "dci", "disentanglement", "factor_vae_score", "informations", "mig", "sap"]

BINS = 20
TREES, LEAF = 10, 5
VOTES, TOGETHER = 500, 64


@dataclass(frozen=True)
class FactorCodes:
    """Codes of some rows, with the factors that generated these rows.

    Attributes:
        codes: [N, Z] float64.
        factors: of the same rows.

    Raises:
        DataError: the numbers of rows differ, codes are not finite, or a factor has a single value.
    """

    codes: np.ndarray
    factors: Factors

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or len(self.codes) != len(self.factors.values) or 0 in self.codes.shape:
            raise DataError(
                f"codes {self.codes.shape} do not match factors {self.factors.values.shape}",
                "Give [N, Z] and [N, F] of the same rows.",
            )
        if not np.isfinite(self.codes).all():
            raise DataError("some codes are not finite", "Look at the run with jensen doctor.")
        for name, column in zip(self.factors.names, self.factors.values.T, strict=True):
            if (column == column[0]).all():
                raise DataError(f"the factor {name!r} has one value in these rows", "Give more rows, or leave it out.")

    def shuffled(self, rng: np.random.Generator) -> FactorCodes:
        """Return the codes with factors of other rows, whose scores are those of chance."""
        return FactorCodes(self.codes[rng.permutation(len(self.codes))], self.factors)

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation [Z] of each feature; exactly 0 where it is constant."""
        return np.where(np.ptp(self.codes, axis=0) == 0, 0.0, self.codes.std(axis=0))


def disentanglement(fitted: FactorCodes, scored: FactorCodes, seed: int = 0) -> dict[str, float]:
    """Return all measures by name; the best value of each is 1."""
    disentangled, complete, informative = dci(fitted, scored, seed)
    return {
        "MIG": mig(scored),
        "SAP": sap(fitted, scored),
        "DCI disentanglement": disentangled,
        "DCI completeness": complete,
        "DCI informativeness": informative,
        "FactorVAE score": factor_vae_score(fitted, scored, seed),
    }


# ---------------------------------------------------------------- mutual information


def _binned(codes: np.ndarray, bins: int) -> np.ndarray:
    """Return the bin numbers [N, Z] of codes, in bins of equal width from the smallest to the largest of a feature."""
    low, width = codes.min(0), np.ptp(codes, axis=0)
    part = (codes - low) / np.where(width == 0, 1.0, width)
    return np.minimum((part * bins).astype(np.int64), bins - 1)


def _entropy(counts: np.ndarray) -> float:
    """Return the entropy of frequencies, in nats."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def informations(coded: FactorCodes, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Return I(z_j; v_k) [Z, F] and H(v_k) [F] in nats, by the frequencies of binned codes.

    With N rows the information is biased upwards, by about (bins - 1)(values - 1)/(2N) nats where it is zero.
    """
    numbers, factors = _binned(coded.codes, bins), coded.factors
    shared = np.empty((numbers.shape[1], len(factors.names)))
    entropies = np.array([_entropy(np.bincount(v)) for v in factors.values.T])
    for j, code in enumerate(numbers.T):
        for k, (value, count) in enumerate(zip(factors.values.T, factors.counts, strict=True)):
            both = np.bincount(code * count + value, minlength=bins * count)
            shared[j, k] = _entropy(np.bincount(code)) + entropies[k] - _entropy(both)
    return shared.clip(min=0.0), entropies


def _gap(scores: np.ndarray, chance: float | np.ndarray = 0.0) -> np.ndarray:
    """Return the best less the second score [F] of scores [Z, F]; for a single feature the second is that of chance."""
    ordered = np.sort(np.vstack([scores, np.broadcast_to(chance, scores.shape[1:])]) if len(scores) < 2 else scores, 0)
    return ordered[-1] - ordered[-2]


def mig(coded: FactorCodes, bins: int = BINS) -> float:
    r"""Return the mutual information gap: between the best feature of a factor and the second best.

    .. math:: \frac{1}{F} \sum_k \frac{I(z_{(1)}; v_k) - I(z_{(2)}; v_k)}{H(v_k)}

    Nothing is fitted. The codes are posterior means in `bins` bins of equal width, where the paper integrates over the
    posterior.

    Source: Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in VAEs", 2018.

    Example:
        >>> values = np.stack(np.meshgrid(range(3), range(4)), -1).reshape(-1, 2)
        >>> round(mig(FactorCodes(values.astype(float), Factors.of(values))), 6)
        1.0
    """
    shared, entropies = informations(coded, bins)
    return float((_gap(shared) / entropies).mean())


# ---------------------------------------------------------------- one feature at a time


def sap(fitted: FactorCodes, scored: FactorCodes) -> float:
    """Return the separated attribute predictability: the gap of the best feature, alone, to the second in prediction.

    An ordered factor is predicted by the squared correlation on the scored rows; a nominal factor by the balanced
    accuracy of as many thresholds as it has values less one, chosen on the fitted rows (a tree of one feature).
    Averaged over factors.

    Source: Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled
    observations", 2018.
    """
    gaps = []
    for k, ordered in enumerate(scored.factors.ordered):
        if ordered:
            gaps.append(_gap(_squared_correlations(scored.codes, scored.factors.values[:, k])[:, None])[0])
        else:
            thresholds = [_thresholds(fitted, scored, j, k) for j in range(scored.codes.shape[1])]
            gaps.append(_gap(np.array(thresholds)[:, None], 1 / len(np.unique(scored.factors.values[:, k])))[0])
    return float(np.mean(gaps))


def _squared_correlations(codes: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the squared correlations [Z]; 0 for a constant feature."""
    away, other = codes - codes.mean(0), value - value.mean()
    spread = (away**2).sum(0) * (other**2).sum()
    varies = np.ptp(codes, axis=0) > 0
    return np.where(varies, (away.T @ other) ** 2 / np.where(varies, spread, 1.0), 0.0)


def _thresholds(fitted: FactorCodes, scored: FactorCodes, j: int, k: int) -> float:
    """Return the balanced accuracy of thresholds on feature j for factor k."""
    from sklearn.tree import DecisionTreeClassifier

    leaves = len(np.unique(fitted.factors.values[:, k]))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=0)
    tree.fit(fitted.codes[:, [j]], fitted.factors.values[:, k])
    truth = scored.factors.values[:, k]
    right = tree.predict(scored.codes[:, [j]]) == truth
    return float(np.mean([right[truth == value].mean() for value in np.unique(truth)]))


# ---------------------------------------------------------------- all features together


def dci(fitted: FactorCodes, scored: FactorCodes, seed: int = 0) -> tuple[float, float, float]:
    """Return disentanglement, completeness and informativeness, by the features that a predictor of each factor uses.

    The predictor is a forest of 10 trees that use every feature, with leaves of at least 5 fitted rows; R [Z, F] is the
    decrease of the impurity by each feature. Disentanglement is 1 minus the entropy (to the base F) of each
    feature's share among factors, weighted by its part of R; completeness 1 minus the entropy (to the base Z) of each
    factor's share among features; informativeness the mean accuracy on the scored rows.

    Source: Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations", 2018
    (whose predictors are lasso and random forests).
    """
    from sklearn.ensemble import RandomForestClassifier

    # all features at every split: if one were left out by chance, others would get its weight
    every: dict[str, Any] = {"max_features": None}
    weights, right = [], []
    for value, truth in zip(fitted.factors.values.T, scored.factors.values.T, strict=True):
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, random_state=seed, **every)
        forest.fit(fitted.codes, value)
        weights.append(forest.feature_importances_)
        right.append(float((forest.predict(scored.codes) == truth).mean()))
    disentangled, complete = _entropic(np.stack(weights, -1))
    return disentangled, complete, float(np.mean(right))


def _entropic(weights: np.ndarray) -> tuple[float, float]:
    """Return the disentanglement and completeness of weights [Z, F]."""
    total = weights.sum()
    if total == 0:
        return 0.0, 0.0
    rows, columns = weights.sum(1), weights.sum(0)
    by_feature = [1 - _relative_entropy(row) for row in weights]
    by_factor = [1 - _relative_entropy(column) for column in weights.T if column.sum() > 0]
    return float(np.dot(rows / total, by_feature)), float(np.sum(by_factor) / len(columns))


def _relative_entropy(weights: np.ndarray) -> float:
    """Return the entropy of shares, to the base of their number; 0 for a single one."""
    return _entropy(weights) / np.log(len(weights)) if len(weights) > 1 and weights.sum() > 0 else 0.0


def factor_vae_score(fitted: FactorCodes, scored: FactorCodes, seed: int = 0) -> float:
    """Return the accuracy of predicting a factor by the feature that varies least among rows of one of its values.

    Each vote draws 64 rows, with replacement, that agree in one factor, and is for the feature with the least variance,
    in units of its variance over the fitted rows; constant features get no vote. 500 votes among the fitted rows assign
    a factor to each feature, 500 among the scored rows measure the accuracy.

    Source: Kim & Mnih, "Disentangling by factorising", 2018.
    """
    rng = np.random.default_rng([seed, 0])
    spread = fitted.spread
    counts = np.zeros((fitted.codes.shape[1], len(fitted.factors.names)))
    np.add.at(counts, _votes(fitted, spread, rng), 1)
    winners, truth = _votes(scored, spread, rng)
    return float((counts.argmax(1)[winners] == truth).mean())


def _votes(coded: FactorCodes, spread: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the features that varied least, and the factors that were fixed."""
    factors, winners = rng.integers(len(coded.factors.names), size=VOTES), np.empty(VOTES, dtype=np.int64)
    varies = spread > 0
    for i, k in enumerate(factors):
        values = coded.factors.values[:, k]
        alike = np.flatnonzero(values == rng.choice(values))
        variance = coded.codes[rng.choice(alike, TOGETHER)].var(0)
        winners[i] = np.where(varies, variance / np.where(varies, spread, 1.0) ** 2, np.inf).argmin()
    return winners, factors
