"""Notes for the user on the columns of a table."""

from jensen.data.column_notes import both_data, left_out, remarks, spellings
from jensen.data.columns import Column
from jensen.data.mixed import mixed_dataset
from jensen.data.selection import Selection
from jensen.data.twins import Twins
from jensen.data.typed_frames import frame_of

COLUMNS = [Column("a", "count"), Column("b", "count"), Column("c", "categorical", levels=("x",))]


def test_constant_columns_are_named():
    assert remarks(COLUMNS) == ["1 column has a single value, whose probability is 1: c"]
    assert remarks(COLUMNS[:2]) == []


def test_pairs_of_data_that_determine_each_other():
    pairs = [Twins(0, 1, (), ()), Twins(0, 2, (), ())]
    assert both_data(pairs, COLUMNS, COLUMNS[:2]) == [
        "columns a, b determine each other in every row; to leave one out: --drop"
    ]


def test_a_row_that_contradicts_all_others_is_named():
    cities = ["Bern", "Genf", "Chur"] * 50
    codes = ["B", "G", "C"] * 50
    codes[70] = "B"
    data = mixed_dataset(frame_of({"city": cities, "code": codes}, "x.csv"), "x.csv", Selection())
    [note] = [n for n in data.notes if "in all rows but 1" in n]
    assert "columns city, code determine each other in all rows but 1, which may be an error: see row 70" in note
    assert len(data.schema.columns) == 2


def test_columns_that_are_left_out():
    assert left_out([], {}) == []
    [note] = left_out(["id"], {"id": "numbers the rows"})
    assert note.startswith("1 column is no data, and kept beside the results: id (numbers the rows)")


def test_spellings_of_missing_cells():
    frame = frame_of({"a": ["1", "?", "NA", "?"]}, "table")
    assert spellings(frame, [Column("a", "count")], [0]) == ", 2 written '?' and 1 written 'NA'"
    assert spellings(frame_of({"a": ["1"]}, "table"), [Column("a", "count")], [0]) == ""
