"""`jensen impute`: files with holes in, versions of them out; what cannot be done is refused, and what exists kept."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from jensen.cli.grids import UNKNOWN
from tests.cli.conftest import arrays, contents

QUICK = ["-k", "200", "--quiet"]


def table(text: str) -> tuple[list[str], np.ndarray]:
    header, *rows = csv.reader(io.StringIO(text))
    return header, np.array(rows, dtype=float)


@pytest.fixture
def holes(data) -> np.ndarray:
    """Six rows of the table: one whole, one with nothing, the others with a hole or two; as a .csv and a .npy."""
    x = arrays()["real"][:6].copy()
    x[0, 1] = x[1, [0, 3]] = x[2] = x[4, 2] = x[5, :3] = np.nan
    np.save(data / "holes.npy", x)
    words = ["", "NA", "nan", " ", "N/A"]
    lines = [["a", "b", "c", "d"]]
    for i, row in enumerate(x):
        lines.append([words[i % len(words)] if np.isnan(v) else repr(float(v)) for v in row])
    (data / "holes.csv").write_text("\n".join(",".join(line) for line in lines) + "\n")
    return x


def test_five_versions_of_a_table(run, holes, jensen):
    answer = jensen("impute", "run", "holes.csv", "-m", "5", "--out", "full.csv", *QUICK)
    assert answer.code == 0, answer.err
    first, counted, points, *_ = answer.out.splitlines()
    assert first == "5 imputations of 6 rows of holes.csv in full.csv (seed 0)"
    assert counted == "11 missing entries in 5 rows"
    assert points.startswith("effective sample size of 200: median ")
    header, rows = table((run.parent / "full.csv").read_text())
    assert header[:2] == ["version", "row"]
    assert (rows[:, 0] == np.repeat(np.arange(1, 6), 6)).all()
    assert (rows[:, 1] == np.tile(np.arange(6), 5)).all()
    versions = rows[:, 2:].reshape(5, 6, 4)
    known = ~np.isnan(holes)
    assert np.isfinite(versions).all()
    assert (versions[:, known] == holes[known]).all()  # as it was, to the last digit
    assert (versions[:, ~known].std(0) > 0).all()


def test_an_array_holds_all_that_is_known_of_the_draws(run, holes, jensen):
    answer = jensen("impute", "run", "holes.npy", "--out", "full.npz", "--json", *QUICK)
    record = json.loads(answer.out)
    assert (record["m"], record["missing"], record["rows_with_missing"]) == (5, 11, 5)
    assert (record["method"], record["k"], record["steps"]) == ("sir", 200, None)
    assert record["rmse_of_hidden"] is None
    with np.load("full.npz") as full:
        assert full["x"].shape == (5, 6, 4)
        assert (full["observed"] == ~np.isnan(holes)).all()
        assert (full["mean"][full["observed"]] == holes[full["observed"]]).all()
        assert np.isnan(full["ess"]).tolist() == [False, False, False, True, False, False]
    same = jensen("impute", "run", "holes.npy", "--out", "again.npy", *QUICK)
    assert same.code == 0
    with np.load("full.npz") as full:
        assert (np.load("again.npy") == full["x"]).all()
    jensen("impute", "run", "holes.npy", "--out", "other.npy", "--seed", "1", *QUICK)
    assert not (np.load("other.npy") == np.load("again.npy")).all()


@pytest.mark.parametrize(
    ("method", "said"), [("gibbs", "chains of 16 steps: acceptance median"), ("annealed", "; 16 temperatures")]
)
def test_other_methods(run, holes, jensen, method, said):
    words = ["impute", "run", "holes.npy", "--method", method, "--steps", "16", "-m", "2", "-k", "9", "--quiet"]
    answer = jensen(*words, "--out", "full.npy")
    assert answer.code == 0, answer.err
    assert said in answer.out
    imputed, known = np.load("full.npy"), ~np.isnan(holes)
    assert np.isfinite(imputed).all()
    assert (imputed[:, known] == holes[known]).all()


def test_the_default_file_is_in_the_run(run, holes, jensen):
    assert jensen("impute", "run", "holes.csv", *QUICK).code == 0
    header, rows = table((run / "imputations-holes.csv").read_text())
    assert (len(rows), len(header)) == (30, 6)
    assert jensen("impute", "run", "holes.csv", *QUICK).code == 2  # it may be of another holes.csv
    assert jensen("impute", "run", "holes.csv", "--force", *QUICK).code == 0


def test_to_standard_output(run, holes, jensen):
    answer = jensen("impute", "run", "holes.csv", "-m", "1", "--out", "-", *QUICK)
    assert len(table(answer.out)[1]) == 6


def picture(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_picture_of_hidden_pixels(image_run, data, jensen):
    answer = jensen("impute", "run", "images.npy", "--mask", "rect:1,0,3,2", "-m", "3", *QUICK)
    assert answer.code == 0, answer.err
    assert "root mean square error of the mean on hidden entries: " in answer.out
    shown = picture(image_run / "imputations.png")
    side = 48 + 2  # a cell and its gap
    assert shown.shape == (12 * side - 2, 6 * side - 2, 3)  # data, observed, mean, three versions
    cells = np.stack([shown[6:48:12, side * j + 6 : side * j + 48 : 12] for j in range(6)])  # pixels of the first row
    tan = (cells == UNKNOWN).all(-1)
    hidden = np.zeros((4, 4), bool)
    hidden[1:3, :2] = True
    assert (tan[1] == hidden).all()
    assert not tan[[0, 2, 3, 4, 5]].any()
    first = np.repeat(arrays()["images"][0][..., None], 3, -1)
    assert (cells[0] == first).all()
    assert (cells[:, ~hidden] == first[~hidden]).all()


def test_a_mask_from_an_image(image_run, data, jensen):
    bits = np.zeros((4, 4), np.uint8)
    bits[3] = 255
    Image.fromarray(bits).save("mask.png")
    answer = jensen("impute", "run", "images.npy", "--mask", "mask.png", "-m", "2", "--out", "full.npy", *QUICK)
    assert answer.code == 0, answer.err
    imputed = np.load("full.npy")
    assert imputed.shape == (2, 60, 4, 4, 1)
    assert imputed.dtype == np.uint8
    assert (imputed[:, :, :3, :, 0] == arrays()["images"][:, :3]).all()
    assert set(np.unique(imputed[:, :, 3])) == {0, 255}  # the run sees bits


def test_a_column_of_which_nothing_is_known(run, data, jensen):
    """Two rows with the same hole: what the model learned of the column is in the run."""
    (data / "holes.csv").write_text("a,b,c,d\n1,,0,2\n0,,1,3\n")
    answer = jensen("impute", "run", "holes.csv", "-m", "3", "--out", "full.csv", *QUICK)
    assert answer.code == 0, answer.err
    assert np.isfinite(table((data / "full.csv").read_text())[1]).all()


def test_what_exists_is_not_overwritten(run, holes, jensen):
    (run.parent / "full.csv").write_text("mine")
    before = contents(run.parent)
    answer = jensen("impute", "run", "holes.csv", "--out", "full.csv", *QUICK)
    assert answer.code == 2
    assert "--force" in answer.err
    assert contents(run.parent) == before
    assert jensen("impute", "run", "holes.csv", "--out", "full.csv", "--force", *QUICK).code == 0


def test_numbers_without_missing_entries_come_back_as_they_are(data, run, jensen):
    answer = jensen("impute", "run", "real.npy", "-m", "1", "--out", "same.npy", "-k", "50")
    assert answer.code == 0, answer.err
    assert "60 rows of real.npy have no missing entries: they are given back as they are" in answer.err
    assert (np.load("same.npy")[0] == np.load("real.npy")).all()


def test_images_without_hidden_pixels_are_refused_with_the_remedy(image_run, data, refused):
    refused(["impute", "run", "images.npy", "--out", "x.png"], 3, "have no missing entries", "--mask")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere.csv"], 3, "nowhere.csv"),
        (["bits.npy"], 3, "6"),  # another number of columns
        (["words.csv"], 3, "not a number"),
        (["blank.npy"], 3, "blank.npy has no observed entry"),
        (["holes.npy", "--mask", "right"], 2, "these data are a table"),
        (["holes.npy", "--mask", "nowhere.npy"], 2, "is no file"),
        (["holes.npy", "--mask", "bits.npy"], 3, "the mask bits.npy has the shape (60, 6)"),
        (["holes.npy", "--method", "mice"], 2, "sir, gibbs, annealed"),
        (["holes.npy", "-m", "0"], 2, "-m must be at least 1, got 0"),
        (["holes.npy", "-k", "0"], 2, "-k must be at least 1, got 0"),
        (["holes.npy", "--method", "gibbs", "--steps", "3"], 2, "--steps must be at least 8, got 3"),
        (["holes.npy", "--steps", "30"], 2, "--steps 30 is of chains, and the method sir has none"),
        (["holes.npy", "--out", "full.png"], 2, "these data are no images"),
        (["holes.npy", "--out", "full.txt"], 2, "--out must end in .npy, .npz, .csv, or be -, got full.txt"),
    ],
)
def test_what_is_refused(run, holes, refused, words, code, said):
    np.save("blank.npy", np.full((3, 4), np.nan))
    (run.parent / "words.csv").write_text("a,b,c,d\n1,2,3,\n1,2,red,4\n")
    refused(["impute", "run", *words, "--quiet"], code, said)
