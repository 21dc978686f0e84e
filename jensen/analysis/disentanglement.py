"""Disentanglement, one latent feature per factor of the data: MIG, SAP, DCI and the FactorVAE score.

All of them look at codes [N, Z] beside the factors [N, F] that the data were made from. What is fitted is fitted on
some rows and scored on others. None of them is comparable between data sets, nor between implementations that bin,
predict or vote otherwise; what is done here is said in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..data import Factors

__all__ = ["Coded", "dci", "disentanglement", "factor_vae_score", "informations", "mig", "sap"]

BINS = 20
TREES, LEAF = 10, 5
VOTES, TOGETHER = 500, 64


@dataclass(frozen=True)
class Coded:
    """Codes of some rows, and what these rows were made from.

    Attributes:
        codes: [N, Z] float64.
        factors: of the same rows.

    Raises:
        DataError: there are not as many codes as factors, codes are not finite, or a factor has one value only.
    """

    codes: np.ndarray
    factors: Factors

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or len(self.codes) != len(self.factors.values) or 0 in self.codes.shape:
            raise DataError(
                f"codes {self.codes.shape} do not go with factors {self.factors.values.shape}",
                "Give [N, Z] and [N, F] of the same rows.",
            )
        if not np.isfinite(self.codes).all():
            raise DataError("some codes are not finite", "Look at the run with jensen doctor.")
        for name, column in zip(self.factors.names, self.factors.values.T, strict=True):
            if (column == column[0]).all():
                raise DataError(f"the factor {name!r} has one value in these rows", "Give more rows, or leave it out.")

    def shuffled(self, rng: np.random.Generator) -> Coded:
        """Return the same codes beside factors of other rows, whose scores are chance."""
        return Coded(self.codes[rng.permutation(len(self.codes))], self.factors)

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation [Z] of each feature; exactly 0 where it is constant."""
        return np.where(np.ptp(self.codes, axis=0) == 0, 0.0, self.codes.std(axis=0))


def disentanglement(fitted: Coded, scored: Coded, seed: int = 0) -> dict[str, float]:
    """Return all of the measures, by name; of each 1 is the best."""
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
    """Return [N, Z] the number of each code's bin, of equal width from the least to the largest of its feature."""
    low, width = codes.min(0), np.ptp(codes, axis=0)
    part = (codes - low) / np.where(width == 0, 1.0, width)
    return np.minimum((part * bins).astype(np.int64), bins - 1)


def _entropy(counts: np.ndarray) -> float:
    """Return the entropy of frequencies, in nats."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def informations(coded: Coded, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """I(z_j; v_k) [Z, F] and H(v_k) [F] in nats, of the frequencies of binned codes.

    Frequencies of N rows tell too much, by about (bins - 1)(values - 1)/(2N) nats where there is nothing to tell.
    """
    numbers, factors = _binned(coded.codes, bins), coded.factors
    shared = np.empty((numbers.shape[1], len(factors.names)))
    entropies = np.array([_entropy(np.bincount(v)) for v in factors.values.T])
    for j, code in enumerate(numbers.T):
        for k, (value, count) in enumerate(zip(factors.values.T, factors.counts, strict=True)):
            both = np.bincount(code * count + value, minlength=bins * count)
            shared[j, k] = _entropy(np.bincount(code)) + entropies[k] - _entropy(both)
    return shared.clip(min=0.0), entropies


def _gap(scores: np.ndarray, nothing: float | np.ndarray = 0.0) -> np.ndarray:
    """Return the best score less the second [F] of scores [Z, F]; a lone feature is held against what knows nothing."""
    ordered = np.sort(np.vstack([scores, np.broadcast_to(nothing, scores.shape[1:])]) if len(scores) < 2 else scores, 0)
    return ordered[-1] - ordered[-2]


def mig(coded: Coded, bins: int = BINS) -> float:
    r"""Mutual information gap: how much more the best feature tells of a factor than the second best.

    .. math:: \frac{1}{F} \sum_k \frac{I(z_{(1)}; v_k) - I(z_{(2)}; v_k)}{H(v_k)}

    Nothing is fitted. The codes are posterior means in `bins` bins of equal width, where the paper integrates over the
    posterior.

    Source: Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in VAEs", 2018.

    Example:
        >>> values = np.stack(np.meshgrid(range(3), range(4)), -1).reshape(-1, 2)
        >>> round(mig(Coded(values.astype(float), Factors.of(values))), 6)
        1.0
    """
    shared, entropies = informations(coded, bins)
    return float((_gap(shared) / entropies).mean())


# ---------------------------------------------------------------- one feature at a time


def sap(fitted: Coded, scored: Coded) -> float:
    """Separated attribute predictability: how much better the best feature alone predicts a factor than the second.

    An ordered factor by the squared correlation on the scored rows; one of mere names by the balanced accuracy of as
    many thresholds as it has values less one, chosen on the fitted rows (a tree of one feature). Averaged over factors.

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
    """Return [Z]; 0 of a constant feature."""
    away, other = codes - codes.mean(0), value - value.mean()
    spread = (away**2).sum(0) * (other**2).sum()
    moves = np.ptp(codes, axis=0) > 0
    return np.where(moves, (away.T @ other) ** 2 / np.where(moves, spread, 1.0), 0.0)


def _thresholds(fitted: Coded, scored: Coded, j: int, k: int) -> float:
    """Balanced accuracy of thresholds on feature j for factor k."""
    from sklearn.tree import DecisionTreeClassifier

    leaves = len(np.unique(fitted.factors.values[:, k]))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=0)
    tree.fit(fitted.codes[:, [j]], fitted.factors.values[:, k])
    truth = scored.factors.values[:, k]
    right = tree.predict(scored.codes[:, [j]]) == truth
    return float(np.mean([right[truth == value].mean() for value in np.unique(truth)]))


# ---------------------------------------------------------------- all features together


def dci(fitted: Coded, scored: Coded, seed: int = 0) -> tuple[float, float, float]:
    """Disentanglement, completeness and informativeness, by which features a predictor of each factor leans on.

    The predictor is a forest of 10 trees that see every feature and end in leaves of at least 5 fitted rows; R [Z, F]
    is how much each feature lessens the impurity. Disentanglement is 1 minus the entropy (to the base F) of each
    feature's share among factors, weighted by its part of R; completeness 1 minus the entropy (to the base Z) of each
    factor's share among features; informativeness the mean accuracy on the scored rows.

    Source: Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations", 2018
    (whose predictors are lasso and random forests).
    """
    from sklearn.ensemble import RandomForestClassifier

    # all features at every split: one that is left out by chance would pass its weight on to others
    every: dict[str, Any] = {"max_features": None}
    weights, right = [], []
    for known, truth in zip(fitted.factors.values.T, scored.factors.values.T, strict=True):
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, random_state=seed, **every)
        forest.fit(fitted.codes, known)
        weights.append(forest.feature_importances_)
        right.append(float((forest.predict(scored.codes) == truth).mean()))
    return *_entropic(np.stack(weights, -1)), float(np.mean(right))


def _entropic(weights: np.ndarray) -> tuple[float, float]:
    """Disentanglement and completeness of weights [Z, F]."""
    total = weights.sum()
    if total == 0:
        return 0.0, 0.0
    rows, columns = weights.sum(1), weights.sum(0)
    apart = [1 - _share(row) for row in weights]
    whole = [1 - _share(column) for column in weights.T if column.sum() > 0]
    return float(np.dot(rows / total, apart)), float(np.sum(whole) / len(columns))


def _share(weights: np.ndarray) -> float:
    """Return the entropy of shares, to the base of how many there are; 0 where there is one."""
    return _entropy(weights) / np.log(len(weights)) if len(weights) > 1 and weights.sum() > 0 else 0.0


def factor_vae_score(fitted: Coded, scored: Coded, seed: int = 0) -> float:
    """Return the accuracy of telling a factor by the feature that varies least among rows of one of its values.

    Each vote takes 64 rows, with replacement, that agree in one factor, and names the feature with the least variance,
    in units of its variance over the fitted rows; constant features never win. 500 votes among the fitted rows say what
    factor each feature stands for, 500 among the scored rows whether that is so.

    Source: Kim & Mnih, "Disentangling by factorising", 2018.
    """
    rng = np.random.default_rng([seed, 0])
    spread = fitted.spread
    counts = np.zeros((fitted.codes.shape[1], len(fitted.factors.names)))
    np.add.at(counts, _votes(fitted, spread, rng), 1)
    winners, truth = _votes(scored, spread, rng)
    return float((counts.argmax(1)[winners] == truth).mean())


def _votes(coded: Coded, spread: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the features that varied least, and the factors that were held."""
    factors, winners = rng.integers(len(coded.factors.names), size=VOTES), np.empty(VOTES, dtype=np.int64)
    moves = spread > 0
    for i, k in enumerate(factors):
        values = coded.factors.values[:, k]
        alike = np.flatnonzero(values == rng.choice(values))
        variance = coded.codes[rng.choice(alike, TOGETHER)].var(0)
        winners[i] = np.where(moves, variance / np.where(moves, spread, 1.0) ** 2, np.inf).argmin()
    return winners, factors
