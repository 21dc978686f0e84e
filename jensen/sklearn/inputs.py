"""The X of estimators: checked as scikit-learn asks, and in a form that jensen reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from ..data.typed_frames import is_of

__all__ = ["checked_input", "is_named_table", "is_nan", "is_numeric_table", "names_of"]

TABLES = (("pandas", "DataFrame"), ("polars", "DataFrame"))


def is_nan(mark: Any) -> bool:
    """Return whether a mark of missing entries is NaN, None or null.

    Example:
        >>> is_nan(float("nan")), is_nan(-1), is_nan("?")
        (True, False, False)
    """
    return mark is None or str(mark) == "<NA>" or (isinstance(mark, float | np.floating) and bool(np.isnan(mark)))


def is_named_table(X: Any) -> bool:
    """Return whether X is a DataFrame whose columns have names, and not numbers."""
    return any(is_of(X, *table) for table in TABLES) and all(isinstance(name, str) for name in X.columns)


def is_numeric_table(X: Any) -> bool:
    """Return whether all columns of a DataFrame hold numbers or truth values."""
    if is_of(X, "polars", "DataFrame"):
        return all(dtype.is_numeric() or str(dtype) == "Boolean" for dtype in X.dtypes)
    return all(str(dtype) != "category" and getattr(dtype, "kind", "O") in "biuf" for dtype in X.dtypes)


def names_of(estimator: Any) -> list[str] | None:
    """Return the names of the columns that an estimator was fitted with; None where they had none."""
    names = vars(estimator).get("feature_names_in_")
    return None if names is None else [str(name) for name in names]


def checked_input(
    estimator: Any, X: Any, *, reset: bool, missing: bool, dtype: Any = "numeric", least_columns: int = 1
) -> Any:
    """Return the rows for jensen: a table with names as it is, of anything else an array of numbers [N, D].

    An array for an estimator that was fitted with names is given back as a mapping of columns.

    Args:
        estimator: that is fitted, or uses them.
        X: as it was given.
        reset: True in `fit`, which learns the number and the names of columns.
        missing: whether entries may be missing (NaN).
        dtype: of the array that is made of X; "numeric" leaves tables as they are, and arrays in their type.
        least_columns: that there must be.

    Raises:
        ValueError, TypeError: X is sparse, has no rows, other columns, or entries that are no finite numbers.
    """
    finite: Any = "allow-nan" if missing else True
    least = 2 if reset else 1
    takes_names = reset or names_of(estimator) is not None
    if isinstance(dtype, str) and takes_names and is_named_table(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if is_numeric_table(X):
            check_array(
                X,
                ensure_all_finite=finite,
                ensure_min_samples=least,
                ensure_min_features=least_columns,
                estimator=estimator,
                input_name="X",
            )
        elif len(X) < least:
            raise ValueError(f"Found array with {len(X)} sample(s) while a minimum of {least} is required.")
        return X
    array = validate_data(
        estimator,
        X,
        reset=reset,
        dtype=dtype,
        ensure_all_finite=finite,
        ensure_min_samples=least,
        ensure_min_features=least_columns,
    )
    names = names_of(estimator)
    return array if names is None or not isinstance(dtype, str) else dict(zip(names, np.asarray(array).T, strict=True))
