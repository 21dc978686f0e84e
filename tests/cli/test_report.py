"""The report from the command line: quick or whole, with progress on stderr, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def run(here, jensen):
    np.save("x.npy", np.random.default_rng(0).normal(size=(120, 3)))
    assert jensen("train", "x.npy", "--out", "run", "--epochs", "2", "--hidden", "8", "--latent", "2").code == 0
    return here / "run"


@pytest.mark.usefixtures("unrendered", "run")
def test_quick_and_whole(here, jensen):
    answer = jensen("report", "run", "--quick", "--json", "--out", "quick.html")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["quick"] is True
    assert "This is a quick report" in (here / "quick.html").read_text(encoding="utf-8")
    assert jensen("report", "run").code == 0
    assert "This is a quick report" not in (here / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("unrendered", "run")
@pytest.mark.slow
def test_phases_are_named_on_stderr(jensen, monkeypatch):
    from jensen.cli import progress

    monkeypatch.setattr(progress, "PLAIN", 0.0)
    answer = jensen("report", "run", "--out", "page.html")
    assert answer.code == 0
    for phase in ("reading the data", "evaluating", "examining", "following the checkpoints", "drawing training"):
        assert phase in answer.err
    assert ", phase" not in answer.err
    assert answer.out == "report: page.html\n"
    assert jensen("report", "run", "--out", "page.html", "--force", "--quiet").err == ""
