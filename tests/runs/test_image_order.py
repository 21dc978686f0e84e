"""Images are read in natural order and cropped to a size; runs of earlier versions, which sorted and fitted them in
another way, keep theirs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import jensen as j
from jensen.data import image_files, read
from jensen.storage.seals import sealed
from tests.runs.test_row_files import draw

SMALL = {"latent": 2, "hidden": (8,), "epochs": 1, "device": "cpu"}
NAMES = [f"img{i}.png" for i in range(24)]


@pytest.fixture
def folder(tmp_path):
    return draw(tmp_path / "images", NAMES)


@pytest.fixture
def old(folder, tmp_path, monkeypatch):
    """A run of an earlier version, on the same folder."""
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "natural_key", lambda path: path.split("/"))
        run = j.train(folder, out=tmp_path / "old", **SMALL)
        number = run.evaluate(k=10).estimate.nats.tolist()
        files = run.part("test").files.tolist()
    return run.path, number, files


def test_the_order_is_natural(folder, tmp_path):
    run = j.train(folder, out=tmp_path / "run", **SMALL)
    assert run.chosen(folder, own="all").files.tolist() == NAMES
    draw(tmp_path / "nested", ["b/2.png", "b/10.png", "a10/1.png", "a9/1.png", "a9/01.png"])
    names = [p.relative_to(tmp_path / "nested").as_posix() for p in image_files.image_files(tmp_path / "nested")[0]]
    assert names == ["a9/01.png", "a9/1.png", "a10/1.png", "b/2.png", "b/10.png"]


def test_an_earlier_run_keeps_its_order(old, folder):
    path, number, files = old
    run = j.load(path)
    assert run.evaluate(k=10).estimate.nats.tolist() == number
    assert run.evaluate(folder, k=10).estimate.nats.tolist() == number
    assert run.part("test").files.tolist() == files
    assert run.chosen(folder, own="all").files.tolist() == sorted(NAMES)
    assert run.doctor().measures
    assert j.load(path, data=folder).evaluate(k=10).estimate.nats.tolist() == number


def test_an_earlier_run_resumes_to_the_same_bytes(old, folder, tmp_path, monkeypatch):
    path, _, _ = old
    j.resume(path, epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "natural_key", lambda path: path.split("/"))
        j.train(folder, out=tmp_path / "other", **SMALL)
        j.resume(tmp_path / "other", epochs=2)
    weights = [(p / "model.safetensors").read_bytes() for p in (path, tmp_path / "other")]
    assert weights[0] == weights[1]


def test_a_resumed_run_names_its_folder_in_a_plain_way(folder, tmp_path):
    (folder / "broken.png").write_text("no image")
    run, told = j.train(folder, out=tmp_path / "runs" / "run", **SMALL), []
    j.resume(run.path, epochs=2, notice=told.append)
    assert any(f"images of {folder} cannot be read" in text for text in told), told


def test_images_of_the_run_itself_are_converted_without_a_word(folder, tmp_path):
    run = j.train(folder, out=tmp_path / "run", size=(2, 2), **SMALL)
    assert not any("resized" in text for text in run.chosen(folder, own="all").notes)
    other = draw(tmp_path / "other", ["a.png", "b.png"])
    assert "2 images resized to 2x2 by area averaging" in run.chosen(other).notes


def test_other_folders_are_still_refused(old, folder):
    draw(folder, ["img3.png", "img4.png", "new.png"])
    with pytest.raises(j.JensenError, match="has changed"):
        j.load(old[0]).evaluate(k=10)
    assert np.isfinite(read(folder).x).all()


@pytest.fixture
def photographs(tmp_path):
    """A folder of images of noise in two proportions, and another."""
    rng = np.random.default_rng(0)
    for name, n in (("images", 24), ("others", 5)):
        (tmp_path / name).mkdir()
        for i in range(n):
            noise = rng.integers(0, 256, ((12, 8), (8, 16))[i % 2], dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_new_images_are_fitted_as_those_of_training_and_an_earlier_run_stretches_them(photographs):
    images, others, options = photographs / "images", photographs / "others", {**SMALL, "size": (4, 4)}
    runs = {fit: j.train(images, out=photographs / fit, resize=fit, **options) for fit in ("crop", "stretch")}
    usual = j.train(images, out=photographs / "usual", **options)
    assert (usual.path / "model.safetensors").exists()
    for fit, run in runs.items():
        assert run.spec["data"]["fit"] == fit
        theirs = read(others, size=(4, 4), resize=fit)
        assert run.chosen(others).x.tobytes() == theirs.x.tobytes()
        assert "4x4" in run.chosen(others).notes[0]
        assert run.dataset().source.sha256 == read(images, size=(4, 4), resize=fit).source.sha256
    assert usual.spec["data"]["sha256"] == runs["crop"].spec["data"]["sha256"] != runs["stretch"].spec["data"]["sha256"]
    path = runs["stretch"].path
    spec = {k: v for k, v in runs["stretch"].spec.items() if k != "sha256"}
    earlier = spec | {"data": {k: v for k, v in spec["data"].items() if k != "fit"}}
    earlier["command"] = {k: v for k, v in spec["command"].items() if k != "resize"}
    (path / "spec.json").write_text(json.dumps(sealed(earlier)))
    run = j.load(path)
    assert run.chosen(others).x.tobytes() == read(others, size=(4, 4), resize="stretch").x.tobytes()
    assert run.dataset().source.sha256 == runs["stretch"].spec["data"]["sha256"]
    assert j.resume(path, epochs=2).dataset().source.sha256 == runs["stretch"].spec["data"]["sha256"]


def test_images_of_a_guessed_size_are_fitted_as_was_recorded(photographs):
    run = j.train(photographs / "images", out=photographs / "run", resize="stretch", **SMALL)
    assert run.spec["data"]["resize"] == [8, 8]
    one = run.chosen(photographs / "others" / "1.png")  # an image by itself too
    rows = run.chosen(photographs / "others").x
    assert one.x.tobytes() == rows[1].tobytes()
    assert rows.tobytes() == read(photographs / "others", size=(8, 8), resize="stretch").x.tobytes()
    assert j.resume(run.path, epochs=2).metrics[-1]["epoch"] == 2
