"""Values that show themselves: as HTML in a notebook, and as text elsewhere.

The room that draws them lies above the rooms that have them, so the front door connects the two.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Shown", "show_by"]

_renderers: list[Callable[[Shown], str | None]] = []


class Shown:
    """A value that a notebook shows as HTML; where that is not possible, by its `repr`."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        return _renderers[-1](self) if _renderers else None


def show_by(renderer: Callable[[Shown], str | None]) -> None:
    """Show values by this function from now on: it returns HTML, or None for the plain text."""
    _renderers[:] = [renderer]
