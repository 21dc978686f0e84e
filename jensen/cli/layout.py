"""Text in two columns that fits the terminal: the help of the parser, and lists."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .output import print_page

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

__all__ = ["TwoColumns", "paragraphs", "terminal_width", "two_columns"]

WIDEST = 120  # columns: longer lines are hard to read
LEFT = 25  # columns of names, with the gap; a longer name has a line of its own
NO_BREAK = "\N{NO-BREAK SPACE}"


def terminal_width() -> int:
    """Return the width of the terminal in columns, 80 if stdout is not a terminal."""
    return min(shutil.get_terminal_size((80, 24)).columns, WIDEST)


def paragraphs(text: str, width: int) -> list[str]:
    """Return paragraphs of text, separated by empty lines, as lines of at most `width` columns."""
    parts = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    wrapped = ["\n".join(textwrap.wrap(part, width, break_on_hyphens=False)) for part in parts]
    return "\n\n".join(wrapped).split("\n")


def two_columns(rows: Iterable[tuple[str, str]], width: int, left: int = LEFT) -> Iterator[str]:
    """Yield the lines of rows of a name and a text, the text wrapped in a column of its own; brackets stay together.

    Example:
        >>> for line in two_columns([("--k INT", "latent points per datum")], 30, left=12):
        ...     print(line)
          --k INT   latent points per
                    datum
    """
    for name, text in rows:
        text = re.sub(r"\[[^\]]*\]", lambda brackets: brackets[0].replace(" ", NO_BREAK), text)
        lines = textwrap.wrap(text, max(width - left, 20), break_on_hyphens=False, break_long_words=False) or [""]
        lines = [line.replace(NO_BREAK, " ") for line in lines]
        if len(name) + 2 < left - 1:
            lines[0] = f"  {name:<{left - 2}}{lines[0]}"
        else:
            yield f"  {name}"
            lines[0] = f"{'':<{left}}{lines[0]}"
        yield lines[0].rstrip()
        yield from (f"{'':<{left}}{line}" for line in lines[1:])


class TwoColumns:
    """The layout of the help of a command, for the parser (a `cyclopts.help.HelpFormatter`).

    Args:
        left_out: names of the flags that are not shown.
    """

    def __init__(self, left_out: Collection[str] = ()) -> None:
        self.left_out = left_out

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a panel of parameters."""
        entries = [entry for entry in panel.entries if not set(entry.names) & set(self.left_out)]
        if entries:
            print_page("\n".join([f"{panel.title}:", *two_columns(map(_row, entries), terminal_width()), ""]))

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the usage line."""
        if usage:
            print_page(f"Usage: {str(usage).strip().removeprefix('Usage: ')}\n")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Print the docstring of the command."""
        text = _text(description)
        if text:
            print_page("\n".join([*paragraphs(text, terminal_width()), ""]))


def _row(entry: HelpEntry) -> tuple[str, str]:
    """Return the names and the text of a parameter, with its choices and its default."""
    parts = [_text(entry.description)]
    if entry.choices:
        parts.append(f"({', '.join(entry.choices)})")
    if entry.default is not None:
        parts.append(f"[default: {entry.default}]")
    if entry.required:
        parts.append("[required]")
    return ", ".join(entry.display_labels_with_metavar), " ".join(filter(None, parts))


def _text(renderable: Any) -> str:
    """Return a help text of the parser as plain text."""
    primary = getattr(renderable, "primary_renderable", renderable)
    return str(getattr(primary, "plain", primary) or "").strip()
