"""No edit of a specification runs code, hangs, takes memory or ends in an internal error, whatever digests it has."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.fuzz.edit_hunt import RUNS, hunt, small_runs
from tests.fuzz.edits import VALUES, edited, paths

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time are those of Linux")
FEW, MANY = 16, 420
OUTCOMES = {"refused", "same", "changed"}
QUICK = ("vae", "gmm", "made", "vq-vae", "conditional", "ladder", "gan", "count-vae")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("recipe", QUICK)
@pytest.mark.sampled(2)
def test_some_edits(recipe: str, folder: Path, tmp_path: Path) -> None:
    outcome = hunt(small_runs(folder, (recipe,))[recipe], range(FEW), tmp_path)
    assert outcome.found == ()
    assert outcome.counts.keys() <= OUTCOMES
    assert sum(outcome.counts.values()) == FEW
    assert outcome.counts["refused"] > FEW // 2  # the edits are no friends


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RUNS)
def test_ten_thousand_edits(recipe: str, folder: Path, tmp_path: Path) -> None:
    outcome = hunt(small_runs(folder, (recipe,))[recipe], range(FEW, FEW + MANY), tmp_path)
    assert outcome.found == ()
    assert outcome.counts.keys() <= OUTCOMES


def test_edits_are_single_and_repeatable() -> None:
    spec = {"model": [{"id": 0, "part": "Gaussian", "args": {"dim": 2}}], "players": [], "n": 3}
    one, again = (edited(spec, random.Random(7)) for _ in range(2))
    assert one == again
    assert spec == {"model": [{"id": 0, "part": "Gaussian", "args": {"dim": 2}}], "players": [], "n": 3}
    assert ("model", 0, "args", "dim") in set(paths(spec))
    assert len(VALUES) > 40
