"""The data of a run given again: from another place or in memory, and known by their digest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from ..data import Dataset, Selection, from_memory, is_in_memory, read, read_test, relabelled
from .places import labels_at, reading, table_options
from .row_files import in_recorded_order
from .training_data import Sources

__all__ = ["Held", "check_digest", "given_again"]

Held = tuple[Dataset | None, Dataset | None]  # data and test rows
SHOWN = 16  # digits of a digest


def check_digest(dataset: Dataset, sha256: str, what: str, remedy: str) -> None:
    """Check that rows are those of a run.

    Args:
        dataset: as read.
        sha256: of the run's rows.
        what: begins the message.
        remedy: ends it.

    Raises:
        DataError: with both digests.
    """
    theirs = dataset.source.sha256
    if theirs != sha256:
        raise DataError(f"{what}: their SHA-256 was {sha256[:SHOWN]}..., and is {theirs[:SHOWN]}...", remedy)


def given_again(spec: dict[str, Any], given: Sources) -> Held:
    """Return the rows that a run was trained on and its test rows, as far as they are given.

    Labels and test rows that lay near the data when the run was trained are looked for near their new place.

    Args:
        spec: of the run.
        given: data, labels and test rows: paths or containers; None where the recorded place holds.

    Raises:
        DataError: they are not those of the run, or it has no test rows of its own.
    """
    with reading(given.data, given.labels, given.test, given.test_labels):
        data = None if given.data is None else _data(spec, given)
        test = None if given.test is None else _test(spec, given)
    return data, _test_nearby(spec, given.data) if test is None else test


def _data(spec: dict[str, Any], given: Sources) -> Dataset:
    """Return the rows that the run was trained on."""
    dataset = given.data if isinstance(given.data, Dataset) else _read_data(spec, given)
    name, remedy = Sources(given.data).name, "Give the data as they were: --data FILE (in Python, data=...)."
    check_digest(dataset, spec["data"]["sha256"], f"{name} does not hold the rows that the run was trained on", remedy)
    return dataset


def _read_data(spec: dict[str, Any], given: Sources) -> Dataset:
    about, options = spec["data"], table_options(spec)
    missing, was = bool(about["missing"]), about["labels_from"]
    if is_in_memory(given.data):
        column = None if was is None or os.path.isabs(was) else was
        labels = column if given.labels is None else given.labels
        return from_memory(given.data, labels, Sources(given.data).name, missing, Selection.of(**options))
    place, in_memory = str(given.data), given.labels is not None and is_in_memory(given.labels)
    labels = labels_at(was, about["location"], place) if given.labels is None or in_memory else given.labels
    labels = None if in_memory else labels
    dataset = read(place, labels=labels, size=about["resize"], missing=missing, **options)
    dataset = in_recorded_order(dataset, about["sha256"])
    return relabelled(dataset, given.labels) if in_memory else dataset


def _test(spec: dict[str, Any], given: Sources) -> Dataset:
    """Return the test rows that are given."""
    tested, name = spec["split"]["test"], "test rows"
    if tested is None:
        raise DataError("the run has no test rows but those of its split", "Leave test= out.")
    if isinstance(given.test, Dataset):
        dataset = given.test
    elif is_in_memory(given.test):
        labels = given.labels if isinstance(given.labels, str) and given.test_labels is None else given.test_labels
        dataset = from_memory(given.test, labels, name, bool(spec["data"]["missing"]), _table(spec))
    else:
        name = str(given.test)
        dataset = _read_test(spec, name, given.test_labels)
    check_digest(dataset, tested["sha256"], f"{name} does not hold the test rows of the run", "Give them: test=...")
    return dataset


def _read_test(spec: dict[str, Any], place: str, own: Any = None) -> Dataset:
    """Return test rows from a file, with the labels given or those that lay near them."""
    tested, about = spec["split"]["test"], spec["data"]
    labels, recorded = (labels_at(tested.get(k), tested["location"], place) for k in ("labels_from", "own_labels"))
    in_memory = own is not None and is_in_memory(own)
    named = None if in_memory else recorded if own is None else own
    dataset = read_test(place, labels, named, about["resize"], bool(about["missing"]), _table(spec))
    dataset = in_recorded_order(dataset, tested["sha256"])
    return relabelled(dataset, own) if in_memory else dataset


def _test_nearby(spec: dict[str, Any], data: Any) -> Dataset | None:
    """Return the test rows from where they lay relative to the data; None if they are not there."""
    tested = spec["split"]["test"]
    if data is None or is_in_memory(data) or tested is None or not tested["location"]:
        return None
    was, folder = Path(tested["location"]), Path(data).absolute().parent
    relative = os.path.relpath(was, Path(spec["data"]["location"]).parent)
    for place in dict.fromkeys(os.path.normpath(folder / path) for path in (relative, was.name)):
        try:
            dataset = _read_test(spec, place)
        except DataError:
            continue
        if dataset.source.sha256 == tested["sha256"]:
            return dataset
    return None


def _table(spec: dict[str, Any]) -> Selection:
    """Return the columns of later tables that are data."""
    names = spec["data"]["schema"].get("names")
    return Selection.of(**table_options(spec)).afterwards(None if names is None else tuple(names))
