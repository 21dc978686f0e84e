"""Progress in Python: one output of a notebook that is updated, one line on a terminal, nothing in programs."""

from __future__ import annotations

import io
import sys
from types import ModuleType

import pytest
from rich.console import Console

from jensen.runs import progress
from jensen.runs.progress import LineOfTraining, shown_progress
from jensen.training import EpochEnded, Started, Stopped
from jensen.training.events import Measures

M = Measures(-9.0, -9.5, 1.0, 8.5)
EVENTS = [
    Started(2, 3, 30),
    *(EpochEnded(e, 3 * e, M, M, 1e-3, 1.0, 100.0, 1.0 * e, 1.0, True) for e in (1, 2)),
    Stopped("finished", 2, 1, 65.0),
]


def test_a_training_is_a_line_and_then_its_outcome(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    texts: list[str] = []
    listen = LineOfTraining(texts.append, 100)
    for event in EVENTS:
        listen(event)
    assert texts[0].startswith("epoch 1/2")
    assert texts[-1] == "trained: epoch 2/2 in 1:05  validation bound -9.50 nats per datum  weights of epoch 1"


def test_updates_in_a_moment_are_left_out(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 60.0)
    texts: list[str] = []
    listen = LineOfTraining(texts.append, 100)
    for event in EVENTS:
        listen(event)
    assert len(texts) == 2


class Notebook:
    """Stands for IPython.display: outputs, of which each is updated."""

    def __init__(self) -> None:
        self.outputs: list[list[str]] = []

    def display(self, content, raw, display_id):
        assert raw
        assert display_id
        self.outputs.append([content["text/plain"]])
        return self

    def update(self, content, raw):
        self.outputs[-1].append(content["text/plain"])


def test_in_a_notebook_one_output_is_updated(monkeypatch):
    notebook, module = Notebook(), ModuleType("IPython.display")
    module.display = notebook.display
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(progress, "standard_error", lambda: Console(force_jupyter=True, file=io.StringIO()))
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with shown_progress(None) as (listen,):
        for event in EVENTS:
            listen(event)
    assert len(notebook.outputs) == 1
    assert len(notebook.outputs[0]) == 3


@pytest.mark.parametrize(
    ("asked", "interactive", "n"), [(None, True, 1), (None, False, 0), (True, False, 1), (False, True, 0)]
)
def test_on_a_terminal_it_is_shown_at_a_prompt_or_when_asked_for(asked, interactive, n, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(progress, "standard_error", lambda: Console(file=out, force_terminal=True, width=80))
    monkeypatch.setattr(progress, "is_interactive", lambda: interactive)
    with shown_progress(asked) as listeners:
        assert len(listeners) == n
        for event in EVENTS:
            for listen in listeners:
                listen(event)
    assert ("trained: epoch 2/2" in out.getvalue()) == bool(n)
    assert out.getvalue().count("\n") <= 1


def test_a_listener_of_ones_own_is_called():
    heard: list[object] = []
    with shown_progress(heard.append) as (listen,):
        listen(EVENTS[0])
    assert heard == EVENTS[:1]
