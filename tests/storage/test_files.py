"""Single files, written whole or not at all, and read within limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from jensen.core.errors import UsageError
from jensen.storage.files import append, parsed, read_limited, write_atomic


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content in (b"one", b"two"):
        write_atomic(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    with pytest.raises(UsageError, match=r"5 bytes \(No such file"):
        write_atomic(tmp_path / "none" / "a", b"three")


def test_lines_are_added(tmp_path: Path) -> None:
    append(tmp_path / "a", b"one\n")
    append(tmp_path / "a", b"two\n")
    assert (tmp_path / "a").read_bytes() == b"one\ntwo\n"
    with pytest.raises(UsageError, match="4 more bytes"):
        append(tmp_path / "none" / "a", b"one\n")


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    assert read_limited(tmp_path / "a", 3) == b"123"
    with pytest.raises(ValueError, match="3 bytes, more than 2"):
        read_limited(tmp_path / "a", 2)
    with pytest.raises(OSError, match="it is a device, not a regular file"):
        read_limited(Path("/dev/zero"), 2)  # says that it has none


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b'{"a":' * 5000, b"\xff", b'"\xff"', b"1e999", b"[1]", b"{} {}"]
)
def test_what_is_no_object_is_one_error(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        parsed(content, dict[str, Any])


def test_an_object() -> None:
    assert parsed(b'{"a": [1, null, "\\u00e9"]}', dict[str, Any]) == {"a": [1, None, "é"]}
