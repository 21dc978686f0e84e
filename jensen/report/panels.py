"""The building blocks of the page: sections, tables, and pictures with captions."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Panel", "Section", "Table"]


@dataclass(frozen=True)
class Panel:
    """Pictures with one caption.

    Attributes:
        bodies: <svg> or <img>, each with its own alternative text; markup, in which every text is escaped.
        caption: what is seen, what to look for, and what would be bad.
    """

    bodies: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Table:
    """Text in cells; all columns but the first, and those in `words`, hold numbers.

    Attributes:
        head: names of the columns.
        rows: cells, as many as `head` has.
        words: indices of the columns that hold text.
        caption: what the table shows, and how to read it.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with its text, tables and pictures."""

    title: str
    panels: tuple[Panel, ...] = ()
    tables: tuple[Table, ...] = ()
    text: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.panels or self.tables or self.text)
