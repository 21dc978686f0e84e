"""The recipe of a training for which none was named: by the kind of the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..core.wording import option_flag
from ..data import EMBEDDED, Dataset, is_in_memory
from ..data.table_files import is_table_file
from ..recipes import find
from .data_options import DataOptions
from .places import reading
from .sources import Sources

__all__ = ["default_recipe"]

LIBRARIES = ("pandas", "polars", "pyarrow")  # whose objects are tables
FEW = 100  # rows, below which a mixture predicts better than networks


def default_recipe(data: Any, options: Mapping[str, Any]) -> tuple[str, Sources | None, str | None]:
    """Return the recipe for data, their sources where they were read for that, and a note on the choice.

    What is conditioned on batches has `count-vae`. Tables of mixed kinds, or with holes, have `table`, or `table-gmm`
    where they have few rows; of these the one that has the options, where only one does. Other data have `vae`.

    Args:
        data: as for `jensen.runs.train.train`.
        options: all options of the training.
    """
    if options.get("batch_key") is not None:
        return "count-vae", None, "batches of an experiment: --recipe count-vae"
    if not _may_be_mixed(data) or options.get("likelihood", "auto") != "auto":
        return "vae", None, None
    sources, rest = Sources.split_off(data, dict(options))
    own = DataOptions(**{name: rest[name] for name in DataOptions.__dataclass_fields__ if name in rest})
    with reading(data, options.get("test"), options.get("labels"), options.get("test_labels")):
        dataset = sources.read(own, True, "auto")
    if dataset.schema.kind != "mixed":
        return "vae", None, None
    name, why = _for_mixed(dataset, options)
    return name, Sources(data, sources.labels, sources.test, sources.test_labels, dataset=dataset), why


def _for_mixed(dataset: Dataset, options: Mapping[str, Any]) -> tuple[str, str]:
    """Return the recipe for a table of mixed kinds, and the reason; the options given may leave one only."""
    kinds = {c.kind for c in dataset.schema.columns or ()}
    what = "columns of several kinds" if len(kinds) > 1 else "columns that are no plain numbers"
    what = what if dataset.mask is None else f"{what}, and missing entries"
    first, second = ("table-gmm", "table") if len(dataset) < FEW else ("table", "table-gmm")
    lacking = [name for name in options if name in find(second).options and name not in find(first).options]
    if lacking:
        return second, f"{what}, and {', '.join(map(option_flag, lacking))}: --recipe {second}"
    if first == "table-gmm":
        return first, f"{len(dataset)} rows with {what}: --recipe table-gmm, a mixture (another: --recipe table)"
    return first, f"{what}: --recipe table"


def _may_be_mixed(data: Any) -> bool:
    """Return whether data are a table, which can have columns of several kinds."""
    if is_in_memory(data):
        return type(data).__module__.partition(".")[0] in LIBRARIES
    try:
        return str(data) not in EMBEDDED and is_table_file(Path(data))
    except (DataError, OSError, ValueError):
        return False  # which the reader of the data refuses, with the reason
