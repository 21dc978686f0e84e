"""The folder of an export: whole or not there, and never over something else."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from jensen.core.errors import RunExistsError, UsageError
from jensen.storage.export_folder import check_export_target, write_export

FILES = {"encoder.onnx": b"graph", "README.md": b"card"}


def test_files_are_written_with_their_digests(tmp_path):
    write_export(tmp_path / "a" / "out", FILES, {"kind": "onnx"}, force=False)
    out = tmp_path / "a" / "out"
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "encoder.onnx", "export.json"]
    record = json.loads((out / "export.json").read_text())
    assert record["kind"] == "onnx"
    assert record["files"]["README.md"] == hashlib.sha256(b"card").hexdigest()


def test_an_export_is_replaced_by_force_alone(tmp_path):
    out = tmp_path / "out"
    write_export(out, FILES, {}, force=False)
    with pytest.raises(RunExistsError, match="--force"):
        check_export_target(out, force=False)
    write_export(out, {"decoder.onnx": b"other"}, {}, force=True)
    assert sorted(p.name for p in out.iterdir()) == ["decoder.onnx", "export.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_other_files_are_never_replaced(tmp_path, force):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunExistsError, match="not an export's"):
        check_export_target(tmp_path, force)
    with pytest.raises(RunExistsError, match="is a file"):
        check_export_target(tmp_path / "notes.txt", force)


def test_an_export_with_a_file_of_the_user_is_kept(tmp_path):
    out = tmp_path / "out"
    write_export(out, FILES, {}, force=False)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(RunExistsError, match=r"mine\.txt"):
        write_export(out, FILES, {}, force=True)
    assert (out / "mine.txt").read_text() == "mine"


def test_what_cannot_be_written_leaves_the_earlier_export(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_export(out, FILES, {}, force=False)

    def refuse(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UsageError, match="No space left"):
        write_export(out, {"README.md": b"new"}, {}, force=True)
    assert (out / "README.md").read_bytes() == b"card"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
