"""Any changed byte of any file of a run is refused by name, or changes nothing that is read."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jensen
from jensen.core.errors import CorruptRunError
from jensen.core.modules import joined
from jensen.storage.commits import commits, read_commit
from jensen.storage.files import write_json
from jensen.storage.metrics import lines_of
from jensen.storage.schemas import (
    CalibrationRecord,
    CurveRecord,
    EvaluationRecord,
    FaultRecord,
    FidelityRecord,
    RepresentationRecord,
    read_record,
)
from jensen.storage.specification import read_spec
from jensen.storage.weights import read_weights, tie

RECORDS = Path(__file__).resolve().parents[1] / "fixtures" / "records"
KINDS: dict[str, Any] = {
    "evaluation.json": EvaluationRecord,
    "evaluations/importance-k2.json": EvaluationRecord,
    "calibration.json": CalibrationRecord,
    "fidelity.json": FidelityRecord,
    "representation.json": RepresentationRecord,
    "rate-distortion.json": CurveRecord,
    "forensics.json": FaultRecord,
}
FAULTS = {"command": {"data": "x.npy"}, "faults": [{"number": 1, "step": 3, "rows": [4], "what": "a row"}]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of file that has a reader."""
    x = np.random.default_rng(0).normal(size=(40, 3))
    folder = tmp_path_factory.mktemp("whole") / "run"
    jensen.train(x, out=folder, latent=2, hidden=(4,), epochs=2, checkpoints=2, batch=16)
    (folder / "evaluations").mkdir()
    for name in KINDS:
        source = RECORDS / f"{'evaluation' if '/' in name else Path(name).stem}.json"
        write_json(folder / name, FAULTS if name == "forensics.json" else json.loads(source.read_text()))
    return folder


def shown(folder: Path, name: str) -> Any:
    """What is read out of one file of a run, by the function that commands and reports read it with."""
    path = folder / name
    if name == "spec.json":
        return read_spec(folder)
    if name == "metrics.jsonl":
        return list(lines_of(path))
    if name in KINDS:
        return read_record(path, KINDS[name], "Again.")
    if name.startswith("state/"):
        return [read_commit(commit) for commit in commits(folder / "state")]
    run = jensen.load(folder)
    module = joined(run.model, run.guide)
    read_weights(folder, module, tie(run.spec), name)
    return {k: v.numpy().tobytes() for k, v in module.state_dict().items()}


def flips(whole: Path, tmp_path: Path, n: int) -> dict[str, int]:
    """Flip bytes of all files in turn; return how many were refused or harmless."""
    folder, noise = Path(shutil.copytree(whole, tmp_path / "run")), random.Random(0)
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    before = {name: shown(folder, name) for name in names}
    outcomes = {"refused": 0, "harmless": 0}
    for i in range(n):
        name = names[i % len(names)]
        content = (whole / name).read_bytes()
        place = noise.randrange(len(content))
        changed = content[:place] + bytes([content[place] ^ noise.randrange(1, 256)]) + content[place + 1 :]
        (folder / name).write_bytes(changed)
        refusal = None
        try:
            assert shown(folder, name) == before[name], (name, place, changed[place])
        except CorruptRunError as error:
            refusal = error
        assert refusal is None or (Path(name).name in refusal.what and refusal.remedy), (name, place, refusal)
        outcomes["harmless" if refusal is None else "refused"] += 1
        (folder / name).write_bytes(content)
    return outcomes


def test_150_flipped_bytes(whole: Path, tmp_path: Path) -> None:
    assert flips(whole, tmp_path, 150)["refused"] > 120  # the others are spaces


@pytest.mark.slow
def test_2000_flipped_bytes(whole: Path, tmp_path: Path) -> None:
    assert flips(whole, tmp_path, 2000)["refused"] > 1600


@pytest.mark.parametrize("name", ["spec.json", "evaluation.json", "calibration.json"])
def test_no_byte_removes_the_protection(name: str, whole: Path, tmp_path: Path) -> None:
    """Every byte of the format and of the digest: no flip makes of a record one of an earlier version."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    content, before = (whole / name).read_bytes(), shown(whole, name)
    last = content.rindex(b'"sha256"')
    for place in (*range(40), *range(last - 8, len(content))):
        for bit in (0, 2, 5):
            changed = content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]
            (folder / name).write_bytes(changed)
            try:
                assert shown(folder, name) == before
            except CorruptRunError:
                continue
            assert json.loads(changed) == json.loads(content)  # another kind of space


def test_flips_in_the_specification_are_noticed_by_what_reads_it(whole: Path, tmp_path: Path) -> None:
    """A name that is only shown is protected as much as a number."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    text = (folder / "spec.json").read_text()
    for old, new in (("sentence", "sentense"), ('"jensen": "', '"jensen": "1'), ("Gaussian", "gaussian")):
        assert old in text
        (folder / "spec.json").write_text(text.replace(old, new, 1))
        with pytest.raises(CorruptRunError, match="changed since it was written"):
            jensen.load(folder)
