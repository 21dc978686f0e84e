"""What commands write and others read is of its shape, or refused by name; null is a number that was not finite."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jensen.core.errors import CorruptRunError
from jensen.storage.schemas import (
    CalibrationRecord,
    CurveRecord,
    EvaluationRecord,
    FidelityRecord,
    RepresentationRecord,
    line_of,
    lines_of,
    read_record,
)

RECORDS = Path(__file__).resolve().parents[1] / "fixtures" / "records"
KINDS = {
    "calibration": CalibrationRecord,
    "evaluation": EvaluationRecord,
    "fidelity": FidelityRecord,
    "rate-distortion": CurveRecord,
    "representation": RepresentationRecord,
}
MEASURES = {"objective": -1.0, "bound": -1.0, "rate": 0.5, "distortion": 0.5}
EPOCH = {"event": "epoch", "epoch": 1, "step": 3, "train": MEASURES, "valid": None, "learning_rate": 0.1, "beta": None}
EPOCH |= {"data_per_second": 9.5, "seconds": 1.0, "is_best": False}


@pytest.mark.parametrize("name", KINDS)
def test_what_commands_write_is_read_as_it_is(name: str) -> None:
    path = RECORDS / f"{name}.json"
    assert read_record(path, KINDS[name], "Again.") == json.loads(path.read_text())


def places(tree: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where every value of a tree is."""
    for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*at, key)
        yield from places(inner, (*at, key))


@pytest.mark.parametrize("name", KINDS)
def test_a_value_of_another_type_is_refused_by_name(name: str, tmp_path: Path) -> None:
    """Every value that is read is looked at; those that nobody reads may be anything."""
    whole, refused, path = json.loads((RECORDS / f"{name}.json").read_text()), [], tmp_path / f"{name}.json"
    for place in places(whole):
        changed = copy.deepcopy(whole)
        at: Any = changed
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = {"another": ["type"]}
        path.write_text(json.dumps(changed))
        try:
            read_record(path, KINDS[name], "Again.")
        except CorruptRunError as error:
            refused.append((place, error))
    assert all(f"{path} is damaged" in error.what and error.remedy == "Again." for _, error in refused)
    read = KINDS[name].__annotations__
    assert {place[0] for place, _ in refused} == {
        key for key in read if key not in ("settings", "replay")
    } & whole.keys()


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000, b'{"log_px": 1e999}'])
def test_what_is_no_record(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_bytes(content)
    with pytest.raises(CorruptRunError, match=r"evaluation\.json is damaged"):
        read_record(tmp_path / "evaluation.json", EvaluationRecord, "Again.")


def test_files_of_any_size_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.storage.schemas.JSON_LIMIT", 100)
    (tmp_path / "evaluation.json").write_bytes(b" " * 101)
    with pytest.raises(CorruptRunError, match="101 bytes, more than 100"):
        read_record(tmp_path / "evaluation.json", EvaluationRecord, "Again.")
    with pytest.raises(CorruptRunError, match="No such file"):
        read_record(tmp_path / "none.json", EvaluationRecord, "Again.")


def test_an_objective_that_was_not_finite() -> None:
    line = line_of(json.dumps(EPOCH | {"valid": MEASURES | {"objective": None, "bound": None}}).encode())
    assert math.isnan(line["valid"]["objective"])
    assert line["valid"]["bound"] is None  # as it is where there are no densities
    assert line["train"] == MEASURES


@pytest.mark.parametrize(
    "change", [{"event": "later"}, {"epoch": "1"}, {"train": None}, {"valid": {}}, {"seconds": None}, {"step": 1.5}]
)
def test_a_line_of_another_shape(change: dict[str, Any], tmp_path: Path) -> None:
    path, line = tmp_path / "metrics.jsonl", json.dumps(EPOCH | change)
    with pytest.raises(msgspec.ValidationError):
        line_of(line.encode())
    for content in (f"{line}\n{json.dumps(EPOCH)}\n", f"{json.dumps(EPOCH)}\n{line}\n"):
        path.write_text(content)
        with pytest.raises(CorruptRunError, match=r"line \d of .* is damaged"):
            list(lines_of(path))


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path, line = tmp_path / "metrics.jsonl", json.dumps(EPOCH)
    assert list(lines_of(path)) == []
    for cut in (1, 40, len(line) - 1):
        path.write_text(f"{line}\n{line[:cut]}")
        assert list(lines_of(path)) == [EPOCH]
    path.write_text(f"{line[:40]}\n{line}\n")
    with pytest.raises(CorruptRunError, match="line 1 of"):
        list(lines_of(path))
