"""The fields of a specification: their names, types and limits, and those that must agree with each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from ..core.annotations import LARGEST_NUMBER
from ..core.errors import CorruptRunError, JensenError
from ..core.part_checks import shown_text
from ..data import Conditions, Labels, Schema
from ..data.dialects import Dialect
from ..data.selection import Fit

__all__ = ["check_fields"]

DEEPEST = 200  # levels of lists and objects in each other
SUMS = 1e-6  # largest difference from 1 of the sum of fractions
MOST_LEVELS = 2**53
LONGEST_NAME = 255  # bytes of a file's, or of a folder's

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Place = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z", max_length=4000)]  # a path, or a name that may be one
Words = Annotated[str, msgspec.Meta(max_length=2**20)]
Word = Annotated[str, msgspec.Meta(max_length=200)]
Numbers = float | list[float] | None
Text = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z", max_length=2**24)]  # names of columns, perhaps many
Scalar = bool | int | float | Text | None


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """An object of a specification, with all fields that it may have."""


class _Data(_Strict):
    name: Place
    location: Place
    beside: Place
    readable: bool
    labels_from: Place | None
    resize: tuple[Size, Size] | None
    sha256: Word
    n: Count
    missing: Count
    schema: dict[str, Any]
    classes: dict[str, Any] | None
    conditions: dict[str, Any] | None = None
    fit: Fit | None = None
    dialect: dict[Word, Word] = {}
    ranges: list[tuple[float, float] | None] | None = None


class _Tested(_Strict):
    location: Place
    beside: Place
    labels_from: Place | None
    own_labels: Place | None
    sha256: Word
    n: Count


class _Sizes(_Strict):
    train: Count
    valid: Count
    test: Count


class _Split(_Strict):
    fractions: tuple[Share, Share, Share]
    seed: Count
    sizes: _Sizes
    test: _Tested | None
    duplicates_of_training_rows: dict[Word, Count]


class _Preparation(_Strict):
    binarize: Literal["static", "dynamic", "threshold"] | None
    dequantize: bool
    center: Numbers
    scale: Numbers
    seed: Count
    fill: Numbers


class _Optimizer(_Strict):
    name: Word
    lr: Annotated[float, msgspec.Meta(gt=0, le=LARGEST_NUMBER)]
    options: list[tuple[Word, Scalar | list[Scalar]]]


class _Trees(_Strict):
    objective: dict[str, Any]
    estimator: dict[str, Any]
    closed: dict[str, Any] | None
    optimizer: _Optimizer | None
    parameters: list[Word] | None


class _Player(_Strict):
    objective: Words
    estimator: Words
    during: tuple[Share, Share]
    steps: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    parts: _Trees | None


class _Choices(_Strict):
    device: Word
    dtype: Literal["float32", "float64"]
    precision: Word
    threads: Count
    epochs: Positive
    steps_per_epoch: Count
    keep: Literal["best", "last"]
    patience: Positive | None = None
    patience_changed: bool = False
    stream: bool = False
    processes: Annotated[int, msgspec.Meta(ge=2, le=2**20)] | None = None
    own_noise: bool = False
    launch: Words | None = None
    regrouped: list[Positive] = []


class _Earlier(_Strict):
    format: Count
    weights: Word
    belongs: Word = ""


class _Spec(_Strict):
    """All fields of a specification: damage, and fields of a later version, are found when a run is opened."""

    format: int
    jensen: Word
    sentence: Words
    command: dict[Word, Scalar | list[Scalar]]
    model: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=2, max_length=2)]
    players: list[_Player]
    data: _Data
    split: _Split
    preparation: _Preparation
    choices: _Choices
    versions: dict[Word, Word]
    earlier: _Earlier | None = None


def check_fields(spec: Mapping[str, Any]) -> None:
    """Refuse fields of another name, type or range, and those that do not agree with each other.

    Args:
        spec: of the present format.

    Raises:
        ValueError: naming the field (`msgspec.ValidationError` for a single one).
    """
    if _depth(spec) > DEEPEST:
        raise ValueError(f"lists and objects are nested in more than {DEEPEST} levels")
    checked = msgspec.convert(spec, _Spec)
    schema = _checked_schema(checked.data.schema)
    for problem in _disagreements(checked, schema):
        raise ValueError(problem)


def _depth(spec: Any) -> int:
    """Return how deeply lists and objects are nested; without recursion, since it may be too deep for that."""
    level, depth = [spec], 0
    while level and depth <= DEEPEST:
        inner = (v.values() if isinstance(v, Mapping) else v if isinstance(v, list) else () for v in level)
        level, depth = [entry for values in inner for entry in values], depth + 1
    return depth


def _checked_schema(plain: Mapping[str, Any]) -> Schema:
    if unknown := plain.keys() - Schema.__dataclass_fields__.keys():
        field = shown_text(min(unknown))
        raise msgspec.ValidationError(f"Object contains unknown field `{field}` - at `$.data.schema`")
    try:
        return msgspec.convert(plain, Schema)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{error} in $.data.schema") from error


def _disagreements(spec: _Spec, schema: Schema) -> Iterator[str]:
    """Yield what is wrong with fields that are well-formed each for itself."""
    sizes, fractions = spec.split.sizes, spec.split.fractions
    if sizes.train + sizes.valid + sizes.test != spec.data.n:
        yield "the parts of the split are not as many rows as the data"
    if abs(sum(fractions) - 1) > SUMS:
        yield f"the fractions of the split, {fractions}, do not sum to 1"
    if not all(size <= 2**31 for size in schema.shape) or (schema.levels or 1) > MOST_LEVELS:
        yield f"a datum of the shape {schema.shape} cannot be"
    if schema.names is not None and len(schema.names) != schema.size:
        yield f"{len(schema.names)} names of columns for {schema.size} features"
    for name, values in (("center", spec.preparation.center), ("scale", spec.preparation.scale)):
        yield from _wrong_numbers(name, values, schema.size, positive=name == "scale")
    yield from _wrong_numbers("fill", spec.preparation.fill, schema.size, positive=False)
    if any(player.during[0] >= player.during[1] for player in spec.players):
        yield "a player's share of the epochs ends before it begins"
    records = [spec.data] if spec.split.test is None else [spec.data, spec.split.test]
    names = [name for r in records for name in (r.location, r.beside, r.labels_from or "")]
    if any(len(part.encode()) > LONGEST_NAME for name in names for part in name.split("/")):
        yield "a place of data has a longer name than a file can have"
    if spec.data.ranges is not None and len(spec.data.ranges) != schema.size:
        yield f"{len(spec.data.ranges)} ranges of columns for {schema.size} features"
    try:
        Dialect.from_dict(spec.data.dialect)
    except CorruptRunError as error:
        yield error.what
    if spec.data.classes is not None:
        yield from _wrong_classes(spec.data.classes)
    if spec.data.conditions is not None:
        yield from _wrong_conditions(spec.data.conditions)


def _wrong_numbers(name: str, values: Numbers, size: int, *, positive: bool) -> Iterator[str]:
    """Yield what is wrong with one number for all features, or one for each."""
    entries = [values] if isinstance(values, float | int) else values or []
    if isinstance(values, list) and len(values) != size:
        yield f"preparation.{name} has {len(values)} numbers for {size} features"
    if not all(math.isfinite(v) and abs(v) <= LARGEST_NUMBER and (v > 0 or not positive) for v in entries):
        yield f"preparation.{name} must hold {'positive ' if positive else ''}numbers within the range of float32"


def _wrong_conditions(plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the record of several labels."""
    try:
        conditions = Conditions.from_dict(plain)
    except JensenError as error:
        yield f"data.conditions: {error.what}"
        return
    if conditions.to_dict().keys() != plain.keys():
        yield "data.conditions has other fields than a record of labels"


def _wrong_classes(plain: Mapping[str, Any]) -> Iterator[str]:
    try:
        labels = msgspec.convert(plain, Labels)
    except msgspec.ValidationError as error:
        yield f"{error} in $.data.classes"
        return
    fields = Labels.__dataclass_fields__.keys()
    if plain.keys() | {"called"} != fields or not len(labels.values) == len(labels.names) >= 2:
        yield "data.classes does not name every class"
    if len(labels.counts) != len(labels.values) or min(labels.counts, default=0) < 0:
        yield "data.classes does not count every class"
    if any(a >= b for a, b in zip(labels.values, labels.values[1:], strict=False)):
        yield "the numbers of data.classes do not rise"
    if any(abs(v) > 2**53 for v in (*labels.values, *labels.counts)):
        yield "data.classes holds a number that is too large"
