"""The schema of a data set: what a model needs to know of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ..core.errors import CorruptRunError, UsageError

__all__ = ["Kind", "Schema"]

Kind = Literal["binary", "integers", "real"]


@dataclass(frozen=True)
class Schema:
    """The kind of the values and the shape of one datum.

    Attributes:
        kind: "binary" (0 and 1), "integers" (0 .. levels - 1) or "real".
        shape: (D,) for a table, (height, width, channels) for images.
        levels: number of values of integers (256 for 8-bit images); None for other kinds.
        names: the D column names of a table.
        classes: the names of the labels.

    Raises:
        UsageError: integers without levels, or a kind or shape that does not exist.

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
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Schema:
        """Return the schema from the result of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing, unknown or of the wrong type.
        """
        try:
            return Schema(**dict[str, Any]((k, tuple(v) if isinstance(v, list) else v) for k, v in plain.items()))
        except (TypeError, ValueError, AttributeError) as error:
            raise CorruptRunError(
                f"the data schema cannot be read ({error})", "The specification is damaged; restore it or train again."
            ) from error
