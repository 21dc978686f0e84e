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
        tiles: True of blocks of images, which stand close together and wrap where the page is narrow.
        key: marks in the pictures with their meanings, as far as names do not fit there.
    """

    bodies: tuple[str, ...]
    caption: str
    tiles: bool = False
    key: tuple[tuple[str, str], ...] = ()


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
    """A heading with its text, tables and pictures.

    Attributes:
        more: the heading of `experts`, which are folded: panels and tables for those who know what they measure.
    """

    title: str
    panels: tuple[Panel, ...] = ()
    tables: tuple[Table, ...] = ()
    text: tuple[str, ...] = ()
    more: str = ""
    experts: tuple[Panel | Table, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.panels or self.tables or self.text or self.experts)

    @property
    def expert_panels(self) -> tuple[Panel, ...]:
        return tuple(e for e in self.experts if isinstance(e, Panel))

    @property
    def expert_tables(self) -> tuple[Table, ...]:
        return tuple(e for e in self.experts if isinstance(e, Table))
