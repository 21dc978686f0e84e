"""The dialect of a file of text: read with the table, and given to what is written of it."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import CorruptRunError
from jensen.data import read
from jensen.data.dialects import Dialect
from jensen.data.frames import Frame
from jensen.data.named_tables import named_table
from jensen.data.table_building import output_table
from jensen.data.table_writing import encoded_text, table_text

TEXT = "Größe;n;sex\n1,50;3;F\n2,75;;M\n1,25;4;F\n"


def frame_of(path) -> Frame:
    frame = read(str(path), typed=True).frame
    assert frame is not None
    return frame


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_table_is_written_to_the_bytes_that_it_was_read_from(encoding, line_end, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(TEXT.replace("\n", line_end).encode(encoding))
    frame = frame_of(path)
    assert frame.dialect == Dialect(";", ",", encoding, line_end)
    table = output_table(frame)
    assert encoded_text(table, table_text(table), pytest.fail) == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "text", "csv", "tsv"),
    [
        ("x.csv", "a,b\n1.5,F\n2.5,M\n", ",", "\t"),
        ("x.csv", "a\tb\n1.5\tF\n2.5\tM\n", "\t", "\t"),  # tabs in a .csv stay
        ("x.tsv", "a\tb\n1.5\tF\n2.5\tM\n", ",", "\t"),
        ("x.tsv", "a\tb\n1,5\tF\n2,5\tM\n", ";", "\t"),  # commas are decimal marks
        ("x.csv", "a|b\n1.5|F\n2.5|M\n", "|", "\t"),
        ("x.csv", "a;b\n1,5;F\n2,5;M\n", ";", "\t"),
        ("x.csv", 'a,b\n"1,5",F\n"2,5",M\n', ",", "\t"),  # and stand in quotes
    ],
)
def test_the_separator_follows_the_source_and_the_name_of_the_file(name, text, csv, tsv, tmp_path):
    (tmp_path / name).write_text(text)
    table = output_table(frame_of(tmp_path / name)).only([0, 1])
    assert table_text(table, ".csv").splitlines()[0] == f"a{csv}b"
    assert table_text(table, ".tsv").splitlines()[0] == f"a{tsv}b"


def test_new_numbers_have_the_decimal_mark_of_the_source():
    dialect = Dialect(";", ",")
    table = named_table({"p": np.array([0.5, np.nan, 1e-9]), "n": np.array([3, 4, 5])}, "csv", dialect=dialect)
    assert table_text(table) == "p;n\n0,5;3\n;4\n1e-09;5\n"
    table = table.inserted(2, "z", np.array([1.25, 2.0, -0.5], np.float32))
    assert table_text(table.only([2])) == "z\n1,25\n2,0\n-0,5\n"
    assert named_table({"p": np.array([0.5])}, "xlsx", dialect=dialect).data == {"p": [0.5]}


def test_text_that_an_encoding_lacks_is_written_as_utf_8_and_said():
    table = named_table({"s": np.array(["Łódź"], dtype=object)}, "csv", dialect=Dialect(encoding="cp1252"))
    notes = list[str]()
    assert encoded_text(table, table_text(table), notes.append) == "s\nŁódź\n".encode()
    assert notes == ["the result holds characters that the source's encoding (cp1252) lacks, and is written as UTF-8"]


def test_a_dialect_is_recorded_and_validated():
    dialect = Dialect(";", ",", "utf-16", "\r\n")
    assert Dialect.from_dict(dialect.to_dict()) == dialect
    assert Dialect.from_dict({}) == Dialect()
    for damaged in ({"delimiter": "ab"}, {"encoding": "rot13"}, {"line_end": "x"}, {"decimal": "'"}, {"mark": ","}):
        with pytest.raises(CorruptRunError, match="dialect"):
            Dialect.from_dict(damaged)
