"""`jensen compare`: the verdict first, its kinds, and a gate."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import jensen as package
from jensen.evaluate.estimate import format_nats


@pytest.fixture
def better(run):
    """A run that is better on the same rows than `run`, which was hardly trained."""
    package.train(run.parent / "real.npy", recipe="gaussian", out="good")
    return "good"


@pytest.fixture
def sides(data, better):
    """On the file where `run` was trained: the same bytes as in the current folder."""
    return better, "run"


@pytest.fixture(autouse=True)
def beside(here):
    from tests.cli.conftest import arrays

    np.save(here / "real.npy", arrays()["real"])
    np.save(here / "rows.npy", arrays()["real"][:-1])  # all of them would be known as the runs' own


def test_the_verdict_comes_first(sides, jensen):
    answer = jensen("compare", *sides, "-k", "20")
    verdict, errors, a, b, about = answer.out.splitlines()
    assert answer.code == 0
    record = json.loads(jensen("compare", *sides, "-k", "20", "--json").out)
    low, high = record["interval"]
    assert low < 0 < high  # of six rows
    number = format_nats(record["difference"], record["stderr"])
    assert verdict == f"no difference at this size: A - B = {number} nats per datum"
    assert "over 6 paired data" in errors
    assert a.startswith("A: ")
    assert a.endswith("(exact): good")
    assert b.endswith("(stochastic lower bound, K = 20): run")
    assert "log p(x) is a density; seed 0" in about
    assert "A is exact, B is stochastic lower bound" in answer.err
    assert jensen("compare", *sides, "-k", "20", "--quiet").err == ""


def test_as_json(sides, jensen):
    record = json.loads(jensen("compare", *sides, "-k", "20", "--json").out)
    assert record["difference"] == pytest.approx(record["a"]["log_px"] - record["b"]["log_px"])
    assert record["n"] == 6
    assert record["a"]["kinds"] == ["exact"]
    assert record["b"]["runs"][0]["k"] == 20


def test_the_gate(sides, jensen):
    good, run = sides
    numbers = json.loads(jensen("compare", good, run, "rows.npy", "-k", "20", "--json").out)
    assert numbers["higher"] in ("A", "B")
    worse = [run, good] if numbers["higher"] == "A" else [good, run]
    assert jensen("compare", *worse, "rows.npy", "-k", "20", "--fail-worse").code == 6
    assert jensen("compare", *worse, "rows.npy", "-k", "20").code == 0
    assert jensen("compare", *reversed(worse), "rows.npy", "-k", "20", "--fail-worse").code == 0


def test_groups_are_separated_by_commas(sides, jensen):
    shutil.copytree("run", "again")
    answer = jensen("compare", "run,again", "good", "-k", "5")
    assert answer.code == 0
    assert "2 seeds with s.d. 0): run, again" in answer.out
    assert "over seeds" in answer.out
    assert " d.f.)" in answer.out
    assert "runs of A have the same weights" in answer.err
    assert "a,b,c" in jensen("compare", "--help").out
    shutil.copytree("run", "with,comma")
    assert jensen("compare", "with,comma", "good", "-k", "5").code == 0


def test_an_order_that_is_not_settled(sides, jensen):
    good, run = sides
    answer = jensen("compare", good, run, "rows.npy", "-k", "20")
    record = json.loads(jensen("compare", good, run, "rows.npy", "-k", "20", "--json").out)
    low, high = record["interval"]
    assert low < record["difference"] < high
    assert "95 % interval of A - B " in answer.out
    assert f"t, {record['degrees_of_freedom']:.3g} d.f." in answer.out
    assert (record["higher"], record["better"], record["settled"]) == ("A", None, False)
    assert "B's is a lower bound, so the order of log p(x) is not settled" in answer.out
    assert answer.out.splitlines()[-1].startswith("to decide it: jensen evaluate run says how loose")


def test_the_interval_has_the_direction_of_the_verdict(sides, jensen):
    good, run = sides
    out = jensen("compare", run, good, "rows.npy", "-k", "20").out
    record = json.loads(jensen("compare", run, good, "rows.npy", "-k", "20", "--json").out)
    assert record["higher"] == "B"
    assert record["interval"][1] < 0
    low, high = (format_nats(-end, record["stderr"]).split(" ")[0] for end in reversed(record["interval"]))
    assert f"95 % interval of B - A {low} to {high} (" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, ["compare needs"]),
        (["run", "absent"], 2, ["there is no run at absent"]),
        (["run,", "run"], 2, ["names an empty run"]),
        (["run", "run", "-k", "0"], 2, ["-k"]),
        (["run", "run", "bits.npy"], 3, ["have the shape (6,)"]),
        (["run", "image_run"], 3, ["of different data"]),
    ],
)
def test_refusals(words, code, said, run, trained_images, data, refused):
    shutil.copytree(trained_images, data / "image_run")
    refused(["compare", *words], code, *said)
