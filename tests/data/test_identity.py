"""Columns that identify rows are kept beside the data, in every container, and are never trained on unasked."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from jensen.data import from_memory, read, read_beside
from jensen.data.identity import identifies, is_identifier, is_identifying_name, kept_as, left_out
from jensen.data.selection import Selection

N = 20
X = np.random.default_rng(0).normal(size=(N, 2))
IDENTITIES = {
    "code": [f"P{i:03d}" for i in np.random.default_rng(1).permutation(N)],
    "uuid": [f"{i:08x}-aaaa" for i in np.random.default_rng(2).integers(0, 2**31, N)],
    "patient_id": (np.random.default_rng(3).permutation(1000)[:N]).tolist(),
    "number": list(range(1, N + 1)),
    "barcode": [f"{'ACGT'[i % 4]}{'ACGT'[i // 4 % 4]}AC-{i}" for i in range(N)],
}


def frame(name: str) -> pd.DataFrame:
    made = pd.DataFrame(X, columns=["a", "b"])
    made.insert(1, name, IDENTITIES[name])
    return made


def in_csv(made, path):
    made.to_csv(path / "x.csv", index=False)
    return read(path / "x.csv")


def in_json(made, path):
    (path / "x.json").write_text(made.to_json(orient="records", double_precision=15))
    return read(path / "x.json")


CONTAINERS = {
    "csv": in_csv,
    "json": in_json,
    "pandas": lambda made, path: from_memory(made),
    "polars": lambda made, path: from_memory(pl.DataFrame({c: made[c].tolist() for c in made})),
    "arrow": lambda made, path: from_memory(pa.table({c: made[c].tolist() for c in made})),
    "columns": lambda made, path: from_memory({c: made[c].tolist() for c in made}),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", IDENTITIES)
def test_identifiers_are_left_out_with_a_note_and_kept(name, container, tmp_path):
    held = CONTAINERS[container](frame(name), tmp_path)
    np.testing.assert_allclose(held.x, X, rtol=1e-12)
    assert held.schema.names == ("a", "b")
    assert held.identity[name].tolist() in (IDENTITIES[name], [str(v) for v in IDENTITIES[name]])
    assert any(name in note and "--columns" in note for note in held.notes)
    some = held.rows(np.array([4, 2]))
    assert [str(v) for v in some.identity[name]] == [str(IDENTITIES[name][i]) for i in (4, 2)]


@pytest.mark.parametrize("name", ["patient_id", "number"])
def test_an_identifier_that_is_named_is_data(name, tmp_path):
    frame(name).to_csv(tmp_path / "x.csv", index=False)
    for held in (
        read(tmp_path / "x.csv", columns=[name, "a"]),
        from_memory(frame(name), table=Selection.of(columns=f"{name},a")),
    ):
        assert held.schema.names == (name, "a")
        assert held.x[:, 0].tolist() == IDENTITIES[name]
        assert name not in held.identity


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", ["31", "45", "29", "60"]),
        ("year", [str(y) for y in range(1990, 2010)]),
        ("grade", ["1", "2", "3", "1"]),
        ("id", ["1", "1", "2"]),
        ("id", ["", "1", "2"]),
        ("value_id", ["0.5", "1.5"]),
        ("day", ["2020-01-01", "2020-01-02", "2020-01-03"]),
        ("town", ["Rome", "Bonn"]),
        ("kind", ["u", "v", "u", "v"]),
        ("small", [str(i) for i in range(5)]),
        (None, [str(i) for i in range(50)]),
    ],
)
def test_measurements_are_no_identifiers(name, values):
    assert not is_identifier(name, values)
    if name is not None and "" not in values:
        numbers = all(v.replace(".", "").isdecimal() for v in values)
        assert not identifies(name, np.array([float(v) for v in values] if numbers else values))


def test_names_that_identify():
    yes = (
        "id",
        "ID",
        "idx",
        "Index",
        "PassengerId",
        "customer_id",
        "customerid",
        "id.1",
        "UUID",
        "row",
        "cell barcode",
    )
    assert [n for n in yes if not is_identifying_name(n)] == []
    no = ("humid", "acid", "covid", "video", "grid", "idea", "rows_of_teeth", "age", "candid", "solid")
    assert [n for n in no if is_identifying_name(n)] == []


def test_what_is_dropped_and_an_index_are_kept(tmp_path):
    made = frame("number").assign(c=1.5)
    made.index = [f"r{i}" for i in range(N)]
    made.to_csv(tmp_path / "x.csv")
    held = read(tmp_path / "x.csv", drop="c")
    assert list(held.identity) == ["index", "number", "c"]
    assert held.identity["index"].tolist() == [f"r{i}" for i in range(N)]
    assert held.identity["c"].tolist() == ["1.5"] * N
    held = from_memory(made.rename_axis("who"), table=Selection.of(drop="c"))
    assert list(held.identity) == ["who", "number", "c"]
    assert from_memory(pd.DataFrame(X)).identity == {}
    assert held.schema.names == ("a", "b")


def test_a_table_of_identifiers_alone_stays_what_it_was(tmp_path):
    pd.DataFrame({"id": range(N)}).to_csv(tmp_path / "x.csv", index=False)
    assert read(tmp_path / "x.csv").schema.names == ("id",)


def test_later_rows_keep_theirs_however_few(tmp_path):
    frame("code").to_csv(tmp_path / "x.csv", index=False)
    names = read(tmp_path / "x.csv").schema.names
    frame("code").iloc[[7], ::-1].to_csv(tmp_path / "later.csv", index=False)
    held = read_beside(tmp_path / "later.csv", table=Selection(known=names))
    assert held.identity["code"].tolist() == [IDENTITIES["code"][7]]
    np.testing.assert_allclose(held.x, X[[7], ::-1])
    assert not any("--columns" in note for note in held.notes)


def test_columns_that_were_data_before_are_so_again(tmp_path):
    frame("patient_id").to_csv(tmp_path / "x.csv", index=False)
    held = read(tmp_path / "x.csv", known=["a", "patient_id", "b"])
    assert held.schema.names == ("a", "patient_id", "b")
    assert held.identity == {}


def test_names_and_cells_beside_an_array(tmp_path):
    counts, cells = np.arange(N * 3).reshape(N, 3), np.array(IDENTITIES["barcode"])
    np.savez(tmp_path / "x.npz", counts=counts, genes=np.array(["g1", "g2", "g3"]), cells=cells, batch=np.arange(N) % 2)
    with pytest.raises(Exception, match="not clear"):
        read(tmp_path / "x.npz")  # counts or batch
    held = read(f"{tmp_path / 'x.npz'}:counts")
    assert held.schema.names == ("g1", "g2", "g3")
    assert held.identity["cells"].tolist() == cells.tolist()
    assert list(held.identity) == ["cells"]
    later = read_beside(f"{tmp_path / 'x.npz'}:counts", table=Selection(known=held.schema.names))
    assert later.schema.names == held.schema.names


def test_words():
    assert kept_as("", 0, {}) == kept_as("Unnamed: 0", 0, {}) == "index"
    assert kept_as("id", 3, {"id": 1}) == "id (4)"
    assert "columns a, b identify rows" in left_out(["a", "b"])
    assert json.dumps(left_out([f"c{i}" for i in range(20)])).count("c") > 8


SUSPECTED = {
    "patient_id": [i // 2 for i in range(N)],  # with two visits each
    "Subject No": [i % 5 for i in range(N)],
    "index": [float(3 * i) if i else 0.0 for i in range(N - 1)] + [0.0],
    "n": list(range(1001, 1001 + N)),
    "nr": np.random.default_rng(4).permutation(N).tolist(),  # of rows in another order
    "count": list(range(N, 0, -1)),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", SUSPECTED)
def test_what_may_identify_rows_is_never_data_without_a_notice(name, container, tmp_path):
    made = frame("code").drop(columns="code")
    made.insert(1, name, SUSPECTED[name])
    held = CONTAINERS[container](made, tmp_path)
    assert held.schema.names == ("a", name, "b")
    drop = f"'{name}'" if " " in name else name
    assert f"column {name} may identify rows, and is read as data; to leave it out: --drop {drop}" in held.notes
    later = Selection().afterwards(held.schema.names)
    assert not any("identify" in note for note in from_memory(made, table=later).notes)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ID1", [i % 5 for i in range(N)]),  # a gene
        ("age", [20 + i % 7 for i in range(N)]),
        ("patient_id", np.linspace(0.5, 9.5, N).tolist()),  # no whole numbers
        ("x", (np.arange(N) * 2).tolist()),
        ("humid", [i // 2 for i in range(N)]),
    ],
)
def test_measurements_are_not_suspected(name, values, tmp_path):
    made = frame("code").drop(columns="code")
    made[name] = values
    for container in ("csv", "pandas"):
        assert not any("identify" in note for note in CONTAINERS[container](made, tmp_path).notes)


def test_a_column_without_a_header_that_numbers_rows_is_noticed(tmp_path):
    rows = [f"{i},{a:.3f},{b:.3f}" for i, (a, b) in zip(range(500, 500 + N), X, strict=True)]
    (tmp_path / "x.csv").write_text("\n".join(rows))
    assert any(
        "column 1 may identify rows" in note and note.endswith("--drop 1") for note in read(tmp_path / "x.csv").notes
    )
