"""Names that no file can have, and files that the system refuses, are errors of the data."""

from __future__ import annotations

import os

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data import read
from jensen.data.paths import check_path, openable

NAMES = {
    "a NUL": "a\0b.npy",
    "half a character": "a\ud800b.npy",
    "too long": "x" * 5000,
    "too deep": "/".join(["d"] * 3000),
    "below a file": "/etc/passwd/x",
    "a device": "/dev/zero",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_refused(name):
    for give in (lambda: read(NAMES[name]), lambda: read("digits", labels=NAMES[name])):
        with pytest.raises(DataError) as caught:
            give()
        assert caught.value.remedy
        assert len(str(caught.value)) < 400


def test_links_to_themselves_and_folders(tmp_path):
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    (tmp_path / "dir.npy").mkdir()
    for name in ("loop", "dir.npy"):
        with pytest.raises(DataError):
            read(tmp_path / name)


def test_names_with_bytes_that_are_no_text(tmp_path):
    path = os.path.join(str(tmp_path), os.fsdecode(b"n\xff.npy"))
    np.save(path, np.eye(4) * 0.5)
    assert read(path).x.shape == (4, 4)


def test_names_of_columns_that_no_file_can_hold(tmp_path):
    (tmp_path / "x.json").write_text('{"a\\u0000": [1, 2], "\\ud800": [2, 3.5]}')
    names = read(tmp_path / "x.json").schema.names
    assert names == ("a\0", "\\ud800")
    assert "".join(names).encode()


def test_scopes():
    check_path("there is none")
    with pytest.raises(DataError, match=r"'x{60}\.\.\.' is not the name of a file"):
        check_path("x" * 5000)
    with pytest.raises(DataError, match=r"x cannot be read \(Permission denied\)"), openable("x", None):
        raise PermissionError(13, "Permission denied", "x")
    with pytest.raises(DataError, match="kept"), openable("x"):
        raise DataError("kept")
