"""The line of progress: each phase of a long task has a clock of its own."""

from __future__ import annotations

import pytest

from jensen.cli import progress
from jensen.cli.progress import ProgressLine


@pytest.fixture
def updates(monkeypatch):
    """The texts of a line after fractions at given seconds, without its limit on updates."""

    def texts_of(*fractions: tuple[float, float]) -> list[str]:
        now = iter([0.0, *(second for second, _ in fractions)])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
        line, texts = ProgressLine(quiet=False), []
        monkeypatch.setattr(line, "update", texts.append)
        report = line.task("evaluating")
        for _, done in fractions:
            report(done)
        return texts

    return texts_of


def test_time_left_is_in_proportion(updates):
    first, second = updates((10.0, 0.25), (20.0, 0.5))
    assert first == "evaluating ━━━─────────  25%  0:30 left"
    assert second.endswith("50%  0:20 left")


def test_a_fraction_that_restarts_has_its_own_clock(updates):
    """100 seconds for the first phase; the second needs 20, and says nothing before it knows its own pace."""
    shown = updates((100.0, 1.0), (102.0, 0.1), (104.0, 0.2), (118.0, 0.9), (130.0, 0.5), (135.0, 0.75))
    assert shown[0] == f"evaluating {'━' * 12} 100%  0:00 left"
    assert shown[1] == "evaluating, phase 2 ━───────────  10%"
    assert shown[2] == "evaluating, phase 2 ━━──────────  20%  0:16 left"
    assert shown[3].endswith("90%  0:02 left")
    assert shown[4] == "evaluating, phase 3 ━━━━━━──────  50%"
    assert shown[5].startswith("evaluating, phase 3 ")
    assert shown[5].endswith("75%  0:05 left")


def test_nothing_done_has_no_remaining_time(updates):
    assert updates((5.0, 0.0), (10.0, 0.5)) == [
        "evaluating ────────────   0%",
        "evaluating ━━━━━━──────  50%  0:10 left",
    ]


@pytest.mark.parametrize(
    ("width", "shown"), [(99, "a 1.23  b 45.6  c 7"), (18, "a 1.23  b 45.6"), (14, "a 1.23  b 45.6")]
)
def test_a_line_that_is_too_long_loses_whole_parts(width, shown):
    assert progress._shortened("a 1.23  b 45.6  c 7", width) == shown
    assert progress._shortened("a 1.23  b 45.6  c 7", 13) == "a 1.23"
    assert progress._shortened("without gaps", 7) == "without"
