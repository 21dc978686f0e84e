"""Tables of named columns, of text and numbers, in their order: to a .csv, an .npz, or stdout."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError
from .flags import RunFlags
from .targets import result_target

if TYPE_CHECKING:
    import numpy as np

    from ..data.dialects import Dialect
    from ..runs.run import Run
    from .writing import Target

__all__ = ["column_target", "stem_of", "write_column_pieces", "write_columns"]

MOST_LETTERS = 120
KINDS: dict[str, Any] = {".parquet": "parquet", ".feather": "feather", ".xlsx": "xlsx"}  # of tables, by the suffix


def column_target(
    opened: Run, stem: str, data: str | None, out: str | None, force: bool, safe: bool, flags: RunFlags
) -> Target:
    """Return the file of a table of named columns, or the default one inside the run; see `result_target`.

    Raises:
        UsageError: it is a format of numbers alone.
    """
    if out is not None and Path(out).suffix.lower() == ".npy":
        what = f"the result is a table of named columns, and {out} would be an array of numbers"
        raise UsageError(what, "Name a .csv or an .npz, or give - for stdout.")
    return result_target(opened, stem, data, out, force, safe, flags, pictures=False)


def stem_of(verb: str, *words: str, **options: tuple[Any, Any]) -> str:
    """Return the name of a default file, so that results of different requests have different ones.

    Args:
        verb: the command.
        words: what the result is of.
        options: by name, the value that was given and the default: those that differ are in the name.

    Example:
        >>> stem_of("differential", "type", "B", "rest", delta=(0.25, 0.25), cells=(50, 1))
        'differential-type-B-rest-cells-50'
    """
    given = [(name, v if isinstance(v, list) else [v]) for name, (v, default) in options.items() if v != default]
    texts = [str(text) for text in (*words, *(word for name, values in given for word in (name, *values)))]
    stem = "-".join([verb, *(re.sub(r"[^\w.]+", "_", text) for text in texts)])
    if all(re.fullmatch(r"[\w.]+", text) for text in texts) and len(stem) <= MOST_LETTERS:
        return stem
    digest = hashlib.sha256(json.dumps([words, given], default=str).encode()).hexdigest()[:8]
    return f"{stem[:MOST_LETTERS]}-{digest}"  # which tells apart what the letters do not


def write_columns(target: Target, columns: Mapping[str, np.ndarray], dialect: Dialect) -> None:
    """Write columns [N] under their names; a number that is not known is empty.

    Args:
        target: a table, an .npz of arrays of these names, or stdout.
        columns: by name.
        dialect: of the table that they are of.
    """
    from ..data.named_tables import named_table

    if target.is_archive:
        names = {name: "files" if name == "file" else name for name in columns}  # as other results call them
        target.write_arrays({names[name]: values for name, values in columns.items()})
        return
    target.write_table(named_table(columns, _kind(target), dialect=dialect), ())


def write_column_pieces(target: Target, pieces: Iterable[Mapping[str, np.ndarray]], dialect: Dialect) -> None:
    """Write columns [n] of some rows after another, as `write_columns` writes those of all rows.

    Args:
        target: a table, an .npz, whose columns are held until the last row is there, or stdout.
        pieces: columns by name, the same of all.
        dialect: of the table that they are of.
    """
    from ..data.named_tables import named_table
    from .table_pieces import write_tables

    if target.is_archive:
        import numpy as np

        parts = list(pieces)
        write_columns(target, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, dialect)
        return
    write_tables(target, ([named_table(columns, _kind(target), dialect=dialect)] for columns in pieces), ())


def _kind(target: Target) -> Any:
    """Return the kind of table that the target is."""
    return KINDS.get(".csv" if target.path is None else target.path.suffix.lower(), "csv")
