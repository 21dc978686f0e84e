"""The line of progress of a group: members done first, within the terminal."""

from __future__ import annotations

import pytest

from jensen.cli.group_progress import GroupProgress
from jensen.training import EpochEnded, Started
from jensen.training.events import Measures


class Line:
    """A line of a terminal that keeps what it was given."""

    in_place = True

    def __init__(self, columns: int) -> None:
        self.columns, self.text = columns, ""

    def update(self, text: str) -> None:
        self.text = text


MEASURES = Measures(-88.1, -88.1, 20.0, 68.1)
ENDED = EpochEnded(12, 1200, MEASURES, MEASURES, 1e-3, 1.0, 23_000.0, 30.0, 60.0, True)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", ["seed-3", "8 together", "beta-0.5-hidden-200-200-latent-16-seed-3"])
def test_the_line_fits_and_begins_with_the_members_done(columns, name):
    line = Line(columns)
    progress = GroupProgress(line)
    progress.begin(f"{name}, 3 of 8 done")
    progress(Started(100, 100, 12_800))
    progress(ENDED)
    assert line.text.startswith(f"3/8 done  {name[:20]}")
    assert "12/100" in line.text
    assert len(line.text) < columns


def test_a_single_training_has_the_usual_line():
    line = Line(80)
    progress = GroupProgress(line)
    progress(Started(100, 100, 12_800))
    progress(ENDED)
    assert line.text.startswith("epoch 12/100")
