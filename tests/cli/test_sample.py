"""Samples say what they are: means of p(x | z) for images, draws for other data, and either when asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main
from jensen.cli.verbs import VERBS
from jensen.runs.run import load

X = np.random.default_rng(0)
DATA = {
    "bits": (X.random((40, 4, 4)) < 0.5).astype(np.uint8),
    "grey": X.integers(0, 200, (40, 4, 4), dtype=np.uint8),
    "colour": X.integers(0, 200, (40, 4, 4, 3), dtype=np.uint8),
    "table": X.normal(size=(40, 3)),
    "counts": X.poisson(2.0, (40, 5)),
}
MEANS, DRAWS = "means of p(x | z) at z from the prior", "drawn from p(x | z) at z from the prior"
TINY = ["--epochs", "1", "--hidden", "8", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for name, x in DATA.items():
        np.save(folder / f"{name}.npy", x)
    return folder


def trained(folder: Path, name: str, *words: str) -> str:
    run = folder / f"{name}{''.join(words)}"
    if not run.exists():
        assert main(["train", str(folder / f"{name}.npy"), *words, *TINY, "--out", str(run)]) == 0
    return str(run)


@pytest.mark.parametrize(
    ("name", "words", "means"),
    [
        ("bits", (), True),
        ("grey", (), True),
        ("colour", (), True),
        ("grey", ("--recipe", "wake-sleep"), True),
        ("table", (), False),
        ("counts", ("--recipe", "count-vae"), False),
        ("grey", ("--recipe", "made"), False),  # no latent features: all means are one
        ("grey", ("--recipe", "gan"), False),  # no density: nothing but draws
    ],
)
@pytest.mark.sampled(4)
def test_the_kind_of_the_data_decides_and_the_line_says_it(folder, name, words, means, tmp_path, capsys):
    run, out = trained(folder, name, *words), str(tmp_path / "x.npy")
    capsys.readouterr()
    assert main(["sample", run, "-n", "6", "--out", out]) == 0
    said = capsys.readouterr().out
    assert (MEANS in said, DRAWS in said) == (means, not means)
    assert ("; --noise draws pixels" in said) == means
    expected = load(run).sample(6, mean=means)
    rounded = 0.51 if "gan" in words else 0.0  # whole numbers, as pixels are
    assert np.allclose(np.load(out), expected, rtol=1e-6, atol=rounded)
    for flag, mean in (("--noise", False), ("--mean", True)):
        if mean and words in (("--recipe", "made"), ("--recipe", "gan")):
            continue
        assert main(["sample", run, "-n", "6", flag, "--out", out, "--force", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["mean"] is mean
        assert np.allclose(np.load(out), load(run).sample(6, mean=mean), rtol=1e-6, atol=rounded)


def test_a_mean_is_the_average_of_draws_at_the_same_place(folder, tmp_path):
    """By hand: the mean of each Bernoulli lies within the draws' own standard error, and between 0 and 1."""
    opened = load(trained(folder, "bits"))
    means, draws = opened.sample(4000, mean=True), opened.sample(4000)
    assert 0 < means.min() < means.max() < 1
    error = np.sqrt((means * (1 - means)).mean() / means.size)
    assert abs(means.mean() - draws.mean()) < 4 * error


def test_both_at_once_are_refused(folder, capsys):
    assert main(["sample", trained(folder, "grey"), "--mean", "--noise"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_on_stdout_the_kind_is_a_note(folder, capsys):
    for name, words, said in (("grey", [], MEANS), ("grey", ["--noise"], DRAWS), ("table", [], "")):
        run = trained(folder, name)
        capsys.readouterr()
        assert main(["sample", run, "-n", "2", *words, "--out", "-"]) == 0
        answer = capsys.readouterr()
        assert len(answer.out.splitlines()) == 3
        assert (said in answer.err) if said else not answer.err
        assert main(["sample", run, "-n", "2", *words, "--out", "-", "--quiet"]) == 0
        assert capsys.readouterr() == (answer.out, "")


def test_every_verb_of_runs_and_data_can_be_quiet(capsys):
    for verb in set(VERBS) - {"recipes", "completion"}:  # which only print what they are asked for
        assert main([verb, "--help"]) == 0
        assert "--quiet" in capsys.readouterr().out, verb


def test_data_are_described_without_notes(folder, capsys):
    (folder / "holes.csv").write_text("a,b\n" + "\n".join(f"{i / 7},{'' if i == 3 else i % 5}" for i in range(30)))
    words = ["data", str(folder / "holes.csv")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "missing" in said.err
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == (said.out, "")


def test_samples_given_columns(folder, tmp_path, capsys):
    run, out = trained(folder, "table"), str(tmp_path / "x.csv")
    capsys.readouterr()
    words = ["sample", run, "-n", "4", "--given", "x1=0.5", "-k", "2000", "--out"]
    assert main([*words, out]) == 0
    said = capsys.readouterr().out
    assert said.startswith("4 samples given x1 = 0.5 (log p -")
    assert "effective sample size" in said
    rows = np.loadtxt(out, delimiter=",", skiprows=1)
    assert rows.shape == (4, 3)
    assert np.allclose(rows[:, 0], 0.5, atol=1e-6)
    assert np.allclose(rows, load(run).sample(4, given={"x1": 0.5}, k=2000), rtol=1e-6)
    assert main([*words, str(tmp_path / "y.csv"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["given"] == {"x1": "0.5"}
    assert 10 <= record["ess"] <= record["k"] == 2000


def test_conditions_that_cannot_be_met_are_refused(folder, capsys):
    run = trained(folder, "table")
    for words, said in (
        (["--given", "x1=900", "-k", "500"], "too rare"),
        (["--given", "y=1"], "no column 'y'"),
        (["--given", "x1"], "no column=value"),
        (["--given", "x1=1", "--mean"], "excludes --mean"),
        (["-k", "100"], "there is none"),
    ):
        assert main(["sample", run, *words]) == 2
        assert said in capsys.readouterr().err
