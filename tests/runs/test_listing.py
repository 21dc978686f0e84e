"""The table of the runs in a folder."""

from __future__ import annotations

import re
import sys

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.core.errors import UsageError
from jensen.runs.listing import RunEntry, latex_table, run_entries

FAST = {"threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, x = tmp_path_factory.mktemp("runs"), np.random.default_rng(0).normal(size=(60, 3))
    first = jensen.train(x, recipe="gmm", components=2, epochs=2, out=folder / "mixture", **FAST)
    first.keep(first.evaluate(k=5))
    jensen.train(x, recipe="vae", latent=1, hidden=(4,), epochs=3, out=folder / "deep" / "vae", **FAST)
    (folder / "broken").mkdir()
    (folder / "broken" / "spec.json").write_text("{")
    return folder


def test_every_run_has_its_number_with_kind_and_error(folder):
    table = jensen.runs(folder)
    assert isinstance(table, pd.DataFrame)
    assert table["name"].tolist() == ["broken", "deep/vae", "mixture"]
    broken, deep, mixture = (row for _, row in table.iterrows())
    assert broken["state"] == "damaged"
    assert (deep["recipe"], deep["epochs"], deep["state"], deep["kind"]) == ("vae", 3, "finished", "ELBO")
    assert deep["rows"] == "validation rows"
    run = jensen.load(folder / "mixture", data=np.random.default_rng(0).normal(size=(60, 3)))
    assert (mixture["kind"], mixture["data"]) == ("exact", "array")
    assert mixture["bound"] == pytest.approx(run.evaluate(k=5).estimate.mean)
    assert mixture["stderr"] > 0
    assert deep["seconds"] > 0
    lines = [line for line in jensen.load(folder / "deep" / "vae").metrics if line["event"] == "epoch"]
    assert deep["bound"] == max(line["valid"]["bound"] for line in lines)


def test_a_table_of_latex_has_names_and_numbers_as_text(folder):
    """Special characters are escaped, and each number has the digits that its error supports."""
    lines = jensen.runs(folder, latex=True).splitlines()
    assert lines[0] == r"\begin{tabular}{llrllrlr}"
    assert lines[2].startswith("run & recipe & nats per datum & kind")
    assert [line.split(" & ")[0] for line in lines[4:7]] == ["broken", "deep/vae", "mixture"]
    assert all(line.endswith(r" \\") and line.count(" & ") == 7 for line in lines[4:7])
    assert re.search(r"& gmm & \$-?[\d.]+ \\pm [\d.]+\$ & exact &", lines[6])
    odd = RunEntry("50%_of {x}^2~\\", "a&b", bound=-3.25)
    text = latex_table([odd]).splitlines()[4]
    assert text.startswith(r"50\%\_of \{x\}\textasciicircum{}2\textasciitilde{}\textbackslash{} & a\&b & $-3.25$ &")


def test_without_pandas_it_is_a_dictionary_of_lists(folder, monkeypatch):
    monkeypatch.setattr("jensen.runs.listing.find_spec", lambda name: None)
    table = jensen.runs(folder)
    assert table["name"] == ["broken", "deep/vae", "mixture"]
    assert list(table)[:3] == ["name", "recipe", "data"]


def test_a_folder_that_is_a_run_is_listed_by_its_name(folder):
    assert [entry.name for entry in run_entries(folder / "mixture")] == ["mixture"]
    with pytest.raises(UsageError, match="no folder"):
        jensen.runs(folder / "nothing")


def test_the_room_and_the_function_have_one_name():
    assert jensen.runs is sys.modules["jensen.runs"]
    assert jensen.compare is jensen.runs.compare.compare
