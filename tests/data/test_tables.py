from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data import read


def write(tmp_path, text, name="x.csv"):
    (tmp_path / name).write_bytes(text.encode())
    return tmp_path / name


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", " , "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters(tmp_path, delimiter, end):
    path = write(tmp_path, end.join(delimiter.join(row) for row in (["1.5", "2"], ["-3e1", "4"])) + end)
    held = read(path)
    np.testing.assert_array_equal(held.x, [[1.5, 2], [-30, 4]])
    assert held.schema.kind == "real"
    assert held.schema.names is None


def test_header_is_found(tmp_path):
    held = read(write(tmp_path, '\ufeffheight,"weight, kg"\n1.5,2\n\n3,4\n'))
    assert held.schema.names == ("height", "weight, kg")
    assert len(held) == 2
    assert read(write(tmp_path, "name,1,2\n0.5,2,3\n1,2,3\n")).schema.names == ("name", "1", "2")


@pytest.mark.parametrize("row", ["NA,2", ",2", "?,2", "NA,NA", "abc,2.5"])
def test_a_first_row_with_a_missing_entry_does_not_vanish(tmp_path, row):
    with pytest.raises(DataError, match="line 1, column 1"):
        read(write(tmp_path, row + "\n3,4\n5,6\n"))


def test_first_row_of_classes_is_no_header(tmp_path):
    """A text column alone makes no header: the next row has text there too."""
    path = write(tmp_path, "1.5,M\n2.5,B\n")
    with pytest.raises(DataError, match=r"line 1, column 2 of .* is 'M', not a number"):
        read(path)
    held = read(path, labels="2")
    assert held.labels.tolist() == [1, 0]
    assert held.schema.classes == ("B", "M")
    assert held.x.tolist() == [[1.5], [2.5]]


def test_label_column(tmp_path):
    path = write(tmp_path, "a,kind,b\n1.5,3,2\n2.5,4,3\n")
    held = read(path, labels="kind")
    assert held.labels.tolist() == [3, 4]
    assert held.schema.classes is None
    assert held.schema.names == ("a", "b")
    with pytest.raises(DataError, match="It has a, kind, b"):
        read(path, labels="type")
    with pytest.raises(DataError, match="several columns"):
        read(write(tmp_path, "a,a\n1,2\n3,4\n"), labels="a")
    with pytest.raises(DataError, match="no column but"):
        read(write(tmp_path, "a\n1\n3\n"), labels="a")


@pytest.mark.parametrize(
    ("rows", "kind", "levels"),
    [
        ("0,1\n1,1\n", "binary", None),
        ("0,1\n7,1\n", "integers", 8),
        ("0,255\n7,1\n", "integers", 256),
        ("0,256\n7,1\n", "real", None),
        ("0,-1\n7,1\n", "real", None),
        ("0,0.5\n7,1\n", "real", None),
    ],
)
def test_kinds_of_tables(tmp_path, rows, kind, levels):
    held = read(write(tmp_path, rows))
    assert (held.schema.kind, held.schema.levels) == (kind, levels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3 of .* has 1 fields instead of 2"),
        ("1,2\n3,4,5\n", "line 2 of .* has 3 fields instead of 2"),
        ('1,2\n"3",4,"5"\n', "line 2 of .* has 3 fields instead of 2"),
        ("a,b\n1,2\n\n3,x y\n", r"line 4, column 2 \(b\) of .* is 'x y'"),
        ("a,b\n1,2\n3,\n", r"line 3, column 2 \(b\) of .* is empty.*missing"),
        ("1,5;2\n3,5;4\n", "line 1, column 1 of .* is '1,5'"),
        ("a,b\n1,2\n3,NA\n", "is 'NA'"),
        ("a,b\n1,2\n3,nan\n", "1 missing entry .*row 1, column 'b'.*miwae"),
        ("a,b\n1,2\n3,1_0\n", "is '1_0'"),
        ("a,b\n", "is 'a'"),
        ("\n\n", "no rows"),
        ("caf\udce9,b\n1,2\n", "not UTF-8"),
    ],
)
def test_tables_refused(tmp_path, text, message):
    (tmp_path / "x.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.csv")
