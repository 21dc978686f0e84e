"""Codes, reconstructions and imputations of images name the file of each."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jensen.cli import main
from jensen.data import read
from jensen.runs.row_files import file_names
from jensen.runs.run import load
from tests.cli.conftest import Answer

WORDS = ["--epochs", "1", "--latent", "2", "--hidden", "8", "--quiet"]


def draw(folder: Path, names: list[str]) -> Path:
    """Images of random bits, with these names."""
    rng = np.random.default_rng(len(names))
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 2, (4, 4), dtype=np.uint8) * 255).save(path)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def jensen(here, capsys):
    """Call the command line in this process."""

    def call(*words: str) -> Answer:
        capsys.readouterr()
        return Answer(main(list(words)), *capsys.readouterr())

    return call


@pytest.fixture
def images(here) -> Path:
    folder = draw(here / "images", [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(20)])
    (folder / "notes.txt").write_text("no image")
    return folder


def column(text: str, name: str = "file") -> list[str]:
    return [row[name] for row in csv.DictReader(text.splitlines())]


def pixels(folder: Path, name: str) -> np.ndarray:
    with Image.open(folder / name) as image:
        return np.asarray(image)


def test_names_follow_the_rows(images):
    dataset = read(images)
    names = file_names(dataset)
    assert set(names) == {f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(20)}
    for row, name in zip(dataset.x, names, strict=True):
        np.testing.assert_array_equal(row.reshape(4, 4), pixels(images, name))


def test_codes_of_a_folder_name_its_files(images, jensen, here):
    assert jensen("train", "images", "--out", "run", *WORDS).code == 0
    answer = jensen("encode", "run", "images", "--out", "-")
    assert "images holds the data of this run: all its rows are used, 32 of which trained it" in answer.err
    assert len(column(answer.out)) == 40
    assert answer.out.splitlines()[0] == "row,file,z1,z2,label"
    own = column(jensen("encode", "run", "--out", "-").out)  # test rows: a part of the files
    test = load("run").part("test")
    assert own == test.files.tolist()
    for row, name in zip(test.x, own, strict=True):
        np.testing.assert_array_equal(row.reshape(4, 4), pixels(images, name))


def test_other_folders_and_formats(images, jensen, here):
    assert jensen("train", "images", "--out", "run", *WORDS).code == 0
    draw(here / "new", [f"{i}.png" for i in range(5)])
    assert column(jensen("encode", "run", "new", "--out", "-").out) == [f"{i}.png" for i in range(5)]
    assert jensen("reconstruct", "run", "new", "--out", "new.npz").code == 0
    with np.load("new.npz", allow_pickle=False) as arrays:
        assert arrays["files"].tolist() == [f"{i}.png" for i in range(5)]
    assert column(jensen("reconstruct", "run", "new", "--out", "-").out) == [f"{i}.png" for i in range(5)]
    imputed = jensen("impute", "run", "new", "-m", "2", "-k", "20", "--mask", "left", "--out", "-").out
    assert column(imputed) == [f"{i}.png" for i in range(5)] * 2
    assert column(imputed, "version") == ["1"] * 5 + ["2"] * 5


def test_data_without_a_file_per_row(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4))
    assert file_names(read(tmp_path / "x.npy")) is None
    assert file_names(read("digits")) is None
    (tmp_path / "x.csv").write_text("file,a\nu.png,1.5\nv.png,2.5\nw.png,3\n")  # a table may name files too
    assert file_names(read(tmp_path / "x.csv", drop="file")) is None
