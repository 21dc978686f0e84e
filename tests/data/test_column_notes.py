"""Notes for the user on the columns of a table."""

from jensen.data.column_notes import both_data, left_out, remarks, spellings
from jensen.data.columns import Column
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


def test_columns_that_are_left_out():
    assert left_out([], {}) == []
    [note] = left_out(["id"], {"id": "numbers the rows"})
    assert note.startswith("1 column is no data, and kept beside the results: id (numbers the rows)")


def test_spellings_of_missing_cells():
    frame = frame_of({"a": ["1", "?", "NA", "?"]}, "table")
    assert spellings(frame, [Column("a", "count")], [0]) == ", 2 written '?' and 1 written 'NA'"
    assert spellings(frame_of({"a": ["1"]}, "table"), [Column("a", "count")], [0]) == ""
