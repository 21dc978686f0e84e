"""Rows for a run: columns matched by name in every container, identity that is kept, and values that are too large."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from PIL import Image

from jensen import train
from jensen.core.errors import DataError, NumericalError
from jensen.evaluate import Estimate, Kind
from jensen.runs.evaluation import refuse_nan
from jensen.runs.run import load

N = 90
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)) * [1, 5, 0.2] + [0, 3, 1], columns=["a", "b", "c"])
FRAME.insert(0, "sample_id", [f"S{i}" for i in np.random.default_rng(1).permutation(N)])
FRAME["kind"] = np.where(FRAME["a"] > 0, "up", "down")
LATER = FRAME.sample(12, random_state=3).assign(more=1.5)[["more", "c", "kind", "sample_id", "a", "b"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matching")
    FRAME.to_csv(folder / "x.csv", index=False)
    options = {"latent": 2, "hidden": (8,), "epochs": 2, "labels": "kind", "out": folder / "run"}
    return train(folder / "x.csv", recipe="vae", **options)


def in_npz(path):
    held = LATER[["c", "a", "b"]].to_numpy()
    np.savez(path / "x.npz", x=held, columns=np.array(["c", "a", "b"]), sample_id=LATER["sample_id"].to_numpy(str))
    return path / "x.npz"


def in_csv(path):
    LATER.to_csv(path / "x.csv", index=False)
    return path / "x.csv"


def in_json(path):
    (path / "x.json").write_text(LATER.to_json(orient="records", double_precision=15))
    return path / "x.json"


CONTAINERS = {
    "csv": in_csv,
    "json": in_json,
    "npz with names": in_npz,
    "pandas": lambda path: LATER,
    "polars": lambda path: pl.DataFrame({c: LATER[c].tolist() for c in LATER}),
    "arrow": lambda path: pa.table({c: LATER[c].tolist() for c in LATER}),
    "columns": lambda path: {c: LATER[c].tolist() for c in LATER},
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_columns_in_any_order_give_the_same_rows(run, container, tmp_path):
    part = run.chosen(CONTAINERS[container](tmp_path))
    plain = run.chosen(LATER[["a", "b", "c"]].to_numpy())
    torch.testing.assert_close(part.rows.stored, plain.rows.stored)
    assert part.identity["sample_id"].tolist() == LATER["sample_id"].tolist()
    assert part.numbers.tolist() == list(range(12))
    notes = " ".join(part.notes)
    assert "order of the training data" in notes
    assert ("more" in notes and "ignored" in notes) == (container != "npz with names")
    some = part.subset(torch.tensor([5, 2]), "two")
    assert some.identity["sample_id"].tolist() == LATER["sample_id"].iloc[[5, 2]].tolist()
    assert some.numbers.tolist() == [5, 2]


@pytest.mark.parametrize("container", ["csv", "npz with names", "pandas", "arrow"])
def test_the_runs_own_rows_are_known_in_any_order_of_columns(run, container, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "LATER", FRAME.assign(more=1.5)[["more", "c", "kind", "sample_id", "a", "b"]])
    part = run.chosen(CONTAINERS[container](tmp_path))
    assert part.numbers.tolist() == run.part("test").numbers.tolist()
    assert "holds the data of this run: only its test rows are used, 9 of 90" in " ".join(part.notes)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_test_file_in_another_order_is_read_again(in_memory, tmp_path):
    FRAME[["a", "b", "c"]].to_csv(tmp_path / "x.csv", index=False)
    LATER[["c", "a", "b"]].to_csv(tmp_path / "test.csv", index=False)
    test = LATER[["c", "a", "b"]] if in_memory else tmp_path / "test.csv"
    train(tmp_path / "x.csv", recipe="ppca", latent=1, test=test, out=tmp_path / "run")
    again = load(tmp_path / "run", **({"test": test} if in_memory else {}))
    np.testing.assert_allclose(again.part("test").x, LATER[["a", "b", "c"]].to_numpy(np.float32), rtol=1e-6)


@pytest.mark.parametrize("container", ["csv", "pandas", "json", "polars"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x.drop(columns="b"), "no column 'b'"),
        (lambda x: x.drop(columns=["b", "c"]), "lacks 2 columns: 'b', 'c'"),
        (lambda x: x.rename(columns={"b": "B"}), "Did you mean 'B' for 'b'"),
        (lambda x: x.rename(columns={"b": "b_"}).assign(bb="text"), "Did you mean|no column 'b'"),
    ],
)
def test_absent_columns_are_named(run, container, change, said, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "LATER", change(LATER))
    with pytest.raises(DataError, match=said):
        run.chosen(CONTAINERS[container](tmp_path))


@pytest.mark.parametrize("place", ["photos", "one.png"])
def test_images_are_no_table(run, place, tmp_path):
    (tmp_path / "photos").mkdir()
    for name, size in (("one.png", 4), ("photos/a.png", 4), ("photos/b.png", 5)):
        Image.new("L", (size, size)).save(tmp_path / name)
    with pytest.raises(DataError, match=r"is of images, and the model is of 3 columns of a table\. .* columns a, b, c"):
        run.chosen(tmp_path / place)


def test_own_rows_have_their_numbers_and_names(run):
    part = run.part("test")
    own = FRAME.iloc[part.numbers]
    np.testing.assert_allclose(part.x, own[["a", "b", "c"]], rtol=1e-12)
    assert part.identity["sample_id"].tolist() == own["sample_id"].tolist()
    trained = FRAME["sample_id"].iloc[run.split().train].tolist()
    assert load(run.path).part("train").identity["sample_id"].tolist() == trained


def test_a_file_without_a_header(run, tmp_path):
    LATER[["a", "b", "c"]].to_csv(tmp_path / "x.csv", index=False, header=False)
    part = run.chosen(tmp_path / "x.csv")
    np.testing.assert_allclose(part.x, LATER[["a", "b", "c"]], rtol=1e-12)
    assert any("no header" in note and "a, b, c" in note for note in part.notes)
    LATER[["a", "b"]].to_csv(tmp_path / "x.csv", index=False, header=False)
    with pytest.raises(DataError, match="shape"):
        run.chosen(tmp_path / "x.csv")


@pytest.mark.parametrize("value", [1e30, -1e25, 1e300, 1.7e308])
def test_values_that_overflow_are_named_before_anything_is_computed(run, value, tmp_path):
    LATER.assign(b=[*LATER["b"][:7], value, *LATER["b"][8:]]).to_csv(tmp_path / "x.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"row 7, column 'b' \(from 0\)") as caught:
            run.evaluate(tmp_path / "x.csv", budget=0)
    assert f"{value:g}" in str(caught.value)


@pytest.mark.parametrize("value", [float("-inf"), float("nan"), float("inf")])
def test_rows_whose_evidence_is_not_finite_are_named(run, value):
    part = run.part("test")
    nats = torch.zeros(len(part.x), dtype=torch.float64)
    nats[[3, 5]] = value
    column = int(part.rows.stored[3].abs().argmax())
    with pytest.raises(NumericalError, match="2 rows is not finite") as caught:
        refuse_nan(Estimate(Kind.EXACT, nats), part)
    assert f"row {part.numbers[3]} with {part.x[3, column]:g} in column {column}" in str(caught.value)
    assert f"row {part.numbers[5]} with" in str(caught.value)
    refuse_nan(Estimate(Kind.EXACT, torch.zeros(3, dtype=torch.float64)))


def test_what_was_guessed_is_recorded(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(30):
        Image.fromarray(rng.integers(0, 256, (40 + i, 50), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "7.png").write_text("no image")
    made = train(tmp_path, recipe="vae", latent=2, hidden=(4,), epochs=1, out=tmp_path / "run")
    assert made.spec["data"]["resize"] == [32, 32]
    assert made.spec["data"]["n"] == 29
    assert json.dumps(made.spec["command"]["strict"]) == "null"
    again = load(made.path)
    assert "7.png" not in again.part("train").files
    assert len(again.dataset()) == 29
    Image.fromarray(rng.integers(0, 256, (40, 50), dtype=np.uint8)).save(tmp_path / "7.png")
    with pytest.raises(DataError, match="has changed"):
        load(made.path).dataset()
    (tmp_path / "x.png").touch()
    with pytest.raises(DataError, match="1 of 31 images"):
        train(tmp_path, recipe="vae", strict=True, epochs=1, out=tmp_path / "other")
