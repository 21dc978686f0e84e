"""The reading of tables: a header, and the columns that are data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ..core.errors import DataError, UsageError
from .lines import split_names

__all__ = ["Header", "Selection"]

Header = Literal["auto", "yes", "no"]
MOST_LISTED = 20


@dataclass(frozen=True)
class Selection:
    """The header and the columns with which tables are read.

    Attributes:
        header: "yes" if the first line of text holds names, "no" if it is a row of data, "auto" to judge it.
        columns: the columns to read, in this order, by name, or without a header by number from 1; None for all.
        drop: the columns to leave out.
        known: names of the columns of the data that a model was trained on, by which a header is recognised.
        later: True for data that are read after those of the training, which need not hold the dropped columns.
    """

    header: Header = "auto"
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    known: tuple[str, ...] | None = None
    later: bool = False

    @staticmethod
    def of(
        header: str | None = "auto",
        columns: str | Sequence[str] | None = None,
        drop: str | Sequence[str] | None = None,
    ) -> Selection:
        """Return the selection that options describe: lists of names, or texts in which commas separate them.

        Raises:
            UsageError: a header that is not auto, yes or no; or a column that is named twice, or chosen and dropped.

        Example:
            >>> Selection.of(columns="a,b", drop=None).columns
            ('a', 'b')
        """
        if header is not None and header not in get_args(Header):
            raise UsageError(f"--header must be auto, yes or no, got {header}", "Choose from auto, yes, no.")
        chosen, dropped = (None if names is None else _names(names) for names in (columns, drop))
        if chosen is not None and not any(chosen):
            raise UsageError("--columns names no column", "Give names: --columns a,b; leave it out for all columns.")
        twice = next((n for n in chosen or () if (chosen or ()).count(n) > 1 or n in (dropped or ())), None)
        if twice is not None:
            what = "dropped too" if twice in (dropped or ()) else "named twice"
            raise UsageError(f"--columns has {twice!r}, which is {what}", "Name each column once.")
        return Selection(header or "auto", chosen, dropped or ())  # pyright: ignore[reportArgumentType]

    @property
    def is_default(self) -> bool:
        """True if nothing was asked for."""
        return self.header == "auto" and self.columns is None and not self.drop

    def afterwards(self, known: tuple[str, ...] | None = None) -> Selection:
        """Return the selection for data that are read later, with the names of the columns of the training data."""
        return replace(self, known=known, later=True)

    def refuse_for(self, source: str, what: str) -> None:
        """Refuse options for tables where the data are something else, unless they were given for earlier data.

        Raises:
            UsageError: naming the option.
        """
        if self.is_default or self.later:
            return
        name = "--columns" if self.columns is not None else "--drop" if self.drop else "--header"
        raise UsageError(f"{name} is for tables, and {source} is {what}", f"Leave {name} out.")

    def chosen(self, names: Sequence[str], without: Collection[int], where: str, has_names: bool = True) -> list[int]:
        """Return the indices of the columns of data.

        Args:
            names: of all columns; numbers from 1 where they have none.
            without: indices of columns that are no data, unless `columns` names them.
            where: the name of the table.
            has_names: False if `names` are numbers.

        Raises:
            DataError: there is no such column, several have the name, or none is left.
        """
        labels = [name or str(i + 1) for i, name in enumerate(names)]
        if self.columns is not None:
            if self.later and not has_names and len(labels) == len(self.columns):
                return list(range(len(labels)))  # of the same width, so in the same order
            return [_index(labels, name, where) for name in self.columns]
        absent = () if self.later else tuple(n for n in self.drop if n not in labels)
        if absent:
            _index(labels, absent[0], where)
        left = [i for i, label in enumerate(labels) if i not in without and label not in self.drop]
        if not left:
            raise DataError(f"{where} has no column of data left", "Drop fewer columns.")
        return left


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return names from a list, or from a text in which commas separate them."""
    return split_names(names) if isinstance(names, str) else tuple(str(n).strip() for n in names)


def _index(labels: list[str], name: str, where: str) -> int:
    """Return the index of a column.

    Raises:
        DataError: there is no such column, or several.
    """
    if labels.count(name) == 1:
        return labels.index(name)
    if name in labels:
        raise DataError(f"{where} has several columns {name!r}", "Rename all but one of them.")
    more = f", ... {len(labels)} in all" if len(labels) > MOST_LISTED else ""
    raise DataError(f"{where} has no column {name!r}", f"It has {', '.join(labels[:MOST_LISTED])}{more}.")
