"""The programs of docs/scikit-learn.md and docs/anomalies.md run as they are written."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scikit-learn.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^## (.*?)\n.*?^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
SLOW = ("Pipelines and searches", "Imputation")
RESULT = {"Pipelines and searches": "codes", "Imputation": "draws", "Anomalies": "new", "Runs, folders, saving": "also"}


@pytest.mark.parametrize(
    ("title", "program"),
    [pytest.param(*p, marks=pytest.mark.slow if p[0] in SLOW else ()) for p in PROGRAMS],
    ids=[title for title, _ in PROGRAMS],
)
def test_program_runs(title, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("program.py").write_text(program, encoding="utf-8")
    assert runpy.run_path("program.py")[RESULT[title]] is not None


def test_all_programs_are_run():
    assert [title for title, _ in PROGRAMS] == list(RESULT)


def test_the_program_of_anomalies_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).resolve().parents[2] / "docs" / "anomalies.md").read_text(encoding="utf-8")
    ((program, shown),) = re.findall(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL
    )
    assert page.count("```python") == 1
    Path("program.py").write_text(program, encoding="utf-8")
    runpy.run_path("program.py")
    assert capsys.readouterr().out == shown
