"""The columns of a table of mixed kinds: what the values of each are, and how they are stored as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ..core.errors import CorruptRunError, UsageError

__all__ = ["DISCRETE", "LEVELLED", "Column", "ColumnKind", "Determined"]

ColumnKind = Literal[
    "real",
    "positive",
    "bounded",
    "integer",
    "count",
    "ordinal",
    "categorical",
    "boolean",
    "datetime",
    "circular",
]
LEVELLED = ("ordinal", "categorical", "boolean")  # whose values are names, stored as their numbers
DISCRETE = (*LEVELLED, "integer", "count")  # of which p(x) is a mass; that of others is a density
MOST_DIGITS = 40  # before the point
_ENDS = ("bounded", "circular")


@dataclass(frozen=True)
class Column:
    """One column of a table of mixed kinds.

    A cell is stored as a number: a real, positive or bounded one, a whole number or a count as it is; a name as its
    number, from 0, among `levels`; a time as seconds since 1970-01-01 (UTC); an angle, an hour or a month within
    [low, high).

    Attributes:
        name: in the header.
        kind: of its values.
        levels: names of an ordinal (in order), categorical or boolean column, as they are written in the file.
        low, high: the ends of a bounded column, both excluded; of a circular one, which are the same point. An integer
            one can have low = 0, or another whole number: then no smaller one is possible, and none is drawn.
        decimals: digits after the point, as numbers are written; None: as many as they need.
        width: digits before the point at least, as in 01; None: as many as a number needs.
        stored: the type in the source, such as "text", "int64", "float32", "category" or "datetime64[ns]": what is
            written has it too. "object[bool]" is a column of Python's own objects, "category[int64]" one of numbers.
        format: of a time in text, as `datetime.strptime` takes it; "iso" for ISO 8601.
        missing: texts of this column that stand for missing entries, beside the usual ones.
        family: of p(x | z), by name; None leaves the choice to the recipe.
        determines: other columns of the table, whose values this one tells; they are no data of the model.
        header: what the source has in the place of `name`, if that is another: a name that occurs twice, or a number.

    Raises:
        UsageError: a kind that does not exist, names of levels where there are none or the other way round, or ends
            that are not two numbers in their order.

    Example:
        >>> Column("sex", "boolean", levels=("F", "M")).is_levelled
        True
        >>> Column.from_dict(Column("hour", "circular", low=0, high=24).to_dict()).high
        24
    """

    name: str
    kind: ColumnKind
    levels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    stored: str = "text"
    format: str | None = None
    missing: tuple[str, ...] = ()
    family: str | None = None
    width: int | None = None
    determines: tuple[Determined, ...] = ()
    header: str | int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ColumnKind):
            kinds = ", ".join(get_args(ColumnKind))
            raise UsageError(f"column {self.name!r} has no kind {self.kind!r}", f"Kinds are {kinds}.")
        if self.is_levelled != bool(self.levels):
            raise UsageError(
                f"column {self.name!r} is {self.kind} and has {len(self.levels)} levels",
                f"Give levels = [...] to columns that are {', '.join(LEVELLED)}, and to no others.",
            )
        if len(set(self.levels)) < len(self.levels):
            raise UsageError(f"column {self.name!r} has a level twice", "Name each level once.")
        if self.width is not None and self.width not in range(1, MOST_DIGITS + 1):
            raise UsageError(
                f"column {self.name!r} has width = {self.width!r}", f"Give a whole number from 1 to {MOST_DIGITS}."
            )
        if self.kind == "integer" and self.high is None and (self.low is None or float(self.low).is_integer()):
            return
        if (self.kind in _ENDS) != (self.low is not None and self.high is not None):
            raise UsageError(
                f"column {self.name!r} is {self.kind}, with ends {self.low} and {self.high}",
                f"Give low and high to columns that are {' or '.join(_ENDS)}, a whole low to integers, none to others.",
            )
        if self.low is not None and self.high is not None and not -math.inf < self.low < self.high < math.inf:
            raise UsageError(f"column {self.name!r} has the ends {self.low} and {self.high}", "Give low below high.")

    @property
    def written_name(self) -> str | int:
        """The name in the header of the source."""
        return self.name if self.header is None else self.header

    @property
    def is_levelled(self) -> bool:
        """True if values are names, stored as their numbers."""
        return self.kind in LEVELLED

    @property
    def is_discrete(self) -> bool:
        """True if p(x) is a mass."""
        return self.kind in DISCRETE

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON-serialisable values, without those that have their default."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        plain["determines"] = [d.to_dict() for d in self.determines]
        defaults = {f.name: list(f.default) if isinstance(f.default, tuple) else f.default for f in fields(self)}
        return {k: v for k, v in plain.items() if k in ("name", "kind") or v != defaults[k]}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Column:
        """Return the column from the result of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing, unknown or of the wrong type.
        """
        try:
            own = dict[str, Any]((k, tuple(v) if isinstance(v, list) else v) for k, v in plain.items())
            own["determines"] = tuple(map(Determined.from_dict, own.get("determines", ())))
            return Column(**own)
        except (TypeError, ValueError, AttributeError, UsageError) as error:
            raise CorruptRunError(
                f"a column of the data schema cannot be read ({error})", "The specification is damaged."
            ) from error


@dataclass(frozen=True)
class Determined:
    """A column whose values another one determines, and the other way round.

    Attributes:
        column: how its cells are read and written.
        place: among all columns that are data or determined by data, from 0, in the order of the table.
        own: the values of the column that determines it; empty where both have the same numbers.
        other: the values of this column for these, all different.

    Raises:
        UsageError: there are not as many of `other` as of `own`, or one occurs twice.

    Example:
        >>> Determined(Column("number", "count"), 1, own=(0.0, 1.0), other=(7.0, 9.0)).other
        (7.0, 9.0)
    """

    column: Column
    place: int
    own: tuple[float, ...] = ()
    other: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        sizes = {len(self.own), len(self.other), len(set(self.own)), len(set(self.other))}
        if len(sizes) > 1 or not isinstance(self.place, int) or self.place < 0:
            raise UsageError(
                f"column {self.column.name!r} is determined by {len(self.own)} values, and has {len(self.other)}",
                "Give a value of it for each of them.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-serialisable values."""
        return {
            "column": self.column.to_dict(),
            "place": self.place,
            "own": list(self.own),
            "other": list(self.other),
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Determined:
        """Return it from the result of `to_dict`."""
        own, other = ([float(v) for v in plain[k]] for k in ("own", "other"))
        return Determined(Column.from_dict(plain["column"]), plain["place"], tuple(own), tuple(other))
