"""Values show themselves by the renderer that the front door installs."""

from __future__ import annotations

import jensen
from jensen.core import shown
from jensen.core.shown import Shown, show_by


def test_a_value_is_shown_by_the_last_renderer(monkeypatch):
    monkeypatch.setattr(shown, "_renderers", [])
    value = Shown()
    assert value._repr_html_() is None
    show_by(lambda each: "first")
    show_by(lambda each: f"<p>{each is value}</p>")
    assert value._repr_html_() == "<p>True</p>"


def test_the_front_door_installs_one():
    assert jensen.__version__
    assert len(shown._renderers) == 1
