"""A mixed table through impute, reconstruct and encode: from the command line as from Python, in every format."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import jensen as package
from jensen.families import Choices, Columns, Gaussian, Integers, LogNormal, Ordinal
from jensen.guides import Masked
from jensen.models.conditionals import Given, Unconditional
from jensen.storage.run_folder import is_written

QUICK = ["-k", "50", "--quiet"]


def people(n: int = 90) -> pd.DataFrame:
    """Identifiers, whole numbers, prices with a decimal comma, names, ranks, dates: as texts, with holes."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=n)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.rint(200 + 80 * z), unit="D")
    texts = {
        "price": [f"{v:.2f}".replace(".", ",") for v in np.exp(3 + 0.6 * z + 0.2 * rng.normal(size=n))],
        "visits": [str(v) for v in rng.poisson(np.exp(2 + 0.4 * z))],
        "sex": np.where(rng.random(n) < 0.5, "F", "M").tolist(),
        "grade": np.array(["low", "middle", "high"])[np.clip(np.rint(1 + z), 0, 2).astype(int)].tolist(),
        "since": days.strftime("%d.%m.%Y").tolist(),
    }
    table = pd.DataFrame(texts)
    table = table.mask(rng.random(table.shape) < 0.15, "")
    table.insert(0, "patient_id", [f"P{i:03d}" for i in range(n)])
    return table


KINDS = """
price = { kind = "positive" }
visits = { kind = "count" }
sex = { kind = "categorical" }
grade = { kind = "ordinal", levels = ["low", "middle", "high"] }
since = { kind = "datetime" }
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run of this table, beside the file: of parts that need no start from data, which takes longer than the rest."""
    folder = tmp_path_factory.mktemp("people")
    people().to_csv(folder / "people.csv", sep=";", index=False)
    (folder / "kinds.toml").write_text(KINDS)
    each = (LogNormal(1), Integers(1, (7.0,), (3.0,)), Choices((2,)), Ordinal((3,)), Gaussian(1))
    likelihood = Given.mlp(2, (8,), Columns(each, ((0,), (1,), (2,), (3,), (4,))))
    package.train(
        folder / "people.csv",
        model=package.LatentVariableModel(Unconditional(Gaussian(2)), likelihood),
        guide=Masked(Given.mlp(10, (8,), Gaussian(2))),
        objective=package.ImportanceWeighted(),
        estimator=package.StickTheLanding(5),
        epochs=1,
        schema=folder / "kinds.toml",
        out=folder / "run",
    )
    return folder


@pytest.fixture
def place(home, here, monkeypatch):
    """The run and its file, from an empty folder."""
    for name in ("run", "people.csv"):
        (here / name).symlink_to(home / name)
    return here


def typed() -> pd.DataFrame:
    """The same table as a person reads it in: an index, and a type for each column."""
    table = people().replace("", None).set_index("patient_id")
    table["price"] = table["price"].str.replace(",", ".").astype("float64")
    table["visits"] = table["visits"].astype("Int64")
    table["sex"] = table["sex"].astype("category")
    table["since"] = pd.to_datetime(table["since"], format="%d.%m.%Y")
    return table


def rows_of(text: str, delimiter: str = ";") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def test_the_table_comes_back_with_its_holes_filled(place, jensen):
    answer = jensen("impute", "run", "people.csv", "--out", "full.csv", *QUICK)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("one value of each missing cell of 90 rows of people.csv in full.csv (seed 0)\n")
    given, full = (rows_of((place / name).read_text()) for name in ("people.csv", "full.csv"))
    assert full[0] == given[0]
    known = np.array(given[1:]) != ""
    assert (np.array(full[1:])[known] == np.array(given[1:])[known]).all()  # to the letter
    new = {
        name: {row[i] for row, g in zip(full[1:], given[1:], strict=True) if g[i] == ""}
        for i, name in enumerate(full[0])
    }
    assert all(pd.Series(list(new["price"])).str.fullmatch(r"\d+,\d\d"))
    assert all(pd.Series(list(new["since"])).str.fullmatch(r"\d\d\.\d\d\.20\d\d"))
    assert all(visits.isdecimal() for visits in new["visits"])
    assert new["sex"] <= {"F", "M"}
    assert new["grade"] <= {"low", "middle", "high"}


def test_python_and_the_command_line_give_the_same_numbers(place, jensen):
    table, run = typed(), package.load(place / "run")
    result = run.impute(table, k=50, intervals=0.9)
    assert (result.dtypes.iloc[:5] == table.dtypes).all()
    assert result.index.equals(table.index)
    assert not result.iloc[:, :5].isna().any().any()
    assert jensen("impute", "run", "people.csv", "--intervals", "0.9", "--out", "full.csv", *QUICK).code == 0
    full = pd.read_csv("full.csv", sep=";", decimal=",").set_index("patient_id")
    assert full.columns.tolist() == result.columns.tolist()
    for name in full:
        new, text = result[name], full[name]
        if name.startswith("since"):
            text = pd.to_datetime(text, format="%d.%m.%Y")
        assert (new.isna() == text.isna()).all(), name
        assert (new.dropna().astype(text.dtype) == text.dropna()).all(), name
    draws = run.impute(table, k=50, m=2)
    assert jensen("impute", "run", "people.csv", "-m", "2", "--out", "draws.csv", *QUICK).code == 0
    full = pd.read_csv("draws.csv", sep=";", decimal=",")
    assert full["version"].tolist() == [1] * 90 + [2] * 90
    assert np.allclose(full["price"], pd.concat(draws)["price"])
    assert full["grade"].tolist() == pd.concat(draws)["grade"].tolist()


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "arrow"])
def test_tables_of_other_libraries_come_back(place, convert):
    table, run = typed().reset_index(), package.load(place / "run")
    given = convert(table)
    result = run.impute(given, k=50)
    assert result.schema == given.schema
    expected = run.impute(table, k=50)
    back = result.to_pandas()
    assert back["price"].tolist() == expected["price"].tolist()
    assert back["sex"].tolist() == expected["sex"].tolist()
    assert run.reconstruct(given).schema == given.schema
    codes = run.encode(given)
    assert np.allclose(np.column_stack([codes["z1"], codes["z2"]]), run.encode(table).to_numpy())


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".xlsx", ".tsv"])
def test_a_file_of_any_kind_comes_back_as_one(place, jensen, suffix):
    pytest.importorskip("openpyxl")
    table = people() if suffix == ".tsv" else typed().reset_index()
    write = {
        ".parquet": table.to_parquet,
        ".feather": table.to_feather,
        ".xlsx": lambda path: table.to_excel(path, index=False),
        ".tsv": lambda path: table.to_csv(path, sep="\t", index=False),
    }
    read = {
        ".parquet": pd.read_parquet,
        ".feather": pd.read_feather,
        ".xlsx": pd.read_excel,
        ".tsv": lambda path: pd.read_csv(path, sep="\t", dtype=str),
    }
    write[suffix](f"given{suffix}")
    answer = jensen("impute", "run", f"given{suffix}", *QUICK)
    assert answer.code == 0, answer.err
    given, full = read[suffix](f"given{suffix}"), read[suffix](f"run/imputations{suffix}")  # the run's own data
    assert full.columns.tolist() == given.columns.tolist()
    assert not full.isna().any().any()
    assert is_written(f"imputations{suffix}")  # so that train --force replaces a run that holds it
    if suffix in (".parquet", ".feather"):
        assert (full.dtypes == given.dtypes).all()
    known = given.notna()
    assert (full[known].astype(object).fillna("") == given[known].astype(object).fillna("")).all().all()


def test_columns_in_another_order_and_more_of_them(place, jensen):
    table = people()[["since", "sex", "patient_id", "grade", "visits", "price"]].assign(more="=1+1").head(6)
    table.loc[0, "sex"], table.loc[1, ["since", "sex", "grade", "visits", "price"]] = "X", ""
    table.to_csv("odd.csv", sep=";", index=False)
    answer = jensen("impute", "run", "odd.csv", "--out", "-", "-k", "50")
    assert answer.code == 0, answer.err
    full = rows_of(answer.out)
    assert full[0] == table.columns.tolist()
    assert [row[6] for row in full[1:]] == ["=1+1"] * 6
    assert full[1][1] in ("F", "M")  # a level never seen is missing
    assert "1 cell of unknown levels, read as missing: 'X' (1)" in answer.err
    assert "more of odd.csv is no column of the model" in answer.err
    assert all(full[2])  # a row of which nothing is known
    assert "--spreadsheet-safe" in answer.err
    table.drop(columns="sex").to_csv("lacks.csv", sep=";", index=False)
    answer = jensen("impute", "run", "lacks.csv", "--out", "x.csv", *QUICK)
    assert answer.code == 3
    assert "lacks.csv has no column 'sex'" in answer.err


def test_hidden_cells_are_scored(place, jensen):
    answer = jensen("impute", "run", "people.csv", "--mask", "price,sex", "--out", "h.csv", *QUICK)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[3].startswith("root mean square error of hidden numbers: ")
    assert lines[4].startswith("wrong names in hidden cells: ")
    assert lines[5].startswith("  price: root mean square error ")
    hidden = np.zeros((90, 5), dtype=bool)
    hidden[:, [0, 2]] = True
    np.save("hidden.npy", hidden)
    answer = jensen("impute", "run", "people.csv", "--mask", "hidden.npy", "--json", "--out", "h2.csv", *QUICK)
    errors = json.loads(answer.out)["errors_of_hidden"]
    assert [error["column"] for error in errors] == ["price", "sex"]
    known = package.load(place / "run").completion(place / "people.csv", hidden=hidden, k=50).errors
    assert [error.to_dict() for error in known] == errors
    assert jensen("impute", "run", "people.csv", "--mask", "prize", *QUICK).code == 2


def test_arrays_hold_all_that_is_known(place, jensen):
    answer = jensen("impute", "run", "people.csv", "-m", "3", "--out", "full.npz", *QUICK)
    assert answer.code == 0, answer.err
    with np.load("full.npz") as full:
        assert full["x"].shape == (3, 90, 5)
        assert full["observed"].shape == full["point"].shape == full["probability"].shape == (90, 5)


def test_reconstructions_and_codes_of_a_table(place, jensen):
    run, table = package.load(place / "run"), typed()
    assert jensen("reconstruct", "run", "people.csv", "--out", "r.parquet", "--quiet").code == 0
    rebuilt, ours = pd.read_parquet("r.parquet"), run.reconstruct(table)
    assert rebuilt.columns.tolist() == people().columns.tolist()
    assert rebuilt["patient_id"].tolist() == table.index.tolist()
    assert (ours.dtypes == table.dtypes).all()
    for name in ours:
        assert (rebuilt[name].to_numpy() == ours[name].astype(rebuilt[name].dtype).to_numpy()).all(), name
    assert jensen("encode", "run", "people.csv", "--out", "c.csv", "--quiet").code == 0
    header, *codes = rows_of((place / "c.csv").read_text())
    assert header == ["row", "patient_id", "z1", "z2"]
    numbers = np.char.replace(np.array(codes)[:, 2:], ",", ".").astype(float)  # the decimal mark of the source
    assert np.allclose(numbers, run.encode(table).to_numpy())
    assert jensen("encode", "run", "people.csv", "--out", "c.parquet", "--quiet").code == 0
    assert np.allclose(pd.read_parquet("c.parquet")[["z1", "z2"]].to_numpy(), numbers)
    assert run.encode(table).index.equals(table.index)


@pytest.mark.parametrize("more", [(), ("--intervals", "0.9"), ("-m", 1), ("--method", "gibbs")], ids=str)
@pytest.mark.sampled(2)
def test_a_table_without_missing_cells_comes_back_as_it_is(place, jensen, more):
    whole = people().replace("", None).dropna()
    whole.to_csv("whole.csv", sep=";", index=False, lineterminator="\r\n")
    answer = jensen("impute", "run", "whole.csv", *more, "-k", 50, "--out", "same.csv")
    assert answer.code == 0, answer.err
    assert f"{len(whole)} rows of whole.csv have no missing cells: they are given back as they are" in answer.err
    assert "0 missing entries in 0 rows" in answer.out
    assert (place / "same.csv").read_bytes() == (place / "whole.csv").read_bytes()
    record = json.loads(jensen("impute", "run", "whole.csv", *more, "-k", 50, "--out", "j.csv", "--json").out)
    assert (record["missing"], record["ess"]) == (0, None)
    table = typed().dropna()
    assert package.load(place / "run").impute(table, k=50).equals(table)


def test_what_makes_no_sense_is_refused(place, jensen):
    both = jensen("impute", "run", "people.csv", "-m", "2", "--point", "mean", *QUICK)
    assert (both.code, "-m draws" in both.err) == (2, True)
    assert jensen("impute", "run", "people.csv", "--point", "middle", *QUICK).code == 2
    assert jensen("impute", "run", "people.csv", "--intervals", "90", *QUICK).code == 2
    (place / "full.csv").write_text("mine")
    assert jensen("impute", "run", "people.csv", "--out", "full.csv", *QUICK).code == 2
    assert (place / "full.csv").read_text() == "mine"
    numbers = package.train(np.random.default_rng(0).normal(size=(40, 3)), latent=1, hidden=(4,), epochs=1, out="plain")
    with pytest.raises(package.JensenError, match="points and intervals are of tables"):
        numbers.completion(np.full((2, 3), np.nan), point="mean")


@pytest.mark.parametrize("given", ["price=12,50", "sex=F,price=12,50", 'price="12,50"'])
def test_a_condition_has_the_decimal_mark_of_the_source(place, jensen, given):
    assert jensen("sample", "run", "-n", 5, "-k", 500, "--given", given, "--out", "s.csv").code == 0
    assert {row[0] for row in rows_of((place / "s.csv").read_text())[1:]} == {"12,50"}


def test_a_number_from_python_is_one_however_its_column_is_written(place):
    run = package.load(place / "run")
    assert set(run.sample(5, given={"price": 12.5}, k=500)["price"]) == {12.5}
    assert set(run.sample(5, given={"price": np.float32(12.5)}, k=500)["price"]) == {12.5}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("impute", "run", "people.csv", *QUICK), "price"),
        (("reconstruct", "run", "people.csv"), "price"),
        (("sample", "run", "-n", 9), "price"),
        (("encode", "run", "people.csv"), "z1"),
        (("score", "run", "people.csv", *QUICK), "p_value"),
        (("predict", "run", "people.csv", "price", *QUICK), "price_mean"),
    ],
)
@pytest.mark.sampled(3)
def test_every_verb_writes_in_the_dialect_of_the_source(place, jensen, words, name):
    for out, delimiter in (("out.csv", ";"), ("out.tsv", "\t")):
        answer = jensen(*words, "--out", out)
        assert answer.code == 0, answer.err
        table = pd.read_csv(out, sep=delimiter, decimal=",")
        assert table.shape[1] > 1
        assert table[name].dtype == np.float64
