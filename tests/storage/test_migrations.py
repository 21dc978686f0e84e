"""Runs of format 1, one of which is kept beside the tests, are read, evaluated and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from jensen.core.errors import CorruptRunError
from jensen.runs.resume import resume
from jensen.runs.run import load
from jensen.storage.migrations import FORMAT, STEPS, migrated
from jensen.storage.specification import read_spec
from jensen.storage.training_state import read_newest_state

OLD = Path(__file__).resolve().parents[1] / "fixtures" / "format-1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run that was stopped within its second epoch."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_there_is_a_step_from_every_earlier_format() -> None:
    assert sorted(STEPS) == list(range(1, FORMAT))


def test_what_an_old_run_lacked_is_filled_in(old: Path) -> None:
    plain, spec = json.loads((old / "spec.json").read_bytes()), read_spec(old)
    assert (plain["format"], spec["format"]) == (1, FORMAT)
    assert (plain["jensen"], spec["jensen"]) == ("0.1.0", "0.1.0")
    assert spec["earlier"]["format"] == 1
    bare = {**plain, "data": {k: v for k, v in plain["data"].items() if k not in ("missing", "classes")}}
    bare["preparation"] = {k: v for k, v in plain["preparation"].items() if k != "fill"}
    (old / "spec.json").write_text(json.dumps(bare))
    found = read_spec(old)
    assert (found["data"]["missing"], found["data"]["classes"], found["preparation"]["fill"]) == (0, None, None)
    assert migrated(found, old) == found  # nothing is left to do


def test_an_old_run_is_evaluated_and_gone_on_with(old: Path) -> None:
    before = (old / "spec.json").read_bytes()
    run = load(old)
    assert "without a digest" in run.evaluate(k=2).notes[0]
    assert (old / "spec.json").read_bytes() == before  # reading changes nothing
    kept, spec = read_newest_state(old)
    assert spec["format"] == FORMAT
    assert kept.facts["step"] == 8
    run = resume(old)
    assert [line["epoch"] for line in run.metrics] == [1, 2, 3, 3]
    assert json.loads((old / "spec.json").read_bytes())["format"] == FORMAT
    assert "without a digest" not in " ".join(run.evaluate(k=2).notes)
    assert [stage.epoch for stage in run.along(k=2).stages][:2] == [1, 3]  # weights of both formats


def test_old_weights_of_another_old_run_are_noticed(old: Path) -> None:
    spec = json.loads((old / "spec.json").read_bytes())
    spec["command"]["seed"] = 1
    (old / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(CorruptRunError, match="do not belong"):
        load(old)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": FORMAT + 1, "jensen": "9.3"}, r"jensen 9\.3"),
        ({"jensen": "9.3", "colour": "red"}, r"unknown field `colour`.*jensen 9\.3"),
        ({"format": True}, "format True"),
        ({"format": 0}, "format 0"),
        ({"format": "1"}, "format '1'"),
        ({"data": 3}, "damaged"),
        ({"split": {}}, "damaged"),
        ({"command": None}, "damaged"),
    ],
)
def test_what_a_later_version_wrote_is_refused_with_its_name(old: Path, change: dict[str, Any], said: str) -> None:
    spec = json.loads((old / "spec.json").read_bytes())
    (old / "spec.json").write_text(json.dumps(spec | change))
    with pytest.raises(CorruptRunError, match=said) as caught:
        load(old)
    assert caught.value.remedy


@pytest.mark.parametrize("where", ["data", "split", "preparation", "choices"])
def test_unknown_fields_within(old: Path, where: str) -> None:
    spec = json.loads((old / "spec.json").read_bytes())
    spec[where]["colour"] = "red"
    (old / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(CorruptRunError, match=r"unknown field `colour`.*jensen 0\.1\.0"):
        load(old)
