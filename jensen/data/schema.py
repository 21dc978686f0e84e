"""What a data set is made of, in as few words as a model needs to be built for it."""

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
        levels: of integers: how many values there are (8-bit images always have 256).
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
            raise UsageError(f"{self.kind!r} is not a kind of data", f"Kinds are {', '.join(get_args(Kind))}.")
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise UsageError(f"a datum cannot have the shape {self.shape}", "Shapes are (D,) and (H, W, C).")
        if (self.kind == "integers") != (self.levels is not None):
            raise UsageError(f"{self.kind} data with levels={self.levels}", "Integers, and only they, have levels.")

    @property
    def size(self) -> int:
        """D, the number of features of one datum."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether a datum is an image (height, width, channels)."""
        return len(self.shape) == 3

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as they are written to a specification."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Schema:
        """The inverse of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing, unknown or of the wrong type.
        """
        try:
            return Schema(**dict[str, Any]((k, tuple(v) if isinstance(v, list) else v) for k, v in plain.items()))
        except (TypeError, ValueError, AttributeError) as error:
            raise CorruptRunError(
                f"the data schema cannot be read ({error})", "The specification is damaged; restore it or train again."
            ) from error
