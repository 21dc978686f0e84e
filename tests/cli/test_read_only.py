"""A run folder that cannot be written: numbers are printed, and the note says why they are not kept."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

import jensen.storage.files as files
from jensen.analysis import features
from tests.cli.conftest import contents


@pytest.fixture(scope="session")
def labelled(tmp_path_factory) -> Path:
    """A run whose test rows are enough for every measure, and have labels."""
    import jensen as package

    folder = tmp_path_factory.mktemp("labelled")
    x = np.random.default_rng(0).normal(size=(240, 4))
    np.savez(folder / "x.npz", x=x, y=(x[:, 0] > 0).astype(int))
    package.train(folder / "x.npz", latent=2, hidden=(8,), epochs=1, device="cpu", out=folder / "run")
    return folder / "run"


@pytest.fixture(params=[errno.EROFS, errno.EACCES, errno.ENOSPC])
def locked(request, labelled, monkeypatch) -> Path:
    """The run, in a folder where the system refuses every new file, also to root."""

    def refuse(folder: Path, size: int) -> None:
        if labelled in (folder, *folder.parents):
            raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(files, "check_free", refuse)
    monkeypatch.setattr(features, "STEPS", 100)  # of a classifier, whose accuracy is not looked at here
    return labelled


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "-k", "5"],
        ["fidelity"],
        ["represent"],
        ["calibrate", "-n", "50"],
        ["evaluate", "-k", "5", "--quiet"],
    ],
)
@pytest.mark.sampled(4)
def test_the_number_is_printed_and_the_note_says_why_it_is_not_kept(words, locked, jensen):
    before = contents(locked)
    answer = jensen(words[0], locked, *words[1:])
    assert answer.code == 0, answer.err
    assert answer.out
    assert "the result is not kept: " in answer.err
    assert f"jensen {words[0]} {locked} --json > FILE" in answer.err
    assert contents(locked) == before
    record = json.loads(jensen(words[0], locked, *words[1:], "--json").out)  # the remedy works
    assert record["weights"] == "raw"


@pytest.mark.sampled(2)
def test_what_writes_elsewhere_works(locked, jensen, here, unrendered):
    before = contents(locked)
    assert jensen("doctor", locked).code in (0, 6)
    for words in (["encode", "--active"], ["reconstruct"], ["sample", "-n", "5"]):
        assert jensen(words[0], locked, *words[1:], "--out", f"{words[0]}.csv").code in (0, 2)
    assert jensen("report", locked, "--out", "page.html").code == 0
    assert contents(locked) == before


@pytest.mark.sampled(1)
def test_without_out_the_refusal_names_a_remedy_that_exists(locked, jensen, unrendered):
    for words in (["encode"], ["report"], ["sample"]):
        answer = jensen(words[0], locked, *words[1:])
        assert answer.code == 2
        assert "cannot be written" in answer.err
        assert "--out" in answer.err


def test_a_folder_of_evaluations_that_cannot_be_made(run, jensen):
    assert jensen("evaluate", "run", "--budget", "0").code == 0
    (run / "evaluations").write_text("in the way")
    answer = jensen("evaluate", "run", "-k", "5")
    assert answer.code == 0, answer.err
    assert "cannot be made a folder" in answer.err
    assert answer.out.startswith("log p(x)")


def test_other_errors_are_not_hidden(run, jensen, monkeypatch):
    monkeypatch.setattr(files, "check_free", lambda folder, size: 1 / 0)
    assert jensen("evaluate", "run", "-k", "5").code == 1
