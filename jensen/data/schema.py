"""The schema of a data set: what a model needs to know of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ..core.errors import CorruptRunError, UsageError
from .columns import Column

__all__ = ["Kind", "Schema"]

Kind = Literal["binary", "integers", "real", "mixed"]


@dataclass(frozen=True)
class Schema:
    """The kind of the values and the shape of one datum.

    Attributes:
        kind: "binary" (0 and 1), "integers" (0 .. levels - 1), "real", or "mixed" for a table whose columns differ.
        shape: (D,) for a table, (height, width, channels) for images.
        levels: number of values of integers (256 for 8-bit images); None for other kinds.
        names: the D column names of a table.
        classes: the names of the labels.
        columns: the D columns of a table of mixed kinds, None of other data.

    Raises:
        UsageError: integers without levels, mixed kinds without columns, or a kind or shape that does not exist.

    Example:
        >>> schema = Schema("integers", (8, 8, 1), levels=17)
        >>> schema.size, schema.is_image
        (64, True)
        >>> Schema.from_dict(schema.to_dict()) == schema
        True
    """

    kind: Kind
    shape: tuple[int, ...]
    levels: int | None = None
    names: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    columns: tuple[Column, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise UsageError(f"the kind of data must be one of {kinds}, got {self.kind!r}", f"Kinds are {kinds}.")
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise UsageError(
                f"the shape of a datum must be (D,) or (H, W, C), got {self.shape}", "Shapes are (D,) and (H, W, C)."
            )
        if (self.kind == "integers") != (self.levels is not None):
            raise UsageError(f"{self.kind} data have levels={self.levels}", "Integers, and only they, have levels.")
        if (self.kind == "mixed") != (self.columns is not None) or len(self.columns or ()) not in (0, self.size):
            raise UsageError(
                f"{self.kind} data of {self.size} features have {len(self.columns or ())} columns of their own kinds",
                "Mixed data, and only they, have a column for each feature.",
            )

    @property
    def size(self) -> int:
        """D, the number of features of one datum."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """True if a datum is an image (height, width, channels)."""
        return len(self.shape) == 3

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON-serialisable values, for a specification."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        plain.pop("columns")
        return plain if self.columns is None else plain | {"columns": [c.to_dict() for c in self.columns]}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Schema:
        """Return the schema from the result of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing, unknown or of the wrong type.
        """
        try:
            columns = plain.get("columns")
            own: dict[str, Any] = {"columns": None if columns is None else tuple(map(Column.from_dict, columns))}
            return Schema(**dict[str, Any]((k, tuple(v) if isinstance(v, list) else v) for k, v in plain.items()) | own)
        except (TypeError, ValueError, AttributeError) as error:
            raise CorruptRunError(
                f"the data schema cannot be read ({error})", "The specification is damaged; restore it or train again."
            ) from error
