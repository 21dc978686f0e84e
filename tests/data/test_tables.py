from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas._libs.parsers import STR_NA_VALUES

from jensen.core.errors import DataError, UsageError
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
        ("a,b\n1,2\n3\n", "line 3 of .* has 1 field instead of 2"),
        ("1,2\n3,4,5\n", "line 2 of .* has 3 fields instead of 2"),
        ('1,2\n"3",4,"5"\n', "line 2 of .* has 3 fields instead of 2"),
        ("a,b\n1,2\n\n3,x y\n", r"line 4, column 2 \(b\) of .* is 'x y'"),
        ("a,b\n1,2\n3,\n", r"line 3, column 2 \(b\) of .* is empty.*missing"),
        ("1,500;2\n3,250;4\n", "line 1, column 1 of .* is '1,500', .* thousands or with a decimal comma"),
        ("a,b\n1,2\n3,NA\n", "is 'NA'"),
        ("a,b\n1,2\n3,nan\n", "1 missing entry .*row 1, column 'b'.*miwae"),
        ("a,b\n1,2\n3,1_0\n", "is '1_0'"),
        ("a,b\n", "is 'a'"),
        ("a,b\nx,2\n3,4\n5,6\n", r"line 2, column 1 \(a\) of .* is 'x'"),
        ("a,b\nx,y\n3,4\n5,6\n", r"line 2, column 1 \(a\) of .* is 'x'"),
        ("a,b\n3,4\n5,y\n", r"line 3, column 2 \(b\) of .* is 'y'"),
        ("1,2,3\n3,4\n5,6\n7,8\n", "line 1 of .* has 3 fields instead of 2"),
        ("a,b\n1.5,2,3\n4.5,5,6\n", "line 1 of .* has 2 fields instead of 3"),
        ("a,b\n1,-\n2,blue\n3,1\n", r"line 3, column 2 \(b\) of .* is 'blue', not a number"),
        ("\n\n", "no rows"),
        ("a,b\n1,2\n3,4\x1b5\n", r"line 3, column 2 \(b\) of .* is '4\\x1b5', not a number"),
        ("\x01\x02,\x03\n\x04,\x05\n", "not text: 5 of its 9 characters are control characters"),
        ("import a\n\ndef f(x, y):\n    return g(x)\n", "is no table: its lines are not divided into numbers"),
        ("x = [1, 2, 3]\nfor a in x:\n    print(a)\n    b = a\n", "is no table"),
        ("# Title\n\nSome words, and more.\nA last line\n", "is no table"),
    ],
)
def test_tables_refused(tmp_path, text, message):
    (tmp_path / "x.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.csv")


@pytest.mark.parametrize("odd", ["\x1b[31m", "\x07", "\x08\x7f", "\x1b]0\x07"])
@pytest.mark.parametrize("form", ["{}", '"{}"'])
def test_control_characters_of_text_are_data(tmp_path, odd, form):
    """In names of columns, classes and rows: what shows them escapes them."""
    rows = "".join(f"{form.format(f'n{odd}{i}')},{i}.5,{form.format(f'k{odd}{i % 2}')}\n" for i in range(9))
    (tmp_path / "x.csv").write_text(f"name,{form.format(f'a{odd}b')},kind\n{rows}")
    held = read(tmp_path / "x.csv", labels="kind")
    assert held.schema.names == (f"a{odd}b",)
    assert held.schema.classes == (f"k{odd}0", f"k{odd}1")
    assert held.identity["name"].tolist() == [f"n{odd}{i}" for i in range(9)]
    np.testing.assert_array_equal(held.x[:, 0], np.arange(9) + 0.5)


X = np.random.default_rng(0).normal(size=(200, 4))
COUNTS = np.random.default_rng(1).poisson(4, size=(200, 4))
NAMED = pd.DataFrame(X, columns=["a", "b", "c", "d"])


@pytest.mark.parametrize("x", [X, COUNTS, X[:, :2], COUNTS * 100, (COUNTS > 3) * 1, COUNTS % 3], ids=str)
@pytest.mark.parametrize("names", ["0", "1", "years", "gaps"])
@pytest.mark.parametrize("index", [False, True])
def test_numbers_as_names(tmp_path, x, names, index):
    """As pandas writes a frame without names, or with years: the header is no row, and the index no column."""
    starts = {"0": range(9), "1": range(1, 9), "years": range(2019, 2029), "gaps": (1990, 1995, 2005, 2020)}
    frame = pd.DataFrame(x, columns=list(starts[names])[: x.shape[1]])
    frame.to_csv(tmp_path / "x.csv", index=index)
    held = read(tmp_path / "x.csv")
    np.testing.assert_array_equal(held.x, pd.read_csv(tmp_path / "x.csv", index_col=0 if index else None).to_numpy())
    assert held.schema.names == tuple(map(str, frame.columns))
    assert any("--header no" in note for note in held.notes)
    assert any("left out" in note for note in held.notes) == index


@pytest.mark.parametrize(
    "rows",
    [
        np.arange(20).reshape(5, 4),
        np.array([[1, 2, 3, 4], *(np.random.default_rng(i).permutation(4) + 1 for i in range(50))]),
        np.array([[0, 1], [1, 1], [0, 1], [1, 0]] * 20),
        np.array([[2000, 2001], [1990, 2004], [2003, 2005], [1980, 1999]]),
        np.array([[5, 6, 7], [1, 2, 3], [2, 3, 4], [9, 10, 11]]),
        np.vstack([[3, 1, 2], COUNTS[:, :3]]),
        X,
        COUNTS,
    ],
    ids=str,
)
def test_a_row_of_numbers_is_not_lost(tmp_path, rows):
    pd.DataFrame(rows).to_csv(tmp_path / "x.csv", index=False, header=False)
    held = read(tmp_path / "x.csv")
    np.testing.assert_array_equal(held.x, rows)
    assert held.schema.names is None


def test_an_unclear_first_row_is_noted_and_decided_by_an_option(tmp_path):
    pd.DataFrame(COUNTS % 3).to_csv(tmp_path / "x.csv", index=False)
    assert len(read(tmp_path / "x.csv", header="yes")) == 200
    data = read(tmp_path / "x.csv", header="no")
    assert data.x[0].tolist() == [0, 1, 2, 3]
    assert len(data) == 201
    unclear = read(write(tmp_path, "0,1\n7,1\n3,2\n"))
    assert len(unclear) == 3
    assert any("--header yes" in note for note in unclear.notes)
    with pytest.raises(UsageError, match="auto, yes or no"):
        read(tmp_path / "x.csv", header="maybe")


def again(frame: pd.DataFrame, path) -> None:
    frame.to_csv(path)
    pd.read_csv(path).to_csv(path)


INDICES = {
    "range": lambda path: NAMED.to_csv(path),
    "from one": lambda path: NAMED.set_axis(range(1, 201)).to_csv(path),
    "shuffled": lambda path: NAMED.sample(frac=1, random_state=0).sort_index().set_axis(range(400, 0, -2)).to_csv(path),
    "text": lambda path: NAMED.set_axis([f"row {i}" for i in range(200)]).to_csv(path),
    "dates": lambda path: NAMED.set_axis(pd.date_range("2020-01-01", periods=200)).to_csv(path),
    "written twice": lambda path: again(NAMED, path),
    "read and written": lambda path: (NAMED.to_csv(path), pd.read_csv(path).to_csv(path, index=False)),
    "tabs": lambda path: NAMED.to_csv(path, sep="\t"),
    "R": lambda path: path.write_text('"a" "b" "c" "d"\n' + NAMED.to_csv(sep=" ", header=False)),
    "none": lambda path: NAMED.to_csv(path, index=False),
}


@pytest.mark.parametrize("kind", INDICES)
def test_an_index_is_no_column(tmp_path, kind):
    INDICES[kind](tmp_path / "x.csv")
    held = read(tmp_path / "x.csv")
    np.testing.assert_array_equal(held.x, X)
    assert held.schema.names == ("a", "b", "c", "d")
    assert bool(held.notes) == (kind != "none")


def test_a_column_of_numbers_with_a_name_stays(tmp_path):
    NAMED.to_csv(tmp_path / "x.csv", index_label="id")
    assert read(tmp_path / "x.csv", columns="id,a,b,c,d").schema.names == ("id", "a", "b", "c", "d")
    reals = NAMED.set_axis(["", "b", "c", "d"], axis=1)
    reals.to_csv(tmp_path / "x.csv", index=False)
    assert read(tmp_path / "x.csv").x.shape == (200, 4)


def test_delimiters_that_end_rows_and_comments_are_no_columns(tmp_path):
    for text in ("a,b,\n1.5,2,\n3,4,\n", "a,b\n1.5,2,\n3,4,\n", "sep=;\na;b\n1.5;2\n3;4\n", "# a b\n1.5 2\n3 4\n"):
        held = read(write(tmp_path, text))
        assert held.x.tolist() == [[1.5, 2], [3, 4]]
        assert held.schema.names == ("a", "b")


@pytest.mark.parametrize(
    "word", [*sorted(STR_NA_VALUES), "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "?", "-", "."]
)
def test_words_for_missing_entries(tmp_path, word):
    frame = NAMED.mask(np.random.default_rng(2).random((200, 4)) < 0.1)
    frame.to_csv(tmp_path / "x.csv", index=False, na_rep=word)
    held = read(tmp_path / "x.csv", missing=True)
    np.testing.assert_array_equal(held.mask, frame.notna())
    np.testing.assert_array_equal(held.x, frame.fillna(0))
    with pytest.raises(DataError, match="missing entr"):
        read(tmp_path / "x.csv")


@pytest.mark.parametrize("sep", [";", "\t", " ", ","])
@pytest.mark.parametrize("names", [True, False])
def test_decimal_commas_are_read(tmp_path, sep, names):
    NAMED.to_csv(tmp_path / "x.csv", sep=sep, decimal=",", index=False, header=names)
    held = read(tmp_path / "x.csv")
    oracle = pd.read_csv(tmp_path / "x.csv", sep=sep, decimal=",", header=0 if names else None)
    np.testing.assert_array_equal(held.x, oracle)
    assert "decimal commas" in held.notes[-1]


def test_decimal_commas_with_points_between_thousands(tmp_path):
    held = read(write(tmp_path, "a;b\n1.234,5;2,25\n-2.000.000,25;1.000\n"))
    assert held.x.tolist() == [[1234.5, 2.25], [-2000000.25, 1000]]
    with pytest.raises(DataError, match="'1,5', a number with a decimal comma"):
        read(write(tmp_path, "a;b\n1,5;2.25\n3;4\n"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_encodings(tmp_path, encoding):
    NAMED.set_axis(["größe", "é", "c", "d"], axis=1).to_csv(tmp_path / "x.csv", encoding=encoding, index=False)
    held = read(tmp_path / "x.csv")
    np.testing.assert_array_equal(held.x, X)
    assert held.schema.names == ("größe", "é", "c", "d")
    assert any("Latin-1" in note for note in held.notes) == (encoding == "latin-1")


def test_columns_are_chosen_and_dropped(tmp_path):
    frame = NAMED.assign(name="text", kind=["u", "v"] * 100)
    frame.to_csv(tmp_path / "x.csv")
    np.testing.assert_array_equal(read(tmp_path / "x.csv", columns="c,a").x, X[:, [2, 0]])
    assert read(tmp_path / "x.csv", columns=["c", "a"]).schema.names == ("c", "a")
    held = read(tmp_path / "x.csv", drop=["name", "b"], labels="kind")
    np.testing.assert_array_equal(held.x, X[:, [0, 2, 3]])
    assert held.schema.classes == ("u", "v")
    frame.to_csv(tmp_path / "x.csv", header=False, index=False)
    np.testing.assert_array_equal(read(tmp_path / "x.csv", drop="5,6,1").x, X[:, 1:])
    np.testing.assert_array_equal(read(tmp_path / "x.csv", columns="4,2").x, X[:, [3, 1]])


def test_labels_beside_an_index(tmp_path):
    np.save(tmp_path / "x.npy", X)
    labels = pd.Series(np.arange(200) % 3)
    for options in ({}, {"index": False}, {"header": False}, {"index": False, "header": False}):
        labels.to_csv(tmp_path / "y.csv", **options)
        assert read(tmp_path / "x.npy", labels=tmp_path / "y.csv").labels.tolist() == labels.tolist()


def test_a_compressed_table(tmp_path):
    for name in ("x.csv.gz", "x.tsv.gz", "x.gz"):
        NAMED.to_csv(tmp_path / name, index=False, sep="\t", compression="gzip")
        np.testing.assert_array_equal(read(tmp_path / name).x, X)
