"""The line of progress: each phase of a long task has a clock of its own."""

from __future__ import annotations

import pytest

from jensen.cli import progress
from jensen.cli.progress import Line


@pytest.fixture
def said(monkeypatch):
    """What a line shows when fractions are told at given seconds, throttling aside."""

    def tell(*told: tuple[float, float]) -> list[str]:
        now = iter([0.0, *(second for second, _ in told)])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
        line, shown = Line(quiet=False), []
        monkeypatch.setattr(line, "show", shown.append)
        for _, done in told:
            line.fraction("evaluating", done)
        return shown

    return tell


def test_time_left_is_in_proportion(said):
    first, second = said((10.0, 0.25), (20.0, 0.5))
    assert first == "evaluating ━━━─────────  25%  0:30 left"
    assert second.endswith("50%  0:20 left")


def test_a_fraction_that_restarts_has_its_own_clock(said):
    """100 seconds for the first phase; the second needs 20, and says nothing before it knows its own pace."""
    shown = said((100.0, 1.0), (102.0, 0.1), (104.0, 0.2), (118.0, 0.9), (130.0, 0.5), (135.0, 0.75))
    assert shown[0] == f"evaluating {'━' * 12} 100%  0:00 left"
    assert shown[1] == "evaluating, phase 2 ━───────────  10%"
    assert shown[2] == "evaluating, phase 2 ━━──────────  20%  0:16 left"
    assert shown[3].endswith("90%  0:02 left")
    assert shown[4] == "evaluating, phase 3 ━━━━━━──────  50%"
    assert shown[5].startswith("evaluating, phase 3 ")
    assert shown[5].endswith("75%  0:05 left")


def test_nothing_done_tells_nothing_of_the_rest(said):
    assert said((5.0, 0.0), (10.0, 0.5)) == [
        "evaluating ────────────   0%",
        "evaluating ━━━━━━──────  50%  0:10 left",
    ]
