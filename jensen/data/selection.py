"""The reading of data: header and columns of tables, proportions of images, and whether rows stay in their files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from ..core.errors import DataError, UsageError
from .columns import Column
from .schema import Kind

__all__ = ["Described", "Fit", "Header", "Selection", "Typed", "indices_of", "lacking"]

Header = Literal["auto", "yes", "no"]
Typed = bool | Literal["auto"]
Fit = Literal["crop", "stretch"]
Described = str | Path | Mapping[str, Any] | Sequence[Column]  # a TOML file, what it holds, or exactly these columns
MOST_LISTED = 20


@dataclass(frozen=True)
class Selection:
    """The header and the columns with which tables are read, how images are fitted, and whether rows stay in files.

    Attributes:
        header: "yes" if the first line of text holds names, "no" if it is a row of data, "auto" to judge it.
        columns: the columns to read, in this order, by name, or without a header by number from 1; None for all.
        drop: the columns to leave out.
        known: names of the columns of the data that a model was trained on: they are taken by name, and a header is
            recognised by them.
        kind: of the values of these data, as they were read before.
        later: True for data that are read after those of the training, which need not hold the dropped columns.
        stream: True to leave rows in their files, False to read them into memory, None to go by their size.
        typed: True to read a table as one of mixed kinds, False as one of numbers; "auto" as one of numbers where it is
            such a table without holes, and otherwise of mixed kinds.
        schema: the columns of data of mixed kinds, exactly: those of a run.
        hints: what is known of columns by their names, as a schema file says it; others are guessed.
        spare: columns of the schema that a table may lack: all of their cells are missing then.
        layer: of an .h5ad file, in place of its X.
        beside: columns that are read by themselves: several labels.
        resize: what becomes of images at a size of other proportions, "crop" or "stretch" (see `image_sizes.Resize`);
            None crops.
    """

    header: Header = "auto"
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    known: tuple[str, ...] | None = None
    later: bool = False
    kind: Kind | None = None
    stream: bool | None = None
    typed: Typed = False
    schema: tuple[Column, ...] | None = None
    hints: Mapping[str, Mapping[str, Any]] | None = None
    spare: tuple[str, ...] = ()
    layer: str | None = None
    beside: tuple[str, ...] = ()
    resize: Fit | None = None

    @staticmethod
    def of(
        header: str | None = "auto",
        columns: str | Sequence[str] | None = None,
        drop: str | Sequence[str] | None = None,
        known: Sequence[str] | None = None,
        kind: Kind | None = None,
        stream: bool | None = None,
        typed: Typed = False,
        schema: Described | None = None,
        layer: str | None = None,
        resize: Fit | None = None,
    ) -> Selection:
        """Return the selection that options describe: lists of names, or texts in which commas separate them.

        Args:
            header, columns, drop, known, kind, stream, typed, layer, resize: see the class.
            schema: a TOML file or what it holds, also as JSON (hints), or the columns exactly.

        Raises:
            UsageError: a header that is not auto, yes or no, or a resize that is not crop or stretch; a column that is
                named twice, or chosen and dropped; or a schema with an entry that does not exist.
            DataError: a file of a schema that cannot be read.

        Example:
            >>> Selection.of(columns="a,b", drop=None).columns
            ('a', 'b')
        """
        if header is not None and header not in get_args(Header):
            raise UsageError(f"--header must be auto, yes or no, got {header}", "Choose from auto, yes, no.")
        if resize is not None and resize not in get_args(Fit):
            raise UsageError(f"--resize must be crop or stretch, got {resize}", "Choose from crop, stretch.")
        chosen, dropped = (None if names is None else _names(names) for names in (columns, drop))
        if chosen is not None and not any(chosen):
            raise UsageError("--columns names no column", "Give names: --columns a,b; leave it out for all columns.")
        twice = next((n for n in chosen or () if (chosen or ()).count(n) > 1 or n in (dropped or ())), None)
        if twice is not None:
            what = "dropped too" if twice in (dropped or ()) else "named twice"
            raise UsageError(f"--columns has {twice!r}, which is {what}", "Name each column once.")
        names = None if known is None else tuple(known)
        exact, hints = _described(schema)
        typed = True if typed is False and (exact, hints) != (None, None) else typed
        own: Any = {"kind": kind, "stream": stream, "typed": typed, "schema": exact, "hints": hints, "layer": layer}
        own |= {"resize": resize}
        return Selection(header or "auto", chosen, dropped or (), names, **own)  # pyright: ignore[reportArgumentType]

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

    def refuse_size(self, size: tuple[int, int] | None, why: str) -> None:
        """Refuse a size or a way of resizing for what is no folder of images, unless that was given for earlier data.

        Raises:
            UsageError: naming the option.
        """
        option = "--size" if size is not None else "--resize" if self.resize is not None and not self.later else None
        if option is not None:
            raise UsageError(f"{option} is for a folder of images, and {why}", f"Leave {option} out.")

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
        if self.by_name and has_names:
            places = indices_of(labels, self.known or (), where)
            return sorted(places) if self.later else places  # of the same data, in the order of the first time
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

    @property
    def by_name(self) -> bool:
        """True if columns are those of these names, wherever they stand: each name is known, and no two are equal."""
        return bool(self.known) and all(self.known or ()) and len(set(self.known or ())) == len(self.known or ())

    def ignored(self, names: Sequence[str], used: Collection[int], where: str) -> list[str]:
        """Return a note on columns that the training data did not have, and that are not read.

        Args:
            names: of all columns.
            used: indices of columns that are data, or labels, or kept beside the data.
            where: the name of the table.
        """
        others = {*self.drop, *self.beside}
        more = [name or str(i + 1) for i, name in enumerate(names) if i not in used and name not in others]
        if not (self.by_name and self.later and more):
            return []
        listed = ", ".join(more[:MOST_LISTED]) + (f", ... {len(more)} in all" if len(more) > MOST_LISTED else "")
        what = (
            "a column that the training data do not have, and it is"
            if len(more) == 1
            else (f"{len(more)} columns that the training data do not have, and they are")
        )
        return [f"{where} has {what} ignored: {listed}"]


def _described(schema: Described | None) -> tuple[tuple[Column, ...] | None, Mapping[str, Mapping[str, Any]] | None]:
    """Return columns exactly, or what is known of some of them.

    Raises:
        DataError: a file cannot be read.
        UsageError: an entry does not exist.
    """
    if schema is None:
        return None, None
    from .schema_files import parsed_json, read_schema_file, schema_hints  # late, as in `_names`

    if isinstance(schema, str) and schema.lstrip().startswith("{"):
        return None, schema_hints(parsed_json(schema))
    if isinstance(schema, str | Path):
        return None, read_schema_file(schema)
    if isinstance(schema, Mapping):
        return None, schema_hints(schema)
    if not all(isinstance(column, Column) for column in schema):
        raise UsageError("a schema is no list of columns", "Give a TOML file, a dictionary, or columns.")
    return tuple(schema), None


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return names from a list, or from a text in which commas separate them."""
    from .lines import split_names  # late: the flags of the command line import this module, and need no NumPy

    return split_names(names) if isinstance(names, str) else tuple(str(n).strip() for n in names)


def _index(labels: list[str], name: str, where: str) -> int:
    """Return the index of a column.

    Raises:
        DataError: there is no such column, or several.
    """
    return indices_of(labels, (name,), where, "")[0]


def indices_of(labels: list[str], names: Sequence[str], where: str, then: str = "Rename it in the data. ") -> list[int]:
    """Return the indices of columns, in this order.

    Args:
        labels: the names of all columns.
        names: of the columns that are looked for.
        where: the name of the table.
        then: what to do about a name that differs a little.

    Raises:
        DataError: some are absent, all of which are named; or several columns have one of the names.
    """
    absent = [name for name in names if name not in labels]
    if absent:
        listed = ", ".join(repr(name) for name in absent[:MOST_LISTED])
        etc = ", ..." if len(absent) > MOST_LISTED else ""
        what = f"has no column {listed}" if len(absent) == 1 else f"lacks {len(absent)} columns: {listed}{etc}"
        more = f", ... {len(labels)} in all" if len(labels) > MOST_LISTED else ""
        has = f"It has {', '.join(labels[:MOST_LISTED])}{more}."
        spare = [label for label in labels if label not in names]
        raise DataError(f"{where} {what}", f"{_meant(spare, absent, then)}{has}")
    twice = next((name for name in names if labels.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where} has several columns {twice!r}", "Rename all but one of them.")
    place = {label: i for i, label in enumerate(labels)}
    return [place[name] for name in names]


def lacking(labels: Sequence[str], names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names that are absent from a table which may lack columns.

    Args:
        labels: the names of its columns, as far as they may be ones that are looked for.
        names: of the columns that are looked for.
        where: the name of the table.

    Raises:
        DataError: all are absent, or one is and a column has nearly its name, so that it may be misspelt.
    """
    absent = tuple(name for name in names if name not in labels)
    spare = [label for label in labels if label not in names]
    if absent and (len(absent) == len(names) or any(_meant(spare, [name], "") for name in absent)):
        indices_of(list(labels), names, where)
    return absent


def _meant(labels: list[str], absent: list[str], then: str) -> str:
    """Return a question after columns whose names differ from absent ones in case, blanks or a few letters."""
    plain = {"".join(label.casefold().split()): label for label in labels}
    pairs = []
    for name in absent[:MOST_LISTED]:
        key = "".join(name.casefold().split())
        near = [plain[key]] if key in plain else get_close_matches(name, labels, 1, 0.8)
        near = near or [label for label in labels if name.isalpha() and sorted(label) == sorted(name)]
        pairs += [(near[0], name)] if near else []
    if not pairs:
        return ""
    return f"Did you mean {', '.join(f'{label!r} for {name!r}' for label, name in pairs[:3])}? {then}"
