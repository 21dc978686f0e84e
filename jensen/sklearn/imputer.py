"""An imputer by a joint model of all columns, with the interface of `sklearn.impute.IterativeImputer`."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from ..core.errors import CompositionError, DataError
from ..data.columns import Column
from ..data.dataframes import library
from ..data.determined import spread
from ..data.typed_frames import is_of
from ..runs.table_completion import TableCompletion
from .base import LatentEstimator
from .inputs import checked_input, is_named_table, is_nan, is_numeric_table, names_of
from .parameters import recipe_of
from .turns import in_turn

__all__ = ["LatentImputer"]

DTYPES = (np.float64, np.float32)
TRUTHS = {"false": 0.0, "true": 1.0}


class LatentImputer(TransformerMixin, LatentEstimator):
    """An imputer by p(missing | observed) of one model of all columns, with the interface of `IterativeImputer`.

    Arrays and DataFrames of numbers give arrays, and DataFrames where `set_output` asks for them; DataFrames with
    columns of names, dates or categories give DataFrames, with the same types.

    Args:
        missing_values: what stands for a missing entry; NaN includes None and null.
        recipe: one that learns from rows with missing entries: "table", "table-gmm" or "miwae".
        sample_posterior: fill with draws, and not with means (of counts medians, of names the most probable one). With
            a whole number as `random_state` each call gives the same draws; several of them are multiple imputation.
        add_indicator: append a column of 0 and 1 for each column that had missing entries in `fit`.
        keep_empty_features: keep columns without any entry, filled with 0; by default they are left out.
        latent, epochs, batch, lr, options, out, force, progress, random_state: as of `LatentModel`.

    Attributes:
        indicator_: the `MissingIndicator`; None without `add_indicator`.
        run_, seed_, n_features_in_, feature_names_in_: as of `LatentModel`.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(80, 1)) * [1.0, 2.0]
        >>> x[:9, 1] = np.nan
        >>> imputer = LatentImputer(recipe="table-gmm", epochs=9, options={"components": 4}, random_state=0)
        >>> filled = imputer.fit_transform(x)
        >>> bool(np.isfinite(filled).all()), bool((filled[9:] == x[9:]).all())
        (True, True)
    """

    _indicated: list[int] | None
    _kept: list[int]
    _fallback: list[float]
    _is_numeric: bool
    _empty: list[int]

    def __init__(
        self,
        *,
        missing_values: Any = np.nan,
        recipe: Any = "table",
        sample_posterior: Any = False,
        add_indicator: Any = False,
        keep_empty_features: Any = False,
        latent: Any = None,
        epochs: Any = None,
        batch: Any = None,
        lr: Any = None,
        options: Any = None,
        out: Any = None,
        force: Any = False,
        progress: Any = False,
        random_state: Any = None,
    ) -> None:
        self.missing_values = missing_values
        self.recipe = recipe
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.latent = latent
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.options = options
        self.out = out
        self.force = force
        self.progress = progress
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LatentImputer:
        """Train the model on rows with missing entries.

        Args:
            X: numbers [N, D], or a DataFrame, whose columns may be of mixed kinds.
            y: ignored.

        Raises:
            CompositionError: the recipe learns from complete rows only, or is "auto".
            DataError: no column has two different entries.
        """
        recipe = recipe_of(self.recipe)
        if recipe is None or not recipe.missing:
            what = f"recipe {self.recipe} learns from complete rows only" if recipe else "an imputer has no recipe auto"
            raise CompositionError(what, "Use table, table-gmm or miwae.")
        rows, holes = self._read(X, reset=True)
        numeric = isinstance(rows, np.ndarray) or is_numeric_table(rows)
        kept = [d for d in range(holes.shape[1]) if _varies(rows, holes, d, numeric)]
        if not len(kept):
            raise DataError("no column has two different entries, so there is nothing to learn", "Use SimpleImputer.")
        self._train(_columns(rows, kept))
        self._kept, self._is_numeric = kept, numeric
        self._fallback = [_mean(rows, holes, d, numeric) for d in range(holes.shape[1])]
        self._empty = np.flatnonzero(holes.all(0)).tolist()
        self._indicated = np.flatnonzero(holes.any(0)).tolist() if self.add_indicator else None
        return self

    def _complete(self) -> None:
        columns = self.run_.schema.columns or ()
        size = self.n_features_in_
        self._kept, self._fallback, self._empty, self._indicated = list(range(size)), [np.nan] * size, [], None
        self._is_numeric = not any(c.is_levelled or c.kind == "datetime" for c in columns)

    def _read(self, X: Any, *, reset: bool) -> tuple[Any, np.ndarray]:
        """Return the rows, an array or a DataFrame of pandas with NaN in missing entries, and where these are [N, D].

        Raises:
            DataError: a table of mixed kinds that is none of pandas.
        """
        missing = is_nan(self.missing_values)
        named = is_named_table(X) and (reset or names_of(self) is not None)
        if named and is_of(X, "polars", "DataFrame") and is_numeric_table(X):
            X = library("pandas").DataFrame({name: X[name].to_numpy() for name in X.columns})
        if named and not is_of(X, "pandas", "DataFrame"):
            raise DataError("a table of mixed kinds must be a DataFrame of pandas here", "Give df.to_pandas().")
        if named:
            rows = checked_input(self, X, reset=reset, missing=missing)
            rows = rows if missing else rows.mask(rows == self.missing_values)
            return rows, np.asarray(rows.isna(), dtype=bool)
        rows = np.asarray(checked_input(self, X, reset=reset, missing=missing, dtype=DTYPES))
        rows = rows if missing else np.where(rows == self.missing_values, np.nan, rows)
        if names_of(self) is not None:
            rows = library("pandas").DataFrame(rows, columns=names_of(self))
        return rows, np.isnan(np.asarray(rows, dtype=np.float64))

    def transform(self, X: Any) -> Any:
        """Return rows with every missing entry filled, and the columns of the indicator after them.

        Entries that are there stay as they are. Columns that were constant in `fit` are filled with their value.
        """
        check_is_fitted(self)
        rows, holes = self._read(X, reset=False)
        filled = rows.copy()
        if holes[:, self._kept].any():
            filled = _with_columns(filled, self._kept, self._imputed(_columns(rows, self._kept)))
        for d in np.flatnonzero(~np.isnan(self._fallback)):  # of columns that the model is not of
            filled = _with_holes_filled(filled, int(d), self._fallback[d])
        filled = _columns(filled, self._out)
        if self._is_numeric:
            filled = np.asarray(filled, dtype=filled.dtype if isinstance(filled, np.ndarray) else np.float64)
        if self._indicated is None:
            return filled
        marks = holes[:, self._indicated].astype(np.float64)
        if isinstance(filled, np.ndarray):
            return np.hstack([filled, marks])
        names = self.get_feature_names_out()[len(self._out) :]
        return filled.assign(**{str(name): marks[:, i] for i, name in enumerate(names)})

    def _imputed(self, rows: Any) -> Any:
        """Return the columns of the model, filled: an array, or a DataFrame for one of mixed kinds."""
        part = self.run_.chosen(rows, self.seed_, True, own="all")
        with in_turn():
            completion = self.run_.completion(part, m=1, seed=self.seed_)
        if not isinstance(completion, TableCompletion):
            x = completion.x[0] if self.sample_posterior else completion.mean
            return x.reshape(len(x), -1)
        if self._is_numeric:
            x, own = completion.x[0] if self.sample_posterior else completion.point, np.array(rows, dtype=np.float64)
            columns, x, known = spread(completion.columns, x, np.ones(x.shape, dtype=bool))
            names = [str(i + 1) for i in range(own.shape[1])] if isinstance(rows, np.ndarray) else list(rows.columns)
            for i, column in enumerate(columns):
                d = names.index(column.name)
                own[:, d] = np.where(np.isnan(own[:, d]) & known[:, i], _numbers(column, x[:, i]), own[:, d])
            return own
        table = next(iter(completion.versions())) if self.sample_posterior else completion.table()
        return table.data

    @property
    def indicator_(self) -> MissingIndicator | None:
        """The `MissingIndicator` of the columns that had missing entries in `fit`; None without `add_indicator`."""
        if self._indicated is None:
            return None
        holes = np.isin(np.arange(self.n_features_in_), self._indicated)
        return MissingIndicator(error_on_new=False).fit(np.where(holes, np.nan, 0.0)[None])

    @property
    def _out(self) -> list[int]:
        """The numbers of the columns that are given back."""
        left = () if self.keep_empty_features else self._empty
        return [d for d in range(self.n_features_in_) if d not in left]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Args:
            input_features: names of the columns of X, where `fit` was given none.
        """
        check_is_fitted(self)
        names = np.asarray(_check_feature_names_in(self, input_features), dtype=object)
        marks = [f"missingindicator_{names[d]}" for d in self._indicated or ()]
        return np.concatenate([names[self._out], np.asarray(marks, dtype=object)])


def _columns(rows: Any, kept: Any) -> Any:
    """Return some columns of an array or a DataFrame."""
    return rows[:, kept] if isinstance(rows, np.ndarray) else rows.iloc[:, kept]


def _varies(rows: Any, holes: np.ndarray, d: int, numeric: bool) -> bool:
    """Return whether a column has two different entries; of tables of mixed kinds, whether it has any."""
    if not numeric:
        return not holes[:, d].all()
    known = _known(rows, holes, d)
    return len(known) > 1 and bool((known != known[0]).any())


def _mean(rows: Any, holes: np.ndarray, d: int, numeric: bool) -> float:
    """Return the mean of a column of numbers, and 0 of one without entries; NaN of other columns."""
    if holes[:, d].all():
        return 0.0
    return float(_known(rows, holes, d).mean()) if numeric else np.nan


def _known(rows: Any, holes: np.ndarray, d: int) -> np.ndarray:
    """Return the entries of a column that are there."""
    return np.asarray(_columns(rows, [d])[~holes[:, d]], dtype=np.float64)[:, 0]


def _with_columns(rows: Any, kept: list[int], values: Any) -> Any:
    """Return rows with other columns in these places."""
    if isinstance(rows, np.ndarray):
        rows[:, kept] = values
        return rows
    columns = [rows.iloc[:, d] for d in range(rows.shape[1])]
    for i, d in enumerate(kept):
        columns[d] = _columns(values, [i]).iloc[:, 0] if not isinstance(values, np.ndarray) else values[:, i]
    frame = library("pandas").DataFrame(dict(enumerate(columns)), index=rows.index)
    return frame.set_axis(rows.columns, axis=1)


def _with_holes_filled(rows: Any, d: int, value: float) -> Any:
    """Return rows with a value in the entries of a column that are still missing."""
    if isinstance(rows, np.ndarray):
        rows[np.isnan(rows[:, d]), d] = value
        return rows
    column = rows.iloc[:, d]
    return rows if column.notna().all() else _with_columns(rows, [d], column.fillna(value).to_frame())


def _numbers(column: Column, values: np.ndarray) -> np.ndarray:
    """Return values [N] as a data set stores them as numbers: those of levels are what their names say."""
    if not column.is_levelled:
        return values
    levels = np.array([TRUTHS.get(name.lower(), np.nan) if name.isalpha() else float(name) for name in column.levels])
    return levels[np.clip(np.rint(np.nan_to_num(values)), 0, len(levels) - 1).astype(np.int64)]
