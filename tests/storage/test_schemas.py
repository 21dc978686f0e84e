"""What commands write and others read is of its shape, or refused by name; null is a number that was not finite."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jensen.core.errors import CorruptRunError
from jensen.storage.files import write_json
from jensen.storage.schemas import (
    CalibrationRecord,
    CurveRecord,
    EvaluationRecord,
    FidelityRecord,
    RepresentationRecord,
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


@pytest.mark.parametrize("name", KINDS)
def test_a_digest_is_verified_and_is_no_field(name: str, tmp_path: Path) -> None:
    """A record may be laid out anew; a changed number, a changed name and a removed or unknown field are refused."""
    whole, path = json.loads((RECORDS / f"{name}.json").read_text()), tmp_path / f"{name}.json"
    write_json(path, whole)
    assert read_record(path, KINDS[name], "Again.") == whole
    written = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(written.items())), indent=7))
    assert read_record(path, KINDS[name], "Again.") == whole
    last = list(whole)[-1]
    for changed in (
        {**written, "seed": 3},
        {**written, "more": 1},
        {k: v for k, v in written.items() if k != last} | {f"{last}_": written[last]},
        {k: v for k, v in written.items() if k != "sha256"},
        {k: v for k, v in written.items() if k != "format"},
        {**written, "format": 3},
        {**written, "sha256": None},
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(CorruptRunError, match="changed since it was written") as error:
            read_record(path, KINDS[name], "Again.")
        assert str(path) in error.value.what
        assert error.value.remedy == "Again."
