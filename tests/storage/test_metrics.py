"""The lines of metrics.jsonl: whole ones are read, one cut short at the end is left out, any other is refused."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from jensen.core.errors import CorruptRunError
from jensen.storage.metrics import chained, lines_in, lines_of

MEASURES = {"objective": -1.0, "bound": -1.0, "rate": 0.5, "distortion": 0.5}
EPOCH = {"event": "epoch", "epoch": 1, "step": 3, "train": MEASURES, "valid": None, "learning_rate": 0.1, "beta": None}
EPOCH |= {"data_per_second": 9.5, "seconds": 1.0, "is_best": False}
STOPPED = {"event": "stopped", "reason": "finished", "epoch": 3, "kept_epoch": 2, "seconds": 4.0}
LINES = [EPOCH, EPOCH | {"epoch": 2}, EPOCH | {"epoch": 3}, STOPPED]


def old(*lines: dict[str, Any]) -> bytes:
    """Lines as earlier versions wrote them."""
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_an_objective_that_was_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for content in (old(changed := EPOCH | {"valid": MEASURES | {"objective": None, "bound": None}}), b""):
        path.write_bytes(content or chained([changed])[0])
        (line,) = lines_of(path)
        assert math.isnan(line["valid"]["objective"])
        assert line["valid"]["bound"] is None  # as it is where there are no densities
        assert line["train"] == MEASURES


@pytest.mark.parametrize(
    "change", [{"event": "later"}, {"epoch": "1"}, {"train": None}, {"valid": {}}, {"seconds": None}, {"step": 1.5}]
)
def test_a_line_of_another_shape(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for lines in ((EPOCH | change, EPOCH), (EPOCH, EPOCH | change)):
        for content in (old(*lines), chained(lines)[0]):
            path.write_bytes(content)
            with pytest.raises(CorruptRunError, match=r"line \d of .* is damaged"):
                list(lines_of(path))


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path, line = tmp_path / "metrics.jsonl", json.dumps(EPOCH)
    assert list(lines_of(path)) == []
    for cut in (1, 40, len(line) - 1):
        for end in ("", "\0\0"):  # which a machine that lost its power may leave
            path.write_text(f"{line}\n{line[:cut]}{end}")
            assert list(lines_of(path)) == [EPOCH]
    path.write_text(f"{line[:40]}\n{line}\n")
    with pytest.raises(CorruptRunError, match="line 1 of"):
        list(lines_of(path))
    path.write_text(f"{line}\n{line[:40]}\n")  # cut, and yet ended: not by a crash
    with pytest.raises(CorruptRunError, match="line 2 of"):
        list(lines_of(path))


def test_every_cut_of_the_file_leaves_its_first_lines() -> None:
    content, _ = chained(LINES)
    for cut in range(len(content) + 1):
        kept = [line for line, _, _ in lines_in(content[:cut], Path("metrics.jsonl"))]
        assert kept == LINES[: len(kept)]
        assert len(kept) >= content[:cut].count(b"\n")


def test_the_digest_of_a_line_is_of_the_digest_before_and_its_canonical_form() -> None:
    content, last = chained(LINES[:2])
    before = ""
    for written, line in zip(content.splitlines(), LINES, strict=False):
        canonical = json.dumps(line | {"format": 2}, sort_keys=True, separators=(",", ":"))
        before = hashlib.sha256((before + canonical).encode()).hexdigest()
        assert json.loads(written) == line | {"format": 2, "sha256": before}
    assert last == before
    assert chained(LINES[:1])[0] + chained(LINES[1:2], chained(LINES[:1])[1])[0] == content  # line by line


def test_lines_moved_removed_or_from_elsewhere_are_noticed(tmp_path: Path) -> None:
    path, whole = tmp_path / "metrics.jsonl", chained(LINES)[0].splitlines(keepends=True)
    other = chained([EPOCH | {"seconds": 2.0}, *LINES[1:]])[0].splitlines(keepends=True)
    unsealed = old(*LINES).splitlines(keepends=True)
    for lines in (
        [whole[1], whole[0], *whole[2:]],
        whole[1:],
        [*whole[:2], whole[3]],
        [whole[0], whole[0], *whole[1:]],
        [whole[0], *other[1:]],
        [whole[0], unsealed[1]],
        [unsealed[0], *whole[1:]],
        [*whole[:3], unsealed[3]],
    ):
        path.write_bytes(b"".join(lines))
        with pytest.raises(CorruptRunError, match="changed since it was written"):
            list(lines_of(path))


@pytest.mark.parametrize("n", [1, 4])
def test_every_changed_byte_is_refused_or_changes_no_line(n: int, tmp_path: Path) -> None:
    """A single line too: neither of its two marks can be removed without the other telling."""
    content, path = chained(LINES[:n])[0], tmp_path / "metrics.jsonl"
    harmless = 0
    for place in range(len(content)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128):
            changed = content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :]
            try:
                lines = [line for line, _, _ in lines_in(changed, path)]
            except CorruptRunError:
                continue
            assert lines == LINES[:n]
            harmless += 1
    assert harmless <= 3 * n + 3  # spaces at the end of a line, and an exponent's e and E


def test_lines_of_an_earlier_version_are_covered_by_the_next_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = old(*LINES[:2])
    digest = [digest for _, digest, _ in lines_in(first, path)][-1]
    path.write_bytes(first + chained(LINES[2:], digest)[0])
    assert list(lines_of(path)) == LINES
    path.write_bytes(first.replace(b"0.5", b"0.6", 1) + chained(LINES[2:], digest)[0])
    with pytest.raises(CorruptRunError, match=r"line 3 of .* changed since"):
        list(lines_of(path))
