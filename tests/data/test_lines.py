"""Text: encodings, delimiters and comments."""

from __future__ import annotations

import gzip

import pytest

from jensen.core.errors import DataError
from jensen.data.lines import decoded, read_lines, read_text, split_names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_are_recognised(encoding):
    assert decoded("größe,b\n1,2\n".encode(encoding), "x") == ("größe,b\n1,2\n", [])


def test_windows_text_is_noted_and_other_bytes_are_refused():
    text, notes = decoded("€,ü\n".encode("cp1252"), "x")
    assert text == "€,ü\n"
    assert "Latin-1" in notes[0]
    with pytest.raises(DataError, match="control character"):
        decoded(b"\xff\x01\x02", "x")
    with pytest.raises(DataError, match="x is not text: line 2 holds the control character 0x00"):
        decoded(b"a,b\n1,\x002\n" + 300 * b"1,2\n", "x")
    with pytest.raises(DataError, match="UTF-16"):
        decoded(b"\xff\xfe\x00\xd8\x41\x00", "x")


@pytest.mark.parametrize(
    ("text", "delimiter", "rows"),
    [
        ("a,b\n1,2\n", ",", 2),
        ('"a;b",c\n1,2\n', ",", 2),
        ("a;b\n1,5;2\n", ";", 2),
        ("a\tb\r1\t2\r", "\t", 2),
        ("a|b\n1|2\n", "|", 2),
        ("1,5 2,5\n3,5 4,5\n", None, 2),
        ("1 , 2\n", ",", 1),
        ("sep=;\na;b\n\n1;2\n", ";", 2),
        ("# made today\n# by hand\n1,2\n", ",", 1),
    ],
)
def test_delimiters(tmp_path, text, delimiter, rows):
    (tmp_path / "x.csv").write_bytes(text.encode())
    lines, _, _ = read_lines(tmp_path / "x.csv")
    assert (lines.delimiter, len(lines)) == (delimiter, rows)
    for row in range(rows):
        fields = lines.fields(row)
        assert lines.count(row) == len(fields) == 2
        assert [lines.field(row, i) for i in range(2)] == fields


def test_names_in_a_comment(tmp_path):
    (tmp_path / "x.txt").write_text("# a b\n1 2\n")
    lines, notes, commented = read_lines(tmp_path / "x.txt")
    assert commented
    assert lines.fields(0) == ["a", "b"]
    assert notes == []


def test_compressed_text(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"1,2\r\n"))
    assert read_text(path) == ("1,2\n", [])
    path.write_bytes(gzip.compress(b"1,2\n" * 2**25))
    with pytest.raises(DataError, match="unpacks to more than 64 MiB"):
        read_text(path)
    path.write_bytes(gzip.compress(b"1,2\r\n" * 99)[:-9])
    with pytest.raises(DataError, match="damaged"):
        read_text(path)


def test_lists_of_names():
    assert split_names("a, b,c") == ("a", "b", "c")
    assert split_names('"weight, kg",b') == ("weight, kg", "b")
