"""A run and its data move: the data are found beside the run, by their digest, or at the place that is given."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import jensen as j
from jensen.core.errors import DataError
from jensen.runs.places import located, reading

RNG = np.random.default_rng(0)
SMALL = {"latent": 2, "hidden": (8,), "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with data, test data and labels, and two runs on them."""
    root = tmp_path_factory.mktemp("old") / "project"
    (root / "data").mkdir(parents=True)
    np.save(root / "data" / "x.npy", RNG.normal(size=(60, 3)))
    np.save(root / "data" / "test.npy", RNG.normal(size=(20, 3)))
    np.save(root / "data" / "y.npy", np.arange(60) % 2)
    np.save(root / "data" / "test-y.npy", np.arange(20) % 2)
    data = root / "data"
    j.train(data / "x.npy", out=root / "runs" / "plain", **SMALL)
    labels = {"labels": str(data / "y.npy"), "test_labels": str(data / "test-y.npy"), "test": str(data / "test.npy")}
    j.train(data / "x.npy", recipe="conditional", out=root / "runs" / "labelled", **labels, **SMALL)
    return root


@pytest.fixture
def moved(project, tmp_path) -> Path:
    """The project at another place, with nothing left at the old one for as long as the test runs."""
    new = Path(shutil.copytree(project, tmp_path / "new"))
    hidden = project.rename(project.with_name("hidden"))
    yield new
    hidden.rename(project)


@pytest.mark.parametrize("name", ["plain", "labelled"])
def test_project_and_data_move_together(moved, name):
    run = j.load(moved / "runs" / name)
    assert run.evaluate(k=10).estimate.mean is not None
    assert run.doctor().measures
    assert j.resume(run.path, epochs=2).metrics[-1]["reason"] == "finished"


@pytest.mark.parametrize("beside", ["within", "next to"])
def test_a_run_is_taken_along_with_its_file(moved, tmp_path, beside):
    folder = tmp_path / "usb"
    run = Path(shutil.copytree(moved / "runs" / "plain", folder / "run"))
    shutil.copy(moved / "data" / "x.npy", run if beside == "within" else folder)
    shutil.rmtree(moved / "data")
    assert j.load(run).evaluate(k=10).estimate.mean is not None


def test_a_new_place_is_given(moved, tmp_path):
    place = shutil.move(moved / "data", tmp_path / "elsewhere")
    run = j.load(moved / "runs" / "plain")
    with pytest.raises(DataError, match=r"there is no file .*x\.npy.*--data FILE"):
        run.evaluate(k=10)
    with pytest.raises(DataError, match="there is no file"):
        j.resume(run.path, epochs=2)
    assert j.resume(run.path, data=Path(place) / "x.npy", epochs=2).metrics
    with pytest.raises(DataError, match=r"test\.npy does not hold the rows .* SHA-256 was \w{16}\.\.\., and is \w{16}"):
        j.resume(run.path, data=Path(place) / "test.npy", epochs=3)
    assert j.load(run.path).evaluate(k=10).estimate.mean is not None  # the new place is on record


def test_a_file_of_the_same_name_with_other_content_is_passed_over(project, tmp_path):
    """The digest decides between several places."""
    run = Path(shutil.copytree(project / "runs" / "plain", tmp_path / "a" / "run"))
    np.save(tmp_path / "a" / "x.npy", np.zeros((5, 2)))
    assert j.load(run).evaluate(k=10).estimate.mean is not None


def test_what_changed_in_place_is_still_noticed(moved):
    np.save(moved / "data" / "x.npy", np.zeros((60, 3)))
    with pytest.raises(DataError, match="has changed since the run was trained"):
        j.load(moved / "runs" / "plain").evaluate(k=10)


def test_sets_with_a_name_have_no_place(tmp_path):
    assert located(tmp_path, {"location": "digits", "beside": "", "sha256": ""}) == "digits"


@pytest.mark.parametrize("text", ["1,2\n3,4\n" * 200, "x" * 5000, "a\0b", "y" * 300 + ".npy"])
def test_a_text_that_is_no_path_is_refused_by_name(text, project, tmp_path):
    run = j.load(project / "runs" / "plain")
    for use in (lambda: j.train(text, **SMALL), lambda: run.encode(text), lambda: j.load(run.path, data=text)):
        with pytest.raises(DataError, match="is not the name of a file"):
            use()


def test_what_the_system_refuses_is_an_error_of_the_data():
    with pytest.raises(DataError, match=r"gone\.npy cannot be read \(stale\)"), reading([1.0]):
        raise OSError(5, "stale", "gone.npy")
    with pytest.raises(DataError, match=r"list cannot be read \(broken\)"), reading([1.0], None):
        raise OSError("broken")
    with pytest.raises(DataError, match="mine"), reading("x.npy"):
        raise DataError("mine")
