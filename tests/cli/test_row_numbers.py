"""Messages and tables call a row by the same number: that of its file, from 0."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main
from jensen.runs.run import load

N, BAD = 60, 37  # the row that is spoilt, wherever the split puts it


def table(spoil: Callable[[list[str]], None] = lambda row: None) -> list[list[str]]:
    noise = np.random.default_rng(0)
    rows = [[f"{a:.4f}", f"{b:.4f}", "xy"[i % 2]] for i, (a, b) in enumerate(noise.uniform(0.1, 0.9, (N, 2)).tolist())]
    spoil(rows[BAD])
    return rows


def written(path: Path, rows: list[list[str]]) -> str:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["a", "b", "kind"], *rows])
    return str(path)


def first_number(text: str) -> int:
    found = re.search(r"\brow (\d+)", text)
    assert found, text
    return int(found[1])


def too_large(row: list[str]) -> None:
    row[1] = "7.5"


def negative(row: list[str]) -> None:
    row[0] = "-0.5"


def nameless(row: list[str]) -> None:
    row[2] = ""


def infinite(row: list[str]) -> None:
    row[0] = "inf"


@pytest.mark.parametrize("split_seed", ["0", "1", "2", "3"])
@pytest.mark.parametrize(
    ("spoil", "options"),
    [
        (too_large, ["--recipe", "vae", "--likelihood", "beta"]),
        (negative, ["--recipe", "vae", "--likelihood", "log-normal"]),
        (infinite, ["--recipe", "vae"]),
    ],
)
@pytest.mark.sampled(6)
def test_a_row_that_training_refuses(spoil, options, split_seed, tmp_path, capsys):
    """In whatever part it comes to lie."""
    path = written(tmp_path / "x.csv", table(spoil))
    words = ["train", path, *options, "--labels", "kind", "--epochs", "1", "--split-seed", split_seed]
    assert main([*words, "--out", str(tmp_path / "run")]) == 3
    assert first_number(capsys.readouterr().err) == BAD


def test_a_row_without_the_label_that_a_model_is_conditioned_on(tmp_path, capsys):
    path = written(tmp_path / "x.csv", table(nameless))
    words = ["train", path, "--recipe", "conditional", "--labels", "kind", "--epochs", "1", "--split", "0.9,0.1,0"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 3
    assert first_number(capsys.readouterr().err) == BAD


def test_a_row_that_another_verb_refuses_is_the_row_of_its_table(tmp_path, capsys):
    clean, spoilt = written(tmp_path / "x.csv", table()), written(tmp_path / "y.csv", table(too_large))
    run = str(tmp_path / "run")
    words = ["train", clean, "--likelihood", "beta", "--labels", "kind", "--epochs", "1", "--quiet"]
    assert main([*words, "--out", run]) == 0
    capsys.readouterr()
    for verb in ("evaluate", "encode", "reconstruct"):
        assert main([verb, run, spoilt]) == 3
        assert first_number(capsys.readouterr().err) == BAD
    for verb, flag in (("evaluate", "--rows"), ("encode", "--out"), ("reconstruct", "--out")):
        out = tmp_path / f"{verb}.csv"
        assert main([verb, run, flag, str(out), "--quiet", *(["-k", "5"] if verb == "evaluate" else [])]) == 0
        with out.open(newline="") as stream:
            numbers = [int(row["row"]) for row in csv.DictReader(stream)]
        assert numbers == load(run).split().test.tolist()
