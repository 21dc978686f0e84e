"""The rows whose missing entries simulated rows take over."""

from __future__ import annotations

import numpy as np

import jensen
from jensen.evaluate.simulated import MASKS
from jensen.runs.simulated import COMPLETE, like_part
from tests.runs.test_doctor import OPTIONS, columns


def test_the_rows_are_those_that_were_not_trained_on(tmp_path):
    np.save(tmp_path / "x.npy", columns())
    run = jensen.train(tmp_path / "x.npy", recipe="miwae", out=tmp_path / "run", **OPTIONS)
    part, notes = like_part(run)
    assert notes == (MASKS,)
    assert np.array_equal(part.mask, run.part("test").mask)
    (tmp_path / "x.npy").unlink()
    gone = jensen.load(tmp_path / "run")
    assert like_part(gone) == (None, (COMPLETE,))
    assert not gone.calibrate(n=40).holed


def test_without_test_rows_they_are_training_rows(tmp_path):
    np.save(tmp_path / "x.npy", columns(60))
    run = jensen.train(tmp_path / "x.npy", recipe="miwae", split="1,0,0", out=tmp_path / "run", **OPTIONS)
    assert len(like_part(run)[0].x) == 60


def test_complete_data_are_simulated_complete(tmp_path):
    run = jensen.train(columns(60, 0.0), out=tmp_path / "run", **OPTIONS)
    assert like_part(run) == (None, ())
