"""The line of progress: each phase of a long task has a clock of its own."""

from __future__ import annotations

import pytest

from jensen.cli import progress
from jensen.cli.progress import ProgressLine, TrainingProgress
from jensen.runs import training_line as lines
from jensen.runs.training_line import training_line
from jensen.training.events import EpochEnded, Measures, Progressed, Started, ThreadsChosen


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


@pytest.mark.parametrize("first", [(1e-4, 1e-7), (0.05, 1e-4), (0.9, 0.001)])
def test_the_first_moments_are_no_pace(first, updates):
    """A fraction of a millisecond was multiplied to nine minutes."""
    shown = updates(first, (4.0, 0.2))
    assert " left" not in shown[0]
    assert shown[1].endswith("20%  0:16 left")


def test_nothing_done_has_no_remaining_time(updates):
    assert updates((5.0, 0.0), (10.0, 0.5)) == [
        "evaluating ────────────   0%",
        "evaluating ━━━━━━──────  50%  0:10 left",
    ]


@pytest.mark.parametrize(
    ("width", "shown"), [(99, "a 1.23  b 45.6  c 7"), (18, "a 1.23  b 45.6"), (14, "a 1.23  b 45.6")]
)
def test_a_line_that_is_too_long_loses_whole_parts(width, shown):
    assert lines.shortened("a 1.23  b 45.6  c 7", width) == shown
    assert lines.shortened("a 1.23  b 45.6  c 7", 13) == "a 1.23"
    assert lines.shortened("without gaps", 7) == "without"


# --- the line of a training ---

TYPICAL = Measures(-81.234, -81.234, 12.345, 70.123)
LARGE = Measures(-1234567.891, -1234567.891, 99999.99, 912345.12)
NO_BOUND = Measures(-3.5, None, None, 70.0)


def event(train: Measures, step: int, speed: float, left: float, beta: float | None = 0.25) -> Progressed:
    return Progressed(max(step // 10, 1), step, train, speed, 10.0, left, beta)


CASES = {
    "typical": (event(TYPICAL, 120, 23456.0, 201.0), 300, TYPICAL, ["3:21 left", "-81.23", "23.5k/s"]),
    "long": (event(LARGE, 123450, 1.2345e6, 4e5), 100_000, LARGE, ["111:06:40 left", "-1.23e+06", "1.23M/s"]),
    "largest before exponents": (
        event(Measures(-999_999.0, -999_999.0, 1.0, 1.0), 99990, 999.4, 86399.0),
        10_000,
        Measures(-999_999.0, -999_999.0, 1.0, 1.0),
        ["23:59:59 left", "-999999.00", "999/s"],
    ),
    "no bound": (event(NO_BOUND, 1, 0.0123, 5.0, None), 1, NO_BOUND, ["0:05 left", "-3.50", "0.0123/s"]),
    "no validation": (event(TYPICAL, 120, 950.0, 201.0), 300, None, ["3:21 left", "-81.23", "950/s"]),
}


@pytest.mark.parametrize("case", CASES)
def test_eighty_columns_hold_what_matters(case):
    shown, epochs, valid, parts = CASES[case]
    line = training_line(shown, epochs, 0.4, valid, 79)
    assert [part for part in parts if part not in line] == []
    assert ("valid " in line) == (valid is not None)
    assert line.count(parts[1]) == (1 if valid is None else 2)


@pytest.mark.parametrize("case", CASES)
def test_the_line_fits_and_holds_whole_parts(case):
    shown, epochs, valid, _ = CASES[case]
    words = set(training_line(shown, epochs, 0.4, valid, None).split())
    for width in range(20, 201):
        line = training_line(shown, epochs, 0.4, valid, width)
        assert len(line) <= width
        assert set(line.split()) <= words  # no number is cut


BUSY = "busy: 16 threads"


@pytest.mark.parametrize("case", CASES)
def test_eighty_columns_hold_what_matters_on_a_busy_machine(case):
    shown, epochs, valid, parts = CASES[case]
    line = training_line(shown, epochs, 0.4, valid, 79, BUSY)
    assert [part for part in (*parts, "  busy") if part not in line] == []
    assert len(line) <= 79
    words = {*training_line(shown, epochs, 0.4, valid, None, BUSY).split(), "busy"}
    for width in range(20, 201):
        shorter = training_line(shown, epochs, 0.4, valid, width, BUSY)
        assert len(shorter) <= width
        assert set(shorter.split()) <= words  # no number is cut


def test_a_busy_machine_is_said_after_the_speed():
    shown, epochs, valid, _ = CASES["typical"]
    lines = [training_line(shown, epochs, 0.4, valid, width, "busy: 1 thread") for width in (None, 100, 79, 65, 55)]
    assert lines == [
        "epoch 12/300 ━━━━━─────── 3:21 left  bound -81.23  valid -81.23  23.5k/s  machine busy: 1 thread  rate 12.35"
        "  distortion 70.12  beta 0.25  step 120",
        "epoch 12/300 ━━━━━─────── 3:21 left  bound -81.23  valid -81.23  23.5k/s  machine busy: 1 thread",
        "epoch 12/300  3:21 left  bound -81.23  valid -81.23  23.5k/s  busy: 1 thread",
        "12/300  3:21 left  -81.23  valid -81.23  23.5k/s  busy: 1 thread",
        "12/300  3:21 left  -81.23  valid -81.23  23.5k/s  busy",
    ]


def test_the_line_says_so_from_the_event_on_until_the_machine_is_idle(monkeypatch):
    line, texts = ProgressLine(quiet=False), []
    monkeypatch.setattr(line, "update", texts.append)
    listen = TrainingProgress(line)
    step = CASES["typical"][0]
    for busy in (None, True, False):
        if busy is not None:
            listen(ThreadsChosen(120, 1 if busy else 2, 2, busy))
        listen(step)
    assert ["busy: 1 thread" in text for text in texts] == [False, True, False]


def test_what_matters_least_goes_first():
    shown, epochs, valid, _ = CASES["typical"]
    lines = [training_line(shown, epochs, 0.4, valid, width) for width in (130, 79, 70, 55, 39, 19)]
    assert lines == [
        "epoch 12/300 ━━━━━─────── 3:21 left  bound -81.23  valid -81.23  23.5k/s  rate 12.35  distortion 70.12"
        "  beta 0.25  step 120",
        "epoch 12/300 ━━━━━─────── 3:21 left  bound -81.23  valid -81.23  23.5k/s",
        "epoch 12/300  3:21 left  bound -81.23  valid -81.23  23.5k/s",
        "12/300  3:21 left  -81.23  valid -81.23  23.5k/s",
        "12/300  3:21 left  -81.23  valid -81.23",
        "12/300  3:21 left",
    ]
    assert training_line(shown, epochs, 0.4, valid, 5) == "40%"


@pytest.mark.parametrize("columns", [40, 80])
def test_the_line_is_as_wide_as_the_terminal(columns, monkeypatch):
    line, texts = ProgressLine(quiet=False), []
    line.in_place = True
    monkeypatch.setattr(ProgressLine, "columns", columns)
    monkeypatch.setattr(line, "update", texts.append)
    listen = TrainingProgress(line)
    listen(Started(300, 10, 1000))
    ended = EpochEnded(12, 120, TYPICAL, TYPICAL, 1e-3, 1.0, 23456.0, 10.0, 201.0, True)
    listen(ended)
    listen(CASES["typical"][0])
    assert max(map(len, texts)) < columns
    assert all("valid -81.23" in text for text in texts)
    now = progress.time.monotonic
    line.task("annealing in both directions")(0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now() + 30)
    line.task("annealing in both directions")(0.25)
    assert texts[-1].startswith("annealing")
    assert texts[-1].endswith("25%  1:30 left")
    assert len(texts[-1]) < columns


@pytest.mark.parametrize(
    ("per_second", "text"), [(0.5, "0.5/s"), (999.4, "999/s"), (999.9, "1k/s"), (23456.0, "23.5k/s"), (4.2e6, "4.2M/s")]
)
def test_speeds(per_second, text):
    assert lines._speed(per_second) == text
