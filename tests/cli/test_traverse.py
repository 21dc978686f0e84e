"""`jensen traverse`."""

import json

import numpy as np
import pytest


def test_a_feature_of_images_is_a_strip(jensen, image_run):
    answer = jensen("traverse", image_run, "--feature", 1, "--steps", 4, "--out", "path.png")
    assert answer.code == 0
    assert "4 means of p(x | z), feature 1 (-2.5 to 2.5), in path.png" in answer.out
    assert jensen("traverse", image_run, "--feature", 1, "--steps", 4, "--out", "path.npz").code == 0
    with np.load("path.npz") as arrays:
        assert len(arrays["x"]) == len(arrays["z"]) == 4


def test_between_two_rows_of_a_table(jensen, run, data):
    answer = jensen("traverse", run, "--between", "0,1", "--steps", 3, "--out", "path.csv", "--json")
    assert answer.code == 0
    record = json.loads(answer.out)
    assert record["at"] == [0.0, 0.5, 1.0]
    lines = (run.parent / "path.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert [line.partition(",")[0] for line in lines] == ["at", "0.0", "0.5", "1.0"]


@pytest.mark.parametrize("rows", ["1", "1,b", "1,2,3", "-1,2"])
def test_rows_that_are_no_rows(refused, run, rows):
    refused(["traverse", run, f"--between={rows}"], 2, "--between must be two rows")
