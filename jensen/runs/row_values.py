"""The values of an evaluation for each row, beside the columns that say which row it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from torch import Tensor

from ..evaluate import Estimate, Kind
from ..evaluate.quantity import Quantity

__all__ = ["identity_columns", "row_values", "value_name"]

LOWER, UPPER = (Kind.LOWER, Kind.STOCHASTIC_LOWER), (Kind.STOCHASTIC_UPPER,)


def identity_columns(
    numbers: np.ndarray | None,
    files: np.ndarray | None,
    identifiers: Mapping[str, np.ndarray],
    labels: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    taken: Iterable[str] = (),
) -> dict[str, np.ndarray]:
    """Return the columns [N] that say which row it is.

    Args:
        numbers: "row", from 0.
        files: "file".
        identifiers: further columns by their names.
        labels: "label"; one that is not known is empty.
        classes: the names of the labels.
        taken: names of other columns, which none of these has.

    Example:
        >>> cells = {"cell": np.array(["a", "b"])}
        >>> columns = identity_columns(np.arange(2), None, cells, np.array([1, -1]), ("x", "y"))
        >>> {name: values.tolist() for name, values in columns.items()}
        {'row': [0, 1], 'cell': ['a', 'b'], 'label': ['y', '']}
    """
    known = {"row": numbers, "file": files, **{f"id:{name}": values for name, values in identifiers.items()}}
    if labels is not None:
        known["label"] = np.array([_class_name(int(i), classes) for i in labels], dtype=str)
    columns: dict[str, np.ndarray] = {}
    others = dict.fromkeys(taken)
    for name, values in known.items():
        if values is not None:
            columns[_free(name.removeprefix("id:"), {**others, **columns})] = values
    return columns


def _class_name(number: int, classes: Sequence[str] | None) -> str:
    """Return the name of a class, its number where there are no names, and nothing where the class is not known."""
    if number < 0:
        return ""
    return classes[number] if classes and number < len(classes) else str(number)


def _free(name: str, used: Mapping[str, object]) -> str:
    """Return a name that is not used: the name itself, or with a number."""
    return next(free for i in range(1, len(used) + 2) if (free := name if i == 1 else f"{name} ({i})") not in used)


def value_name(kind: Kind, quantity: Quantity) -> str:
    """Return the name of the column of log p(x), which says if it is a bound.

    Example:
        >>> value_name(Kind.EXACT, Quantity()), value_name(Kind.STOCHASTIC_LOWER, Quantity("label"))
        ('log_px', 'log_px_given_label_lower_bound')
    """
    side = "_lower_bound" if kind in LOWER else "_upper_bound" if kind in UPPER else ""
    of = "xs" if quantity.of_pattern else "x"
    return f"log_p{of}{'' if quantity.condition is None else f'_given_{quantity.condition}'}{side}"


def row_values(estimate: Estimate, quantity: Quantity, identity: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns [N] of a table of all rows: those that identify them, then numbers in nats per datum.

    These are the kind of the number; log p(x), or the bound on it that its name says, with its Monte Carlo standard
    error; ELBO, rate and distortion; effective sample size and k-hat of the weights. One that is not known is NaN.
    """
    variance = estimate.variance_mc
    numbers = {
        value_name(estimate.kind, quantity): estimate.nats,
        "stderr_mc": None if variance is None else variance.double().sqrt(),
        "elbo": estimate.elbo,
        "rate": estimate.rate,
        "distortion": estimate.distortion,
        "ess": estimate.ess,
        "k_hat": estimate.k_hat,
    }
    n = next(len(v) for v in (estimate.nats, estimate.distortion) if v is not None)
    table = {"kind": np.full(n, str(estimate.kind) if estimate.k is None else f"{estimate.kind}, K = {estimate.k}")}
    table |= {name: np.full(n, np.nan) if v is None else _array(v) for name, v in numbers.items()}
    columns: dict[str, np.ndarray] = {}
    for name, values in identity.items():
        columns[_free(name, {**table, **columns})] = values
    return {**columns, **table}


def _array(values: Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()
