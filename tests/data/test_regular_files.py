"""Regular files alone are opened: FIFOs, devices, sockets and folders are refused at once, and links in a run."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data import read
from jensen.data.regular_files import Irregular, open_regular

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without such files")


def planted(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)  # the name of a socket may have some hundred bytes
    path = folder / "x.csv"
    match kind:
        case "a FIFO":
            os.mkfifo(path)
        case "a socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind("x.csv")
        case "a device":
            path.symlink_to("/dev/zero")
        case "a folder":
            path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a device", "a folder"])
def test_other_kinds_are_refused_at_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = planted(tmp_path, kind, monkeypatch)
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND | os.O_CREAT):
        with pytest.raises(Irregular, match=f"it is {kind}, not a regular file"):
            open_regular(path, flags, follow=True)


def test_links_are_followed_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12")
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "loop").symlink_to("loop")
    with open(open_regular(tmp_path / "link", follow=True), "rb") as file:
        assert file.read() == b"12"
    for name in ("link", "loop"):
        with pytest.raises(Irregular, match="it is a symbolic link, not a regular file"):
            open_regular(tmp_path / name, os.O_RDWR | os.O_CREAT)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def test_a_file_of_two_names_is_refused_where_it_would_be_changed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12")
    os.close(open_regular(tmp_path / "x", os.O_RDWR, alone=True))
    os.link(tmp_path / "x", tmp_path / "y")
    os.close(open_regular(tmp_path / "y"))
    with pytest.raises(Irregular, match="another name, by a hard link"):
        open_regular(tmp_path / "y", os.O_RDWR, alone=True)


@pytest.mark.parametrize("kind", ["a FIFO", "a socket", "a device"])
@pytest.mark.parametrize("place", ["data", "labels"])
def test_data_are_refused_at_once(kind: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = planted(tmp_path, kind, monkeypatch)
    np.save(tmp_path / "rows.npy", np.eye(8))
    with pytest.raises(DataError, match=r"x\.csv"):
        _ = read(path) if place == "data" else read(tmp_path / "rows.npy", labels=path)
