"""A card: a headline, numbers with kinds and errors, tables and pictures, as HTML without any script."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..core.characters import as_one_line
from ..report.key_numbers import KeyNumber
from ..report.panels import Panel, Table

__all__ = ["Card", "rendered"]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Card:
    """The parts that are shown of a value.

    Attributes:
        title: what it is.
        sentence: the result in words.
        numbers: the most telling ones, each with its kind.
        tables: with all numbers.
        panels: pictures with captions.
        notes: limits, and what to type next.
        folded: tables that are folded away.
    """

    title: str
    sentence: str = ""
    numbers: tuple[KeyNumber, ...] = ()
    tables: tuple[Table, ...] = ()
    panels: tuple[Panel, ...] = ()
    notes: tuple[str, ...] = ()
    folded: tuple[Table, ...] = ()


def rendered(card: Card) -> str:
    """Return a card as HTML; every text in it is escaped, and its control characters shown as escapes."""
    return _environment().get_template("card.html").render(card=card)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: as_one_line(value) if type(value) is str else value,
    )
