"""The record of a group: what may be overwritten, and what is refused."""

from __future__ import annotations

import os

import pytest

from jensen.core.errors import CorruptRunError, RunExistsError
from jensen.storage.group_record import check_group_target, read_group, write_group
from jensen.storage.run_folder import is_group

MEMBER = {"name": "seed-0", "setting": "", "options": {"seed": 0}, "state": "waiting", "error": None}
RECORD = {"command": {"data": "digits"}, "members": [MEMBER], "how": "together"}


def test_what_is_written_is_read(tmp_path):
    write_group(tmp_path, RECORD)
    assert read_group(tmp_path) == RECORD
    assert is_group(tmp_path)


@pytest.mark.parametrize("change", [{"name": ".."}, {"name": "a/b"}, {"name": ".lock"}, {"state": "lost"}])
def test_a_record_that_leads_elsewhere_is_refused(change, tmp_path):
    write_group(tmp_path, {**RECORD, "members": [{**MEMBER, **change}]})
    with pytest.raises(CorruptRunError, match="is damaged"):
        read_group(tmp_path)


def test_a_changed_byte_is_noticed(tmp_path):
    write_group(tmp_path, RECORD)
    path = tmp_path / "group.json"
    path.write_text(path.read_text().replace("waiting", "failed"))
    with pytest.raises(CorruptRunError, match="changed since"):
        read_group(tmp_path)


def test_targets(tmp_path):
    check_group_target(tmp_path / "new", force=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunExistsError, match="is a file"):
        check_group_target(tmp_path / "file", force=True)
    with pytest.raises(RunExistsError, match="not a group's"):
        check_group_target(tmp_path, force=True)
    (tmp_path / "g").mkdir()
    write_group(tmp_path / "g", RECORD)
    with pytest.raises(RunExistsError, match="jensen resume"):
        check_group_target(tmp_path / "g", force=False)
    check_group_target(tmp_path / "g", force=True)
    os.symlink(tmp_path / "file", tmp_path / "g" / "summary.csv")
    with pytest.raises(CorruptRunError, match="link"):
        check_group_target(tmp_path / "g", force=True)
