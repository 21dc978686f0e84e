"""Ways to fill the holes of a table of mixed kinds: jensen, and those of scikit-learn that people use."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from .mixed_tables import MixedTable

__all__ = ["LEVEL", "Answer", "Trees", "by_chained_equations", "by_iteration", "by_neighbours", "by_trees", "marginal"]

DRAWS = 100  # of a marginal, for the continuous ranked probability score
LEVEL = 0.9  # of intervals


@dataclass(frozen=True)
class Answer:
    """A completed table, and what its maker says about its uncertainty; None where it says nothing.

    Attributes:
        point: [N, D]; levels as their numbers.
        draws: [m, N, D] completed tables.
        low, high: [N, D] ends of intervals that are to hold 90 % of hidden numbers.
        log_prob: [N, D] log p of each hidden cell's true value, given what is observed of its row.
    """

    point: np.ndarray
    draws: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    log_prob: np.ndarray | None = None


class _Code:
    """The table as numbers for methods that know no levels: standardised numbers, one column for each level."""

    def __init__(self, table: MixedTable, observed: np.ndarray) -> None:
        self.table, parts = table, []
        x = np.where(observed, table.x, np.nan)
        self.centre, self.scale = np.nanmean(x, 0), np.nanstd(x, 0)
        self.scale[self.scale == 0] = 1
        self.places: list[slice] = []
        for d, kind in enumerate(table.kinds):
            start = sum(part.shape[1] for part in parts)
            if kind == "categorical" and table.levels[d] > 2:
                part = np.eye(table.levels[d])[np.where(observed[:, d], table.x[:, d], 0).astype(int)]
                part[~observed[:, d]] = np.nan
                part = part[:, np.nansum(part, 0) > 0]
            else:
                part = ((x[:, d] - self.centre[d]) / self.scale[d])[:, None]
            parts.append(part)
            self.places.append(slice(start, start + part.shape[1]))
        self.x = np.concatenate(parts, 1)
        self.kept = [
            np.flatnonzero(np.bincount(table.x[observed[:, d], d].astype(int), minlength=table.levels[d]))
            if table.levels[d]
            else None
            for d in range(len(table.kinds))
        ]

    def decode(self, filled: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """The table of filled numbers: the largest of the columns of levels, and ordinal levels rounded."""
        out = self.table.x.copy()
        for d, place in enumerate(self.places):
            part = filled[:, place]
            if part.shape[1] > 1:
                values = self.kept[d][part.argmax(1)]  # pyright: ignore[reportOptionalSubscript]
            else:
                values = part[:, 0] * self.scale[d] + self.centre[d]
                if self.table.levels[d]:
                    values = np.clip(np.round(values), 0, self.table.levels[d] - 1)
            out[~observed[:, d], d] = values[~observed[:, d]]
        return out


class Trees(RegressorMixin, BaseEstimator):
    """Extra trees that classify where all targets are whole numbers, as codes of levels are, and regress otherwise."""

    def __init__(self, n: int = 100, random_state: int = 0) -> None:
        self.n, self.random_state = n, random_state

    def fit(self, x: np.ndarray, y: np.ndarray) -> Trees:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        levels = bool((y == np.round(y)).all())
        kind = ExtraTreesClassifier if levels else ExtraTreesRegressor
        options: dict[str, Any] = {} if levels else {"min_samples_leaf": 3}
        self.trees_ = kind(self.n, max_features="sqrt", random_state=self.random_state, n_jobs=1, **options).fit(x, y)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.trees_.predict(x)


def marginal(table: MixedTable, observed: np.ndarray, seed: int) -> Answer:
    """The mean of numbers, the mode of categories and the median of ordinal levels: what ignores all other columns.

    Intervals are from the 5 % to the 95 % quantile of what is observed, log p is of a normal distribution for numbers,
    and of the frequencies of levels.
    """
    rng = np.random.default_rng(seed)
    point, low, high = table.x.copy(), np.full(table.x.shape, np.nan), np.full(table.x.shape, np.nan)
    log_prob, draws = np.full(table.x.shape, np.nan), np.repeat(table.x[None], DRAWS, 0)
    for d, n in enumerate(table.levels):
        seen, holes = table.x[observed[:, d], d], ~observed[:, d]
        draws[:, holes, d] = rng.choice(seen, size=(DRAWS, holes.sum()))
        if n:
            frequencies = np.bincount(seen.astype(int), minlength=n) + 1.0
            ordinal = table.kinds[d] == "ordinal"
            point[holes, d] = np.floor(np.median(seen)) if ordinal else frequencies.argmax()
            log_prob[:, d] = np.log(frequencies / frequencies.sum())[table.x[:, d].astype(int)]
        else:
            point[holes, d] = seen.mean()
            low[:, d], high[:, d] = np.quantile(seen, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            sd = seen.std()
            log_prob[:, d] = -0.5 * ((table.x[:, d] - seen.mean()) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
    return Answer(point, draws, low, high, log_prob)


def by_neighbours(table: MixedTable, observed: np.ndarray, seed: int) -> Answer:
    """KNNImputer by its defaults: the mean of five neighbours."""
    from sklearn.impute import KNNImputer

    code = _Code(table, observed)
    return Answer(code.decode(KNNImputer().fit_transform(code.x), observed))


def _iterated(code: _Code, seed: int, draw: bool) -> np.ndarray:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer
    from sklearn.linear_model import BayesianRidge

    imputer = IterativeImputer(BayesianRidge(), sample_posterior=draw, max_iter=10, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ten rounds are the default, and scikit-learn says that they are few
        return imputer.fit_transform(code.x)


def by_iteration(table: MixedTable, observed: np.ndarray, seed: int) -> Answer:
    """IterativeImputer by its defaults: Bayesian ridge, ten rounds."""
    code = _Code(table, observed)
    return Answer(code.decode(_iterated(code, seed, False), observed))


def by_chained_equations(table: MixedTable, observed: np.ndarray, seed: int, m: int = 5) -> Answer:
    """MICE: m draws of the posterior predictive of Bayesian ridge, averaged; intervals are those of Student's t."""
    from scipy.stats import t

    code = _Code(table, observed)
    filled = np.stack([_iterated(code, seed * m + i, True) for i in range(m)])
    draws = np.stack([code.decode(f, observed) for f in filled])
    middle, half = draws.mean(0), t.ppf((1 + LEVEL) / 2, m - 1) * draws.std(0, ddof=1) * np.sqrt(1 + 1 / m)
    return Answer(code.decode(filled.mean(0), observed), draws, middle - half, middle + half)


def by_trees(table: MixedTable, observed: np.ndarray, seed: int, trees: int = 100, rounds: int = 5) -> Answer:
    """IterativeImputer with extra trees, the kind of missForest: levels keep their numbers, and are classified."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    x, numeric = np.where(observed, table.x, np.nan), table.numeric
    centre, scale = np.where(numeric, np.nanmean(x, 0), 0), np.where(numeric, np.nanstd(x, 0), 1)
    imputer = IterativeImputer(
        Trees(trees, seed), max_iter=rounds, random_state=seed, initial_strategy="median", skip_complete=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filled = imputer.fit_transform((x - centre) / scale) * scale + centre
    return Answer(np.where(observed, table.x, filled))
