"""Tables of mixed kinds: one data set from any file or container, by guesses and by the columns of a run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from jensen.core.errors import DataError, UsageError
from jensen.data import Selection, conform, describe, from_memory, read
from jensen.data.mixed import recoded

UCI = Path(os.environ.get("JENSEN_TABLES", "")) / "uci"  # where they were given
N = 40
RNG = np.random.default_rng(0)
AGE = RNG.integers(18, 90, N)
FRAME = pd.DataFrame(
    {
        "id": [f"P{i:03d}" for i in range(N)],
        "age": AGE,
        "sex": pd.Series(["F", None, "M", "F"] * 10, dtype="str"),
        "color": ["red", "blue", "green", "blue"] * 10,
        "size": np.where(np.arange(N) % 7 == 3, np.nan, (RNG.lognormal(size=N) + 0.001).round(3)),
        "day": pd.date_range("2021-01-01", periods=N),
        "member": np.arange(N) % 3 == 0,
    }
)
KINDS = ["integer", "boolean", "categorical", "positive", "datetime", "boolean"]
TYPED = Selection(typed=True)


def written(tmp_path, form):
    path = tmp_path / f"x.{form}"
    if form in ("csv", "tsv"):
        FRAME.to_csv(path, index=False, sep="\t" if form == "tsv" else ",")
    elif form == "parquet":
        FRAME.to_parquet(path)
    elif form == "feather":
        feather.write_feather(pa.Table.from_pandas(FRAME), path)
    elif form == "arrow":
        table = pa.Table.from_pandas(FRAME)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    else:
        pytest.importorskip("openpyxl")
        FRAME.to_excel(path, index=False)
    return path


@pytest.fixture(scope="module")
def dataset():
    return from_memory(FRAME, table=TYPED)


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "feather", "arrow", "xlsx"])
def test_a_file_holds_the_numbers_of_the_frame(tmp_path, form, dataset):
    held = read(written(tmp_path, form), typed=True)
    assert [c.kind for c in held.schema.columns] == KINDS
    assert np.array_equal(held.x, dataset.x)
    assert np.array_equal(held.mask, dataset.mask)
    assert held.source.sha256 == dataset.source.sha256
    assert held.identity["id"].tolist() == FRAME["id"].tolist()
    again = read(held.source.name, schema=dataset.schema.columns)
    assert np.array_equal(again.x, dataset.x)


CONTAINERS = {
    "pandas": FRAME,
    "pandas nullable": FRAME.convert_dtypes(),
    "pandas with categories": FRAME.astype({"color": "category", "sex": "category"}),
    "pandas objects": FRAME.astype({"color": object, "member": object}),
    "polars": pl.from_pandas(FRAME),
    "arrow": pa.Table.from_pandas(FRAME),
    "columns": {name: FRAME[name] for name in FRAME},
    "lists": {name: FRAME[name].astype(object).where(FRAME[name].notna(), None).tolist() for name in FRAME},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_holds_the_numbers_of_the_frame(name, dataset):
    held = from_memory(CONTAINERS[name], table=TYPED)
    assert [c.kind for c in held.schema.columns] == KINDS
    assert np.array_equal(held.x, dataset.x)
    assert np.array_equal(held.mask, dataset.mask)
    assert held.frame is not None
    assert held.frame.names == tuple(FRAME.columns)


def test_cells_are_numbers(dataset):
    names = list(dataset.schema.names)
    assert dataset.x.dtype == np.float64
    assert dataset.x[:, names.index("age")].tolist() == AGE.tolist()
    assert dataset.x[:4, names.index("color")].tolist() == [2, 0, 1, 0]
    assert dataset.mask[:4, names.index("sex")].tolist() == [True, False, True, True]
    assert dataset.x[1, names.index("day")] == pd.Timestamp("2021-01-02").timestamp()
    assert (dataset.x[~dataset.mask] == 0).all()


def test_rows_take_their_cells_with_them(dataset):
    some = dataset.rows(np.array([5, 2]))
    assert some.x.tolist() == dataset.x[[5, 2]].tolist()
    assert some.frame.column("id").array().tolist() == ["P005", "P002"]
    assert some.frame.origin.index.tolist() == [5, 2]


def test_auto_leaves_tables_of_numbers_as_they_were(tmp_path):
    (tmp_path / "n.csv").write_text("a,b\n0.5,2\n1.5,3\n")
    (tmp_path / "h.csv").write_text("a,b\n0.5,2\n1.5,\n2.5,7\n")
    plain, auto = read(tmp_path / "n.csv"), read(tmp_path / "n.csv", typed="auto")
    assert (auto.schema, auto.source, auto.x.dtype) == (plain.schema, plain.source, plain.x.dtype)
    assert read(tmp_path / "h.csv", typed="auto").schema.kind == "mixed"
    np.save(tmp_path / "i.npy", np.arange(12, dtype=np.uint8).reshape(6, 2))
    assert read(tmp_path / "i.npy", typed="auto").schema.kind == "integers"
    both = Selection(typed="auto")
    assert from_memory(FRAME[["age", "member"]], table=both).schema.kind == "integers"
    assert from_memory(FRAME, table=both).schema.kind == "mixed"
    assert from_memory(np.array([[0.5, np.nan], [1.5, 2.5]]), table=both).schema.kind == "mixed"
    assert from_memory(np.zeros((3, 4, 4)), table=both).schema.is_image


def test_what_is_no_table_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    for source in ("sprites", tmp_path / "x.npy", tmp_path):
        with pytest.raises(UsageError, match="no table with columns of their own kinds"):
            read(source, typed=True)
    with pytest.raises(DataError, match="is no table of columns"):
        from_memory(np.zeros((3, 4, 4)), table=TYPED)
    with pytest.raises(DataError, match="nested"):
        from_memory(pa.table({"a": [[1], [2]]}), table=TYPED)
    with pytest.raises(DataError, match=r"column 'a' .* holds list"):
        from_memory(pd.DataFrame({"a": [[1], [2]]}), table=TYPED)
    parquet.write_table(pa.table({"a": [{"b": 1}]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"column 'a' of .*x\.parquet is nested"):
        read(tmp_path / "x.parquet", typed=True)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "bad.parquet", typed=True)


# --- the columns of a run ---


def test_columns_are_taken_by_name_in_any_order(dataset):
    turned = FRAME[list(FRAME.columns[::-1])]
    held = from_memory(turned, table=Selection(typed=True, schema=dataset.schema.columns, later=True))
    assert np.array_equal(held.x, dataset.x)
    assert held.schema == dataset.schema


def test_a_column_too_few_is_refused_and_one_too_many_noted(dataset):
    known = Selection(typed=True, schema=dataset.schema.columns, later=True)
    with pytest.raises(DataError, match="has no column 'size'"):
        from_memory(FRAME.drop(columns="size"), table=known)
    held = from_memory(FRAME.assign(weight=AGE * 1.5, remark=[f"note {i}" for i in range(N)]), table=known)
    assert np.array_equal(held.x, dataset.x)
    noted = next(n for n in held.notes if "ignored" in n)
    assert "weight" in noted
    assert "remark" not in noted  # as in training, where it would be left out without a word


def test_an_unseen_level_is_missing_and_counted(dataset):
    held = from_memory(
        FRAME.assign(color=["red", "pink", "pink", "mauve"] * 10),
        table=Selection(typed=True, schema=dataset.schema.columns, later=True),
    )
    place = held.schema.names.index("color")
    assert held.mask[:4, place].tolist() == [True, False, False, False]
    assert any("30 cells of unknown levels, read as missing: 'pink' (20), 'mauve' (10)" in n for n in held.notes)


def test_rows_without_an_observed_cell_are_read_by_the_columns_of_a_run(dataset):
    empty = FRAME.iloc[:2].assign(**dict.fromkeys(FRAME))
    known = Selection(typed=True, schema=dataset.schema.columns, later=True)
    assert not from_memory(empty, table=known).mask.any()
    with pytest.raises(DataError, match="no column of data left"):
        from_memory(empty, table=TYPED)


def test_a_single_row_is_read_by_the_columns_of_a_run(tmp_path, dataset):
    path = tmp_path / "one.csv"
    FRAME.iloc[[3]].to_csv(path, index=False)
    held = read(path, schema=dataset.schema.columns)
    assert np.array_equal(held.x, dataset.x[[3]])


def test_a_data_set_is_read_again_by_other_columns(dataset):
    changed = tuple(replace(c, kind="real") if c.name == "age" else c for c in dataset.schema.columns)
    again = recoded(dataset, changed)
    assert again.schema.columns == changed
    assert conform(again, dataset.schema).schema == dataset.schema
    assert np.array_equal(conform(again, dataset.schema).x, dataset.x)
    with pytest.raises(DataError, match="columns of mixed kinds, and the training data are real"):
        conform(dataset, from_memory([[0.5, 1.5], [1.0, 2.0]]).schema)
    with pytest.raises(DataError, match="no table of mixed columns"):
        conform(from_memory([[0.5, 1.5], [1.0, 2.0]]), dataset.schema)


# --- choices ---


def test_columns_labels_and_index(tmp_path):
    path = tmp_path / "x.csv"
    FRAME.to_csv(path)
    held = read(path, typed=True, columns="color,age", labels="sex")
    assert held.schema.names == ("color", "age")
    assert held.labels[:4].tolist() == [0, -1, 1, 0]
    assert held.schema.classes == ("F", "M")
    assert read(path, typed=True, drop="size,day").schema.names == ("age", "sex", "color", "member")
    asked = read(path, typed=True, columns="id,age")
    assert asked.schema.columns[0].kind == "categorical"
    assert len(asked.schema.columns[0].levels) == N
    with pytest.raises(DataError, match="no column 'sizes'"):
        read(path, typed=True, columns="sizes")
    named = from_memory(FRAME.set_index("id"), table=TYPED)
    assert named.identity["id"].tolist() == FRAME["id"].tolist()


def test_other_options_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    FRAME.to_csv(path, index=False)
    with pytest.raises(UsageError, match="--stream is for"):
        read(path, typed=True, stream=True)
    FRAME.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="--header is for files of text"):
        read(tmp_path / "x.parquet", typed=True, header="no")
    with pytest.raises(UsageError, match="has no column 'z' of labels"):
        from_memory(FRAME, "z", table=TYPED)
    with pytest.raises(DataError, match="40 rows and 39 labels"):
        from_memory(FRAME, np.zeros(39, int), table=TYPED)


def test_remarks_on_columns():
    frame = FRAME.assign(country="NL", farbe=FRAME["color"].map({"blue": "blau", "green": "gruen", "red": "rot"}))
    notes = from_memory(frame, table=TYPED).notes
    assert any("1 column has a single value, whose probability is 1: country" in n for n in notes)
    assert any("farbe is determined by color in every row" in n for n in notes)
    assert any("1 column is no data, and kept beside the results: id" in n for n in notes)


def test_a_column_that_tells_the_label_is_named():
    frame = pd.DataFrame({"color": ["red", "blue", "green"] * 30, "n": range(90), "label": ["r", "b", "g"] * 30})
    data = from_memory(frame, "label", table=TYPED)
    assert any("color tells the label of every row" in note and "--drop color" in note for note in data.notes)
    frame.loc[0, "label"] = "b"
    assert not any("tells the label" in note for note in from_memory(frame, "label", table=TYPED).notes)


def test_a_description_has_the_columns(dataset):
    described = describe(dataset)
    columns = {c["name"]: c for c in described["columns"]}
    assert columns["color"]["levels"] == {"blue": 20, "green": 10, "red": 10}
    assert columns["sex"]["missing"] == 10
    assert columns["day"]["range"] == ["2021-01-01", "2021-02-09"]
    assert described["left_out"]["id"].startswith("text that differs in every row")
    assert described["missing"] == int((~dataset.mask).sum())


# --- real tables ---

ADULT = {
    "age": "integer",
    "workclass": "categorical",
    "fnlwgt": "integer",
    "education": "categorical",
    "education-num": "integer",
    "marital-status": "categorical",
    "occupation": "categorical",
    "relationship": "categorical",
    "race": "categorical",
    "sex": "boolean",
    "capital-gain": "count",
    "capital-loss": "count",
    "hours-per-week": "integer",
    "native-country": "categorical",
    "income": "boolean",
}


@pytest.mark.skipif("JENSEN_TABLES" not in os.environ, reason="JENSEN_TABLES names no folder of real tables")
def test_real_tables():
    adult = read(UCI / "adult_ctgan.csv", typed=True)
    assert {c.name: c.kind for c in adult.schema.columns} == ADULT
    assert adult.x.shape == (32561, 14)
    assert int((~adult.mask).sum()) == 4262
    assert any("education-num is determined by education in every row" in n for n in adult.notes)
    wine = read(UCI / "winequality-red.csv", typed=True)
    assert [c.kind for c in wine.schema.columns][-1] == "ordinal"
    assert wine.mask is None
    wdbc = read(UCI / "wdbc.data", typed=True)
    assert wdbc.schema.names[0] == "2"
    assert wdbc.schema.columns[0].levels == ("B", "M")
    assert len(wdbc.identity) == 1


def test_missing_cells_that_are_written_as_something_are_named(tmp_path):
    (tmp_path / "x.csv").write_text("size,color\n1.5,red\n?,\n2.5,?\nNA,blue\n3.5,?\n", encoding="utf-8")
    data = read(tmp_path / "x.csv", typed=True)
    share = "5 missing cells of 10 (50.0%), 3 written '?' and 1 written 'NA'"
    said = f"{share}: log p(x) is of the observed ones (--missing-model self: and which these are)"
    assert said in data.notes
