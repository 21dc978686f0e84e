"""Likelihoods by name: what each needs of the data, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.distributions import Distribution, Independent

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

__all__ = ["LIKELIHOODS", "in_own_units", "likelihood_of"]

Floor = Callable[[], float]
CHUNK = 4096


def _bernoulli(schema: Schema, floor: Floor) -> Family:
    if schema.kind != "binary":
        raise DataError(
            f"a Bernoulli likelihood needs values 0 and 1, and these are {_held(schema)}",
            "Name a binarisation: --binarize dynamic (or static, threshold).",
        )
    return Bernoulli(schema.size)


def _levels(schema: Schema) -> int:
    if schema.kind != "integers":
        raise DataError(
            f"a discretised likelihood needs integers 0..L-1, and these are {schema.kind}", "Use --likelihood auto."
        )
    return schema.levels or 256


def _logistic(schema: Schema, floor: Floor) -> Family:
    return DiscretizedLogistic(schema.size, _levels(schema))


def _logistics(schema: Schema, floor: Floor) -> Family:
    channels = schema.shape[2] if schema.is_image else 1
    most = 6 if channels <= 3 else channels  # components that make whole planes of a convolution
    return DiscretizedLogisticMixture(schema.size, channels, _levels(schema), most)


def _density(make: Callable[[int, Floor], Family]) -> Callable[[Schema, Floor], Family]:
    """A density over reals."""

    def made(schema: Schema, floor: Floor) -> Family:
        if schema.kind != "real":
            raise DataError(
                f"a density over {_held(schema)} has no upper bound",
                "Use --likelihood auto, or spread the values with --dequantize.",
            )
        return make(schema.size, floor)

    return made


def _beta(dim: int, floor: Floor) -> Family:
    floor()  # constant columns are refused here too
    return Beta(dim)


def _counts(make: Callable[[int], Family]) -> Callable[[Schema, Floor], Family]:
    return lambda schema, floor: make(schema.size)


@dataclass(frozen=True)
class _Named:
    """A likelihood: how it is made, and the values it is for, where their kind does not say it all."""

    make: Callable[[Schema, Floor], Family]
    needs: str = ""
    remedy: str = ""


_WHOLE = (
    "whole numbers from 0",
    "Counts are modelled as they are: leave --standardize to itself; for other values use --likelihood auto.",
)
_UNIT = "Give values in that range, and leave --standardize to itself: they are then modelled as they are."

LIKELIHOODS: dict[str, _Named] = {
    "bernoulli": _Named(_bernoulli),
    "discretized-logistic": _Named(_logistic),
    "discretized-logistic-mixture": _Named(_logistics),
    "gaussian": _Named(_density(lambda dim, floor: Gaussian(dim, "each", floor()))),
    "gaussian-shared": _Named(_density(lambda dim, floor: Gaussian(dim, "shared", floor()))),
    "gaussian-optimal": _Named(_density(lambda dim, floor: Gaussian(dim, "optimal", floor()))),
    "gaussian-unit": _Named(_density(lambda dim, floor: Gaussian(dim, 1.0))),
    "laplace": _Named(_density(lambda dim, floor: Laplace(dim, floor()))),
    "student-t": _Named(_density(lambda dim, floor: StudentT(dim, None, floor()))),
    "log-normal": _Named(_density(lambda dim, floor: LogNormal(dim, floor())), "values above 0", _UNIT),
    "beta": _Named(_density(_beta), "values between 0 and 1, both excluded", _UNIT),
    "continuous-bernoulli": _Named(_density(lambda dim, floor: ContinuousBernoulli(dim)), "values from 0 to 1", _UNIT),
    "poisson": _Named(_counts(Poisson), *_WHOLE),
    "negative-binomial": _Named(_counts(NegativeBinomial), *_WHOLE),
    "zip": _Named(_counts(lambda dim: ZeroInflated(Poisson(dim))), *_WHOLE),
    "zinb": _Named(_counts(lambda dim: ZeroInflated(NegativeBinomial(dim))), *_WHOLE),
}


def in_own_units(name: str) -> bool:
    """Whether the likelihood of that name is for a range of its own, which standardised values would leave."""
    return name in LIKELIHOODS and bool(LIKELIHOODS[name].needs)


_AUTO = {"binary": "bernoulli", "integers": "discretized-logistic", "real": "gaussian"}


def likelihood_of(name: str, schema: Schema, rows: Rows, floor: Floor) -> Family:
    """The family of p(x | z) by name; "auto" goes by the kind of the data.

    Args:
        name: one of `LIKELIHOODS`, or "auto".
        schema, rows: of the training data as the model sees them.
        floor: the floor of a learned scale, or a refusal of constant columns.

    Raises:
        DataError: the data are not in the family's support.
        UsageError: there is no such family.
    """
    named = LIKELIHOODS.get(_AUTO[schema.kind] if name == "auto" else name)
    if named is None:
        raise UsageError(f"there is no likelihood {name!r}", f"Choose from auto, {', '.join(LIKELIHOODS)}.")
    family = named.make(schema, floor)
    if named.needs:
        _check_support(name, named, family, rows)
    return family


def _check_support(name: str, named: _Named, family: Family, rows: Rows) -> None:
    """Look at every observed value of the training rows."""
    support = _features(family(torch.zeros(family.size))).support
    for batch in rows.batches(CHUNK):
        inside = support.check(batch.x)  # pyright: ignore[reportOptionalMemberAccess]
        if batch.mask is not None:
            inside = inside | ~batch.mask
        if not bool(inside.all()):
            row, column = (~inside).nonzero()[0].tolist()
            value = f"{float(batch.x[row, column]):g}"
            at = row if batch.index is None else int(batch.index[row])
            where = f"training row {at}, column {column} (from 0), is {value}"
            raise DataError(f"--likelihood {name} needs {named.needs}, and {where}", named.remedy)


def _features(d: Distribution) -> Distribution:
    return d.base_dist if isinstance(d, Independent) else d


def _held(schema: Schema) -> str:
    return {"binary": "values 0 and 1", "integers": f"integers of {schema.levels} levels"}.get(
        schema.kind, "real values"
    )
