"""Likelihoods by name, with the data that each needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.annotations import MOST_BINS
from ..core.batch import Rows
from ..core.errors import DataError, UsageError
from ..data import Schema
from ..families import (
    Bernoulli,
    Beta,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Family,
    Gaussian,
    Laplace,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflated,
)
from ..families.support import Support, Supports
from .columns import column_families

__all__ = ["LIKELIHOODS", "check_support", "in_own_units", "likelihood_of"]

Floor = Callable[[], float]
Make = Callable[[Schema, Rows, Floor], Family]
CHUNK = 4096


def _bernoulli(schema: Schema, rows: Rows, floor: Floor) -> Family:
    if schema.kind != "binary":
        raise DataError(
            f"a Bernoulli likelihood needs values 0 and 1, and these are {_values(schema)}",
            "Name a binarisation: --binarize dynamic (or static, threshold).",
        )
    return Bernoulli(schema.size)


def _levels(schema: Schema) -> int:
    if schema.kind != "integers":
        raise DataError(
            f"a discretised likelihood needs integers 0..L-1, and these are {schema.kind}", "Use --likelihood auto."
        )
    levels = schema.levels or 256
    if levels > MOST_BINS:
        raise DataError(
            f"a discretised likelihood has at most {MOST_BINS:,} levels, and these data have {levels:,}",
            "Spread the values with --dequantize, or model counts with --recipe count-vae.",
        )
    return levels


def _logistic(schema: Schema, rows: Rows, floor: Floor) -> Family:
    return DiscretizedLogistic(schema.size, _levels(schema))


def _logistic_mixture(schema: Schema, rows: Rows, floor: Floor) -> Family:
    channels = schema.shape[2] if schema.is_image else 1
    most = 6 if channels <= 3 else channels  # components that make whole planes of a convolution
    return DiscretizedLogisticMixture(schema.size, channels, _levels(schema), most)


def _density(make: Callable[[int, Floor], Family]) -> Make:
    """Return the constructor of a density over reals, which refuses other data."""

    def make_density(schema: Schema, rows: Rows, floor: Floor) -> Family:
        if schema.kind != "real":
            raise DataError(
                f"a density over {_values(schema)} has no upper bound",
                "Use --likelihood auto, or spread the values with --dequantize.",
            )
        return make(schema.size, floor)

    return make_density


def _beta(dim: int, floor: Floor) -> Family:
    floor()  # constant columns are refused here too
    return Beta(dim)


def _counts(make: Callable[[int], Family]) -> Make:
    """Return the constructor of a family of counts, which has no scale."""
    return lambda schema, rows, floor: make(schema.size)


def _columns(schema: Schema, rows: Rows, floor: Floor) -> Family:
    return column_families(schema, rows, floor())


@dataclass(frozen=True)
class _Likelihood:
    """A likelihood, and the values that it is for.

    Attributes:
        make: (schema, training rows, floor) -> family.
        own_units: whether its support would be left by standardised values.
        remedy: for values outside the support.
    """

    make: Make
    own_units: bool = False
    remedy: str = ""


_WHOLE = (
    True,
    "Counts are modelled as they are: leave --standardize out; for other values use --likelihood auto.",
)
_UNIT = "Give values in that range, and leave --standardize out: they are then modelled as they are."

LIKELIHOODS: dict[str, _Likelihood] = {
    "bernoulli": _Likelihood(_bernoulli),
    "discretized-logistic": _Likelihood(_logistic),
    "discretized-logistic-mixture": _Likelihood(_logistic_mixture),
    "gaussian": _Likelihood(_density(lambda dim, floor: Gaussian(dim, "each", floor()))),
    "gaussian-shared": _Likelihood(_density(lambda dim, floor: Gaussian(dim, "shared", floor()))),
    "gaussian-optimal": _Likelihood(_density(lambda dim, floor: Gaussian(dim, "optimal", floor()))),
    "gaussian-unit": _Likelihood(_density(lambda dim, floor: Gaussian(dim, 1.0))),
    "laplace": _Likelihood(_density(lambda dim, floor: Laplace(dim, floor()))),
    "student-t": _Likelihood(_density(lambda dim, floor: StudentT(dim, None, floor()))),
    "log-normal": _Likelihood(_density(lambda dim, floor: LogNormal(dim, floor())), True, _UNIT),
    "beta": _Likelihood(_density(_beta), True, _UNIT),
    "continuous-bernoulli": _Likelihood(_density(lambda dim, floor: ContinuousBernoulli(dim)), True, _UNIT),
    "poisson": _Likelihood(_counts(Poisson), *_WHOLE),
    "negative-binomial": _Likelihood(_counts(NegativeBinomial), *_WHOLE),
    "zip": _Likelihood(_counts(lambda dim: ZeroInflated(Poisson(dim))), *_WHOLE),
    "zinb": _Likelihood(_counts(lambda dim: ZeroInflated(NegativeBinomial(dim))), *_WHOLE),
    "columns": _Likelihood(_columns),
}


def in_own_units(name: str) -> bool:
    """Return whether the likelihood of that name needs a range that standardised values would leave."""
    return name in LIKELIHOODS and LIKELIHOODS[name].own_units


_AUTO = {"binary": "bernoulli", "integers": "discretized-logistic", "real": "gaussian", "mixed": "columns"}


def likelihood_of(name: str, schema: Schema, rows: Rows, floor: Floor, number: Callable[[int], int] = int) -> Family:
    """Return the family of p(x | z) of that name; "auto" depends on the kind of the data.

    Args:
        name: one of `LIKELIHOODS`, or "auto".
        schema, rows: of the training data as the model sees them.
        floor: returns the lower limit of a learned scale, or refuses constant columns.
        number: returns the number in its file of one of the rows.

    Raises:
        DataError: the data are outside the family's support.
        UsageError: there is no such family.
    """
    likelihood = LIKELIHOODS.get(_AUTO[schema.kind] if name == "auto" else name)
    if likelihood is None:
        raise UsageError(f"there is no likelihood {name!r}", f"Choose from auto, {', '.join(LIKELIHOODS)}.")
    family = likelihood.make(schema, rows, floor)
    if likelihood.own_units:
        check_support(family.support, rows, "training row {}", f"--likelihood {name}", likelihood.remedy, number)
    return family


def check_support(
    support: Support | Supports, rows: Rows, what: str, who: str, remedy: str, number: Callable[[int], int] = int
) -> None:
    """Refuse rows with an observed value outside the support of a likelihood.

    Args:
        support: of each feature.
        rows: as the model sees them.
        what: one of these rows, in words, with {} for its number.
        who: needs the support.
        remedy: for other values.
        number: returns the number in its file of a row.

    Raises:
        DataError: naming the row and the column of the first such value.
    """
    for batch in rows.batches(CHUNK):
        places = support.outside(batch.x, batch.mask)
        if len(places):
            row, column = places[0].tolist()
            at = number(row if batch.index is None else int(batch.index[row]))
            where = f"{what.format(at)}, column {column} (from 0), is {float(batch.x[row, column]):g}"
            raise DataError(f"{who} needs {support.column(column).words}, and {where}", remedy)


def _values(schema: Schema) -> str:
    """Return the kind of the values in words."""
    words = {"binary": "values 0 and 1", "mixed": "columns of mixed kinds"}
    return words.get(schema.kind, f"integers of {schema.levels} levels" if schema.levels else "real values")
