"""`jensen evaluate` of a diffusion: its flow, its bounds by the number of levels, bits, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jensen.cli import main
from tests.cli.conftest import arrays

SMALL = ["--recipe", "diffusion", "--epochs", "2", "--hidden", "8", "--quiet"]


@pytest.fixture(scope="module")
def chains(tmp_path_factory) -> Path:
    """A folder with a run on real values and one on integers."""
    import numpy as np

    folder = tmp_path_factory.mktemp("chains")
    for name in ("real", "images"):
        np.save(folder / f"{name}.npy", arrays()[name])
        assert main(["train", str(folder / f"{name}.npy"), "--out", str(folder / f"of-{name}"), *SMALL]) == 0
    return folder


def test_a_flow_says_of_which_density_it_is(jensen, chains, monkeypatch):
    monkeypatch.chdir(chains)
    answer = jensen("evaluate", "of-real", "--method", "flow", "--rows-at-most", 5)
    assert answer.code == 0, answer.err
    assert "(stochastic lower bound, K = 5; ± over data)" in answer.out
    assert "of the probability flow, another density than the chain's; 5 points per datum" in answer.out
    assert "solver: tolerance 0.0001, " in answer.out
    assert "evaluation.json is of the chain itself" in answer.err
    assert not (chains / "of-real" / "evaluation.json").exists()
    record = json.loads((chains / "of-real" / "evaluations" / "flow-k5.json").read_text())
    assert record["n"] == 5
    assert record["data"].startswith("5 of ")
    assert 0 <= record["settings"]["solver_error"] < 0.05
    assert record["settings"]["evaluations"] > 20
    again = jensen("evaluate", "of-real", "--method", "flow", "--rows-at-most", 5, "--tolerance", "1e-3", "--json")
    coarse = json.loads(again.out)
    assert coarse["settings"]["tolerance"] == 1e-3
    assert coarse["settings"]["evaluations"] < record["settings"]["evaluations"]
    assert abs(coarse["log_px"] - record["log_px"]) < 0.1


def test_levels_are_a_table_that_is_kept_verified_and_reported(jensen, chains, monkeypatch):
    monkeypatch.chdir(chains)
    answer = jensen("evaluate", "of-real", "--levels", "1,4,64")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[0] == "levels")
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["1", "4", "64"]
    record = json.loads((chains / "of-real" / "evaluation.json").read_text())
    bounds = [bound["log_px"] for bound in record["by_levels"]]
    assert bounds == sorted(bounds)
    assert record["replay"]["levels"] == [1, 4, 64]
    assert jensen("verify", "of-real").code == 0
    assert jensen("evaluate", "of-real", "--budget", 0).code == 0  # measures less, and is kept beside it
    assert json.loads((chains / "of-real" / "evaluation.json").read_text())["by_levels"] is not None
    assert jensen("evaluate", "of-real", "--method", "flow", "--rows-at-most", 5).code == 0
    assert jensen("report", "of-real", "--quick").code == 0
    page = (chains / "of-real" / "report.html").read_text(encoding="utf-8")
    assert "Bounds of the chain of T levels" in page
    assert "By the probability flow, another density" in page


def test_integers_have_bits_per_dimension(jensen, chains, monkeypatch):
    """Of the bound, of every number of levels and of the flow; of integers, a mass."""
    monkeypatch.chdir(chains)
    answer = jensen("evaluate", "of-images", "--levels", "256", "--json")
    record = json.loads(answer.out)
    assert record["bits_per_dim"] == pytest.approx(-record["log_px"] / (16 * 0.6931472), rel=1e-6)
    assert 5 < record["bits_per_dim"] < 12  # uniform values have 8
    assert "bits per dimension <=" in jensen("evaluate", "of-images", "--levels", "256").out
    flow = json.loads(jensen("evaluate", "of-images", "--method", "flow", "--rows-at-most", 3, "--json").out)
    assert 5 < flow["bits_per_dim"] < 12


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--levels", "1,x"), "--levels must be whole numbers, got 1,x"),
        (("--levels", "0"), "--levels must hold whole numbers of at least 1"),
        (("--levels", "4", "--method", "flow"), "--levels is of the bound at sampled times"),
        (("--levels", "4", "--method", "sandwich"), "--levels is of diffusions"),
        (("--rows-at-most", "4"), "--rows-at-most limits the rows of the method flow"),
        (("--method", "flow", "--rows-at-most", "0"), "--rows-at-most must be"),
        (("--tolerance", "1e-3"), "the tolerance is of the solver of flow"),
        (("--method", "flow", "--budget", "3"), "Use --rows-at-most and -k"),
    ],
)
def test_what_is_refused(jensen, chains, monkeypatch, words, says):
    monkeypatch.chdir(chains)
    answer = jensen("evaluate", "of-real", *words)
    assert answer.code == 2
    assert says in answer.err


def test_other_models_have_no_flow(jensen, run):
    answer = jensen("evaluate", "run", "--method", "flow")
    assert answer.code == 2
    assert "follows the probability flow of a diffusion" in answer.err
    assert "--recipe diffusion" in answer.err
    assert "--recipe diffusion" in jensen("evaluate", "run", "--levels", "4").err
