"""The files of a folder of images: their order, their names, and the classes that folders are."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data.image_files import classes_of, image_files, names_of, natural_key, refuse_parts


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_files_in_the_order_in_which_people_count(tmp_path):
    make(tmp_path, "img10.png", "img2.PNG", "b/1.jpg", ".hidden.png", "notes.txt")
    files, note = image_files(tmp_path)
    assert names_of(tmp_path, files).tolist() == ["b/1.jpg", "img2.PNG", "img10.png"]
    assert note == "2 files that are hidden or not images were skipped (.txt)"
    assert image_files(files[0]) == ([files[0]], None)
    assert names_of(files[0], [files[0]]).tolist() == ["1.jpg"]
    assert sorted(["x10", "x9"], key=natural_key) == ["x9", "x10"]


def test_links_to_nowhere_are_images_that_are_broken(tmp_path):
    make(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("gone")
    assert len(image_files(tmp_path)[0]) == 2


def test_classes(tmp_path):
    make(tmp_path, "cat/1.png", "ant/2.png", "cat/deep/3.png")
    files, _ = image_files(tmp_path)
    labels, classes = classes_of(tmp_path, files, notes := [])
    assert np.array(classes)[labels].tolist() == ["ant", "cat", "cat"]
    assert notes == ["2 folders taken as classes"]


def test_parts_of_a_data_set(tmp_path):
    refuse_parts(tmp_path, ["cats", "train"])
    with pytest.raises(DataError, match="parts of a data set"):
        refuse_parts(tmp_path, ["train", "testA"])
