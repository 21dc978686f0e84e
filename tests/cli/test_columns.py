"""Columns of tables, chosen and dropped by name: in training, of later files, and when a run is made again."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.core.errors import DataError
from tests.cli.conftest import TINY

NAMES = ["a", "b", "c", "d"]
X = np.random.default_rng(0).normal(size=(80, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
FRAME = pd.DataFrame(X, columns=NAMES).assign(id=np.random.default_rng(2).permutation(80), name="text")


@pytest.fixture
def table(here):
    FRAME.to_csv("x.csv")
    return here


def evaluated(jensen, *words):
    answer = jensen("evaluate", *words, "-k", 5, "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


@pytest.mark.parametrize(
    "options",
    [["--drop", "id,name"], pytest.param(["--columns", "a,b,c,d"], marks=pytest.mark.slow), ["--columns", "d,b"]],
)
def test_later_files_are_read_as_the_first(table, jensen, options):
    some = FRAME.iloc[60:]
    some[NAMES].to_csv("same.csv", index=False)
    some[NAMES[::-1]].to_csv("other order.csv", index=False)
    some[[*NAMES[::-1], "name", "id"]].to_csv("all.csv", index=False)
    some.iloc[:, ::-1].to_csv("with index.csv")
    some.to_csv("test.csv", index=False)
    words = [*options, *TINY, "--test", "test.csv"]
    assert jensen("train", "x.csv", *words, "--out", "run", "--quiet").code == 0
    command = json.loads((table / "run" / "spec.json").read_text())["command"]
    assert command[options[0].removeprefix("--")] == options[1]
    same = evaluated(jensen, "run", "same.csv")
    files = ("other order.csv", "with index.csv", "test.csv") if options[0] == "--drop" else ("all.csv", "test.csv")
    for file in files:
        assert evaluated(jensen, "run", file)["log_px"] == same["log_px"]
    assert evaluated(jensen, "run")["n"] == 20
    again = jensen("train", "--spec", "run/spec.json", "--out", "again", "--quiet")
    assert again.code == 0, again.err
    assert evaluated(jensen, "again", "same.csv")["log_px"] == same["log_px"]
    assert jensen("resume", "run", "--epochs", 2, "--quiet").code == 0


def test_unknown_and_absent_columns(table, jensen, refused):
    refused(["train", "x.csv", "--drop", "id,names", *TINY], 3, "no column 'names'", "id, name")
    refused(["train", "x.csv", "--columns", "a,z", *TINY], 3, "no column 'z'", "a, b, c, d")
    refused(["train", "digits", "--columns", "a", *TINY], 2, "--columns is for tables", "Leave --columns out")
    refused(["train", "x.csv", "--recipe", "vae", *TINY], 3, "(name)", "--drop name")
    assert jensen("train", "x.csv", "--columns", "a,b,c", *TINY, "--out", "run", "--quiet").code == 0
    FRAME[["a", "b", "d"]].to_csv("few.csv", index=False)
    refused(["evaluate", "run", "few.csv"], 3, "no column 'c'", "a, b, d")


def test_a_table_is_described_as_it_would_be_read(table, jensen):
    answer = json.loads(jensen("data", "x.csv", "--drop", "id,name", "--json").out)
    assert (answer["names"], answer["n"]) == (NAMES, 80)
    pd.DataFrame(np.random.default_rng(0).poisson(4, size=(80, 4))).to_csv("counts.csv", index=False)
    assert json.loads(jensen("data", "counts.csv", "--json").out)["n"] == 80
    assert json.loads(jensen("data", "counts.csv", "--header", "no", "--json").out)["n"] == 81


def test_columns_of_a_frame(here):
    options = {"epochs": 1, "latent": 2, "hidden": (8,)}
    run = jensen.train(FRAME, columns=["c", "a", "b"], out="run", **options)
    assert run.schema.names == ("c", "a", "b")
    first = run.evaluate(FRAME, k=5).estimate.nats.tolist()
    assert run.evaluate(FRAME[["b", "a", "c"]], k=5).estimate.nats.tolist() == first
    FRAME.to_csv("x.csv")
    assert run.evaluate("x.csv", k=5).estimate.nats.tolist() == first
    with pytest.raises(DataError, match="no column 'z'"):
        jensen.train(FRAME, columns=["z"], out="other", **options)


def test_a_later_file_may_lack_the_header_of_the_first(here, jensen):
    counts = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 3)), columns=["1", "2", "7"])
    counts.to_csv("x.csv", index=False)
    counts[60:].to_csv("with.csv", index=False)
    counts[60:].to_csv("without.csv", index=False, header=False)
    assert jensen("train", "x.csv", "--header", "yes", *TINY, "--out", "run", "--quiet").code == 0
    records = [evaluated(jensen, "run", file) for file in ("with.csv", "without.csv")]
    assert [record["n"] for record in records] == [20, 20]
    assert records[0]["log_px"] == records[1]["log_px"]
