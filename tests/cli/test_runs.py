"""The runs in a folder, as a table of text, of LaTeX and as JSON."""

from __future__ import annotations

import json

from jensen.runs.listing import entry_texts, latex_table, run_entries


def test_the_runs_of_a_folder_are_listed(run, jensen):
    lines = jensen("runs", ".").out.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "run"]
    entry = next(run_entries("."))
    assert entry.name == "run"
    assert "  ".join(entry_texts(entry)).split() == lines[1].split()
    assert jensen("runs", ".", "--latex").out.splitlines() == latex_table([entry]).splitlines()
    record = json.loads(jensen("runs", ".", "--json").out)
    assert record["runs"][0]["bound"] == entry.bound


def test_a_folder_without_runs_is_said_to_have_none(jensen, here):
    (here / "empty").mkdir()
    answer = jensen("runs", "empty")
    assert (answer.code, answer.out) == (0, "")
    assert "no run in empty" in answer.err
    assert jensen("runs", "empty", "--quiet").err == ""
    assert json.loads(jensen("runs", "empty", "--json").out) == {"runs": []}
    assert jensen("runs", "nothing").code == 2
    assert jensen("runs", "empty", "--latex", "--json").code == 2
