"""The next command that a verb prints works as it is printed, pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

QUICK = ["--epochs", "1", "--latent", "2", "--quiet"]
ODD = ["my run", 'it\'s a "run"', "$HOME;run &", "-run", "läufe/1 (2)"]


def pasted(out: str) -> list[str]:
    """The words of the next command, as a shell reads them."""
    [line] = [line for line in out.splitlines() if line.startswith("next: ")]
    first, *words = shlex.split(line.removeprefix("next: "))
    assert first == "jensen"
    return words


@pytest.fixture
def table(here: Path) -> str:
    lines = [f"{a},{b},{'cat' if a > 0 else 'dog'}" for a, b in np.random.default_rng(0).normal(size=(60, 2)).tolist()]
    (here / "my data's.csv").write_text("\n".join(["size,weight,the kind", *lines]))
    return "my data's.csv"


def test_several_labels_of_a_table_of_mixed_kinds(jensen, here):
    rows = np.random.default_rng(0).normal(size=(60, 2)).tolist()
    lines = [f"{a},{b},{'cat' if a > 0 else 'dog'},{'new' if b > 0 else 'old'}" for a, b in rows]
    (here / "t.csv").write_text("\n".join(["size,weight,kind,age", *lines]))
    described = jensen("data", "t.csv", "--labels", "size,age").out
    assert "several labels are of a model of numbers" in described
    assert "--labels" not in described
    assert jensen(*pasted(described), *QUICK, "--out", "run").code == 0


@pytest.fixture
def pictures(here: Path) -> str:
    folder = here / "some pictures"
    folder.mkdir()
    for i in range(40):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (5 + i % 2, 6), np.uint8)).save(folder / f"{i}.png")
    return "some pictures"


@pytest.mark.parametrize("out", [pytest.param(out, marks=[pytest.mark.slow] * (out in ODD[:3])) for out in ODD])
def test_after_training(jensen, table, out):
    answer = jensen("train", table, f"--out={out}", "--labels", "the kind", *QUICK)
    assert answer.code == 0, answer.err
    words = pasted(answer.out)
    assert words[0] == "evaluate"
    assert Path(words[1]) == Path(out)
    assert jensen(*words, "-k", "5", "--quiet").code == 0
    for verb in ("evaluate", "calibrate", "represent", "fidelity"):
        more = {"evaluate": ["-k", "5"], "represent": ["--labels", "the kind"]}.get(verb, [])
        answer = jensen(verb, words[1], *more, "--quiet")
        if answer.code == 0:
            assert pasted(answer.out) == ["report", words[1]]


def test_after_a_training_on_a_device_of_choice(jensen, table):
    answer = jensen("train", table, "--out", "run", "--drop", "the kind", "--device", "cpu", *QUICK)
    assert pasted(answer.out) == ["evaluate", "run", "--device", "cpu"]
    assert jensen(*pasted(answer.out), "-k", "5", "--quiet").code == 0


def test_moved_data_are_named_again(jensen, table, here):
    assert jensen("train", table, "--out", "run", "--labels", "the kind", *QUICK).code == 0
    (here / "elsewhere").mkdir()
    (here / table).rename(here / "elsewhere" / "-moved it.csv")
    answer = jensen("evaluate", "run", "--data=elsewhere/-moved it.csv", "-k", "5", "--quiet")
    assert pasted(answer.out) == ["report", "run", "--data", "elsewhere/-moved it.csv"]
    gradients = jensen(
        "gradients", "run", "--data", "elsewhere/-moved it.csv", "-n", "8", "--repeats", "32", "--device", "cpu"
    )
    assert gradients.code == 0, gradients.err
    assert pasted(gradients.out) == ["doctor", "run", "--data", "elsewhere/-moved it.csv", "--device", "cpu"]


def test_training_on_what_was_described(jensen, table, pictures):
    """Labels, size, columns and header are those of the description."""
    for words in (
        [table, "--labels", "the kind"],
        [table, "--labels", "the kind,size"],
        [table, "--columns", "size,weight"],
        [table, "--drop", "the kind", "--header", "yes"],
        [pictures, "--size", "4,5"],
        [pictures],
    ):
        described = jensen("data", *words)
        assert described.code == 0, described.err
        following = pasted(described.out)
        assert following[:2] == ["train", words[0]]
        answer = jensen(*following, *QUICK, "--out", "run", "--force")
        assert answer.code == 0, answer.err
        shape = f"of {'4x5' if '--size' in words else ''}"
        assert shape in described.out
        again = jensen("evaluate", "run", "-k", "2", "--quiet")
        assert again.code == 0, again.err


def test_data_of_odd_names(jensen, here):
    for name in ("a b.npy", "it's.npy", "-x.npy", "$x.npy"):
        np.save(here / name, np.random.default_rng(0).normal(size=(40, 3)))
        where = f"./{name}" if name[0] == "-" else name
        assert jensen(*pasted(jensen("data", where).out), *QUICK, "--out", "run", "--force").code == 0


def test_what_goes_on_after_an_interruption(jensen, table, monkeypatch):
    from jensen.runs import train as training

    usual = training.Job.run
    monkeypatch.setattr(training.Job, "run", lambda job, heard, stop, notice: usual(job, heard, lambda: True, notice))
    answer = jensen("train", table, "--out", "a run's", "--labels", "the kind", *QUICK)
    assert answer.code == 75
    command = answer.err.split("Go on with ")[1].split(", or look")[0]
    monkeypatch.undo()
    assert jensen(*shlex.split(command)[1:]).code in (0, 2)
