"""The families of the columns of a table of mixed kinds: by kind, by name, and by held-out likelihood."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core.batch import Batch, Rows
from ..core.errors import UsageError
from ..core.random import stream
from ..core.rows import evenly_spaced
from ..data import Schema
from ..data.column_scales import location_scale
from ..data.columns import Column
from ..data.number_kinds import LARGEST
from ..families import (
    BOUND,
    Choices,
    Columns,
    Family,
    GaussianMixtures,
    HeapedIntegers,
    IntegerMixtures,
    Integers,
    NegativeBinomial,
    Ordinal,
    StudentT,
    VonMises,
    ZeroInflated,
)
from ..nets import EncodeColumns
from ..nets.columns import ColumnCode
from .heaps import heaps_of
from .marginals import fit_marginals, held_out_gain

__all__ = [
    "FAMILIES",
    "column_encoding",
    "column_families",
    "column_rows",
    "holed_columns",
    "parsed_families",
    "start_from_columns",
]

ROWS = 1000  # by which families are chosen and started
MANY = 20_000  # by which frequent values are
WIDER = 1.5  # times the deviation of logarithms, the upper limit of the scale of a component
COMPONENTS = 3  # of the mixture of a column, given z
COARSEST = 0.1  # standard deviations: no floor that follows from the rounding of numbers is above it
NUMBERS = ("real", "datetime")
WHOLE = ("integer", "count")


@dataclass(frozen=True)
class _Group:
    """Columns of one family.

    Attributes:
        columns: of the table.
        floors: the lower limit of the scale of each.
        values: [N] observed prepared values of each.
        heaps: values of each that have a mass of their own.
    """

    columns: Sequence[Column]
    floors: tuple[float, ...]
    values: Sequence[np.ndarray]
    heaps: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def levels(self) -> tuple[int, ...]:
        """The number of levels of each column."""
        return tuple(len(c.levels) for c in self.columns)

    @property
    def places(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Centre and scale of whole numbers."""
        center, scale = zip(*map(location_scale, self.values), strict=True)
        return center, tuple(max(s, 0.5) for s in scale)

    @property
    def limits(self) -> tuple[tuple[float | None, ...], bool]:
        """The least value of each column of whole numbers, and whether some are too large for single precision."""
        lowest = (0.0 if c.kind == "count" else c.low for c in self.columns)
        return tuple(v if v is None else float(v) for v in lowest), any(map(_are_large, self.values))


Make = Callable[[_Group], Family]


def _heaped(group: _Group) -> Family:
    """Return mixtures with heaps; without them where no column has any."""
    if not any(group.heaps):
        return IntegerMixtures(len(group), COMPONENTS, *group.places, *group.limits)
    return HeapedIntegers(len(group), COMPONENTS, *group.places, group.heaps, *group.limits)


def _mixtures(n: int) -> Make:
    """Return the constructor of mixtures of n normal distributions of x, log x or logit x.

    No component of logarithms is much wider than these are: the mean of x would grow as exp of the square of its scale.
    """

    def make(group: _Group) -> Family:
        values = tuple({"positive": "positive", "bounded": "unit"}.get(c.kind, "real") for c in group.columns)
        logs = (np.log(v).std() if of == "positive" else 0.0 for v, of in zip(group.values, values, strict=True))
        widest = tuple(
            max(WIDER * float(deviation), 2 * floor) if deviation else BOUND
            for deviation, floor in zip(logs, group.floors, strict=True)
        )
        return GaussianMixtures(len(group), n, group.floors, values, widest)  # pyright: ignore[reportArgumentType]

    return make


@dataclass(frozen=True)
class _Choice:
    """A family by name.

    Attributes:
        kinds: of the columns that it is for.
        make: the family of a group of them; columns with the same one are a group.
    """

    kinds: Sequence[str]
    make: Make


ONE, SEVERAL = _mixtures(1), _mixtures(COMPONENTS)
FAMILIES: dict[str, _Choice] = {
    "gaussian": _Choice(NUMBERS, ONE),
    "student-t": _Choice(NUMBERS, lambda g: StudentT(len(g), None, min(g.floors))),
    "gaussian-mixture": _Choice(NUMBERS, SEVERAL),
    "log-normal": _Choice(("positive",), ONE),
    "log-normal-mixture": _Choice(("positive",), SEVERAL),
    "logit-normal": _Choice(("bounded",), ONE),
    "logit-normal-mixture": _Choice(("bounded",), SEVERAL),
    "von-mises": _Choice(("circular",), lambda g: VonMises(len(g), g.floors)),
    "integer": _Choice(WHOLE, lambda g: Integers(len(g), *g.places, *g.limits)),
    "integer-mixture": _Choice(WHOLE, lambda g: IntegerMixtures(len(g), COMPONENTS, *g.places, *g.limits)),
    "heaped": _Choice(WHOLE, _heaped),
    "negative-binomial": _Choice(("count",), lambda g: NegativeBinomial(len(g))),
    "zinb": _Choice(("count",), lambda g: ZeroInflated(NegativeBinomial(len(g)))),
    "ordinal": _Choice(("ordinal",), lambda g: Ordinal(g.levels)),
    "categorical": _Choice(("ordinal", "categorical", "boolean"), lambda g: Choices(g.levels)),
}
# by kind, the first unless another one is better on rows that it was not fitted to
CANDIDATES: dict[str, tuple[str, ...]] = {
    "real": ("gaussian-mixture", "student-t"),
    "datetime": ("gaussian-mixture", "student-t"),
    "positive": ("log-normal-mixture", "log-normal"),
    "bounded": ("logit-normal-mixture", "logit-normal"),
    "circular": ("von-mises",),
    "integer": ("integer-mixture", "integer"),
    "count": ("integer-mixture", "negative-binomial"),
    "ordinal": ("ordinal",),
    "categorical": ("categorical",),
    "boolean": ("categorical",),
}
WITHOUT_NODES = ("negative-binomial", "zinb")  # under which no expectation is a sum (see `models.masking`)
SIMPLE = {"real": "gaussian", "datetime": "gaussian", "positive": "log-normal", "bounded": "logit-normal"}
SIMPLE |= {"circular": "von-mises", "integer": "integer", "count": "integer", "ordinal": "ordinal"}
SIMPLE |= {"categorical": "categorical", "boolean": "categorical"}

CODES: dict[str, ColumnCode] = {
    "real": "number",
    "datetime": "number",
    "positive": "log",
    "bounded": "logit",
    "circular": "angle",
    "integer": "number",
    "count": "counts",
    "ordinal": "order",
    "categorical": "levels",
    "boolean": "levels",
}


def parsed_families(text: str | None) -> dict[str, str]:
    """Return families by column, from "age=student-t,income=log-normal".

    Raises:
        UsageError: a pair without "=", or a family that does not exist.

    Example:
        >>> parsed_families("age=student-t, income=log-normal")
        {'age': 'student-t', 'income': 'log-normal'}
    """
    pairs = [pair.rpartition("=") for pair in (text or "").split(",") if pair.strip()]
    for column, sign, family in pairs:
        if not sign or family.strip() not in FAMILIES:
            what = f"--families has {column}{sign}{family}, which is no COLUMN=FAMILY"
            raise UsageError(what, f"Families are {', '.join(FAMILIES)}.")
    return {column.strip(): family.strip() for column, _, family in pairs}


def column_rows(rows: Rows) -> Batch:
    """Return at most 1,000 rows, evenly spaced, by which families are chosen and started."""
    index = evenly_spaced(len(rows), ROWS, rows.device)
    return rows.take(index, stream(0, "columns", rows.device))


def _heaps(schema: Schema, rows: Rows) -> list[tuple[float, ...]]:
    """Return for each column of whole numbers the values that are heaps in at most 20,000 rows."""
    columns, index = schema.columns or (), evenly_spaced(len(rows), MANY, rows.device)
    batch = rows.take(index, stream(0, "columns", rows.device)) if any(c.kind in WHOLE for c in columns) else None
    return [
        () if batch is None or c.kind not in WHOLE else heaps_of(_observed(batch, i)) for i, c in enumerate(columns)
    ]


def _are_large(values: np.ndarray) -> bool:
    """Return whether some of these whole numbers [N] are others in single precision."""
    return bool(len(values)) and float(np.abs(values).max()) > LARGEST


def holed_columns(rows: Rows) -> tuple[int, ...]:
    """Return the numbers of the columns with a missing entry."""
    return () if rows.mask is None else tuple((~rows.mask.all(0)).nonzero()[:, 0].tolist())


def column_encoding(schema: Schema, rows: Rows) -> EncodeColumns:
    """Return the features of the columns of a mixed table for a network, standardised by training rows."""
    columns, batch = schema.columns or (), column_rows(rows)
    net = EncodeColumns(tuple(CODES[c.kind] for c in columns), tuple(len(c.levels) for c in columns))
    return net.set(batch.x, batch.mask)


def start_from_columns(bias: Tensor, family: Columns, rows: Rows, free: Tensor | None = None) -> None:
    """Set a decoder's last bias where columns are independent, each as likely as it can be; and what contexts share."""
    start, outputs = fit_marginals(family, column_rows(rows)), family.size - family.shared
    with torch.no_grad():
        bias.copy_(start[:outputs])
        if free is not None:
            free.copy_(start[outputs:])


def column_families(
    schema: Schema,
    rows: Rows,
    floor: float,
    named: Mapping[str, str] | None = None,
    *,
    simple: bool = False,
    self_masked: bool = False,
) -> Columns:
    """Return the families of the columns of a mixed table, in groups of one family each.

    A column has the family that is named for it, here or in the schema. Of others the kind decides between two, by the
    log-likelihood of rows that they were not fitted to.

    Args:
        schema: of mixed data.
        rows: the training rows as the model sees them.
        floor: the lower limit of scales; that of rounded values is half of their distance, where it is larger.
        named: families by column.
        simple: True for one component each, as a mixture over the whole table has them.
        self_masked: True to choose, for columns with missing entries, only families under which expectations are sums.

    Raises:
        UsageError: the data have no columns of their own kinds; there is no such column or family; or it is for columns
            of another kind.
    """
    if schema.columns is None:
        raise UsageError(
            f"columns of their own families need a table of mixed kinds, and these data are {schema.kind}",
            "Use --likelihood auto.",
        )
    batch = column_rows(rows)
    chosen = _named(schema.columns, named or {})
    names = [chosen.get(c.name) or (SIMPLE if simple else _first())[c.kind] for c in schema.columns]
    heaps = _heaps(schema, rows)
    if not simple:
        masked = holed_columns(rows) if self_masked else ()
        large = [c.kind in WHOLE and _are_large(_observed(batch, i)) for i, c in enumerate(schema.columns)]
        fixed = {
            c.name
            for i, c in enumerate(schema.columns)
            if _second(c) in WITHOUT_NODES and (i in masked or large[i])  # whose terms are lost in single precision
        }
        own = zip(schema.columns, names, heaps, strict=True)
        names = ["heaped" if at and c.name not in chosen else name for c, name, at in own]
        names = _better(schema.columns, names, heaps, batch, floor, fixed | chosen.keys())
    return _columns(schema.columns, names, heaps, batch, floor)


def _second(column: Column) -> str | None:
    """Return the family that a column has where it is better than the first; None where there is no choice."""
    return CANDIDATES[column.kind][1] if len(CANDIDATES[column.kind]) > 1 else None


def _first() -> dict[str, str]:
    """Return the family of each kind, where nothing is better."""
    return {kind: names[0] for kind, names in CANDIDATES.items()}


def _named(columns: Sequence[Column], named: Mapping[str, str]) -> dict[str, str]:
    """Return the families that were named, by column.

    Raises:
        UsageError: there is no such column or family, or it is for columns of another kind.
    """
    kinds = {c.name: c.kind for c in columns}
    absent = next((name for name in named if name not in kinds), None)
    if absent is not None:
        raise UsageError(
            f"--families names {absent!r}, and there is no such column", f"Columns are {', '.join(kinds)}."
        )
    chosen = {c.name: c.family for c in columns if c.family is not None} | dict(named)
    for column, name in chosen.items():
        suitable = [k for k, choice in FAMILIES.items() if kinds[column] in choice.kinds]
        if name not in suitable:
            what = f"column {column!r} is {kinds[column]}, and cannot have the family {name!r}"
            raise UsageError(what, f"Choose from {', '.join(suitable)}.")
    return chosen


def _better(
    columns: Sequence[Column],
    names: list[str],
    heaps: Sequence[tuple[float, ...]],
    batch: Batch,
    floor: float,
    chosen: Collection[str],
) -> list[str]:
    """Return the names with those replaced that another family of the kind surpasses on held-out rows."""
    others = {i: other for i, c in enumerate(columns) if (other := _second(c)) is not None}
    at = [i for i in others if columns[i].name not in chosen]
    if not at:
        return names
    few = [columns[i] for i in at]
    part = Batch(batch.x[:, at], None if batch.mask is None else batch.mask[:, at])
    few_heaps = [heaps[i] for i in at]
    first = _columns(few, [names[i] for i in at], few_heaps, part, floor)
    second = _columns(few, [others[i] for i in at], few_heaps, part, floor)
    better = {i for i, gain in zip(at, held_out_gain(first, second, part), strict=True) if gain > 0}
    return [others[i] if i in better else name for i, name in enumerate(names)]


def _columns(
    columns: Sequence[Column],
    names: Sequence[str],
    heaps: Sequence[tuple[float, ...]],
    batch: Batch,
    floor: float,
) -> Columns:
    """Return the families of these names: columns of one name and floor are a group."""
    values = [_observed(batch, i) for i in range(len(columns))]
    floors = [max(floor, _rounding(v, c.kind)) for v, c in zip(values, columns, strict=True)]
    groups: dict[Make, list[int]] = {}
    for i, name in enumerate(names):
        groups.setdefault(FAMILIES[name].make, []).append(i)
    families = [
        make(
            _Group(
                [columns[i] for i in at],
                tuple(floors[i] for i in at),
                [values[i] for i in at],
                tuple(heaps[i] for i in at),
            )
        )
        for make, at in groups.items()
    ]
    return Columns(tuple(families), tuple(map(tuple, groups.values())))


def _observed(batch: Batch, i: int) -> np.ndarray:
    """Return the observed values [N] of a column."""
    values = batch.x[:, i] if batch.mask is None else batch.x[batch.mask[:, i], i]
    return values.double().cpu().numpy()


def _rounding(values: np.ndarray, kind: str) -> float:
    """Return half of the least distance of the values of a column: a narrower scale would be that of their rounding."""
    transform = {"real": _same, "datetime": _same, "positive": np.log, "bounded": _logit, "circular": _same}.get(kind)
    distances = np.array([]) if transform is None else np.diff(np.unique(transform(values)))
    if not len(distances):
        return 0.0
    return min(float(distances.min()) / 2, COARSEST)


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _logit(x: np.ndarray) -> np.ndarray:
    return np.log(x) - np.log1p(-x)
