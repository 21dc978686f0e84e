"""Text with bytes that are not in its encoding: shown, named in a note, and written back byte for byte."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.data import read
from jensen.data.columns import Column
from jensen.data.encodings import decoded_bytes, encoded_text, encoding_of
from jensen.data.output_tables import filled
from jensen.data.table_building import output_table
from jensen.data.table_writing import encoded_text as table_encoded
from jensen.data.table_writing import table_text

LACKING = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])  # of Windows-1252


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"a,b\nx,1\n", "utf-8"),
        ("Zürich,1\nGenève,2\n".encode() + b"Z\xfcrich,3\n", "utf-8-escaped"),
        ("Zürich,1\nGenève,2\n".encode() + b"a\x81b\x8d,3\n".replace(b"\x8d", b""), "utf-8-escaped"),
        ("\ufeffa,b\n".encode() + b"Z\xfcrich,3\n", "utf-8-sig-escaped"),
        (b"Z\xfcrich,1\nGen\xe8ve,2\n" + LACKING, "cp1252"),
        (bytes(range(0x80, 0x100)), "cp1252"),
        ("\uef81 é é é".encode() + b"\xff", "cp1252"),  # such a private character is in the text itself
        ("größe".encode("utf-16"), "utf-16"),
    ],
)
def test_text_is_written_to_the_bytes_that_it_was_read_from(content, encoding):
    text, notes, name = decoded_bytes(content, "x")
    assert name == encoding
    assert encoded_text(text, name) == content
    assert bool(notes) == (encoding == "cp1252" or encoding.endswith("-escaped"))
    assert text.encode()  # no lone surrogate, which JSON and Parquet could not hold


def test_every_byte_comes_back_wherever_it_stands():
    rng = np.random.default_rng(0)
    for size in rng.integers(1, 60, size=300):
        content = bytes(rng.choice([0x41, 0x0A, 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0x81, 0x9D, 0xFF], size=size).tolist())
        if encoding_of(content).startswith("utf-8"):
            text, _, name = decoded_bytes(content, "x")
            assert encoded_text(text, name) == content


def test_the_note_names_line_and_byte_and_what_the_text_was_read_as():
    text, notes, _ = decoded_bytes("é,1\nè,2\n".encode() + b"caf\xe9,3\n", "x.csv")
    assert notes == ["x.csv is UTF-8 text but for 1 byte (0xE9 in line 3): read as UTF-8, and it is written back"]
    assert text.startswith("é,1\nè,2\ncaf")
    _, notes, _ = decoded_bytes("é,1\nè,2\né\nà\n".encode() + b"\xe9\n\xe8", "x.csv")
    assert notes == [
        "x.csv is UTF-8 text but for 2 bytes (first 0xE9 in line 5): read as UTF-8, and they are written back"
    ]
    text, notes, _ = decoded_bytes(b"a\r\ncaf\xe9", "x.csv")
    assert (text, notes) == ("a\r\ncafé", ["x.csv is not UTF-8 text (0xE9 in line 2): read as Latin-1 (Windows-1252)"])
    assert "0xE9 in line 2" in decoded_bytes(b"a\rcaf\xe9", "x.csv")[1][0]


@pytest.mark.parametrize("line", ["Zürich", "Z"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_untouched_cells_of_a_table_are_written_byte_for_byte(line, mark, tmp_path):
    rows = [f"{line},{i % 3}\n".encode() for i in range(8)]
    rows[2], rows[5] = b"\x81\xfc" + LACKING + b"," + b"\n", b"caf\xe9,\n"
    content = mark + b"city,n\n" + b"".join(rows)
    (tmp_path / "x.csv").write_bytes(content)
    dataset = read(tmp_path / "x.csv", typed=True)
    columns = dataset.schema.columns
    assert [c.name for c in columns] == ["city", "n"]
    table = filled(output_table(dataset.frame), dataset.frame, columns, dataset.x + 1, ~dataset.mask)
    lines = table_encoded(table, table_text(table), pytest.fail).split(b"\n")
    number = next(c for c in columns if c.name == "n").levels[1] if columns[1].is_levelled else "1"
    expected = content.replace(LACKING + b",\n", LACKING + f",{number}\n".encode())
    expected = expected.replace(b"\xe9,\n", b"\xe9," + number.encode() + b"\n")
    assert lines == expected.split(b"\n")


def test_a_level_with_such_a_byte_is_recorded_and_read_again():
    text, _, _ = decoded_bytes("é è ".encode() + b"Z\xfcrich", "x")
    level = text.split()[-1]
    column = Column("city", "categorical", levels=(level, "B"))
    assert Column.from_dict(column.to_dict()) == column
    assert level.encode().decode() == level
