"""Nothing in a run leads out of it: what is planted there is refused by name, and what it leads to is not touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import jensen
from jensen.cli import main
from jensen.core.errors import CorruptRunError, JensenError
from jensen.storage.commits import commit
from jensen.storage.entries import check_entries, make_folder
from jensen.storage.files import append, content_of, digest, read_limited, write_atomic
from jensen.storage.locks import acquire
from jensen.storage.run_lock import check_target, locked, writing
from jensen.storage.weights import write_weights
from tests.storage.planting import plant, plants, snapshot, victims, within

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without such files")
SMALL = {"latent": 2, "hidden": (4,), "epochs": 2, "checkpoints": 2, "batch": 16}
VERBS = [
    ["resume", "RUN", "--epochs", "3"],
    ["train", "x.npy", "--out", "RUN", "--force", "--epochs", "1", "--latent", "2", "--hidden", "4"],
    ["train", "x.npy", "--out", "RUN", "--epochs", "1"],
    ["train", "--spec", "RUN", "--out", "again"],
    ["evaluate", "RUN", "-k", "2"],
    ["evaluate", "RUN", "-k", "2", "--method", "importance", "--seed", "1"],
    ["report", "RUN"],
    ["sample", "RUN"],
    ["encode", "RUN"],
    ["reconstruct", "RUN"],
    ["calibrate", "RUN", "-n", "20"],
    ["fidelity", "RUN", "-n", "20"],
    ["doctor", "RUN"],
    ["verify", "RUN"],
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(40, 3)))
    jensen.train(folder / "x.npy", out=folder / "run", **SMALL)
    return folder


@pytest.mark.parametrize(("name", "kind"), plants())
def test_a_run_with_a_plant_is_refused_before_anything_is_changed(
    name: str, kind: str, made: Path, tmp_path: Path
) -> None:
    run, mine = Path(shutil.copytree(made / "run", tmp_path / "run")), victims(tmp_path / "mine")
    plant(run, name, kind, mine)
    before, held = snapshot(mine), sorted(p.name for p in run.iterdir())
    with within(10):
        for attempt in (jensen.load, jensen.resume, lambda folder: check_target(folder, True)):
            with pytest.raises(JensenError) as refused:
                attempt(run)
            assert refused.value.remedy
        for scope in (locked, lambda folder: writing(folder, True)):
            with pytest.raises(JensenError), scope(run):
                pass
        with pytest.raises(
            CorruptRunError, match=r"cannot be used in a run: it is a (symbolic link|FIFO|socket)"
        ) as refused:
            check_entries(run)
    assert str(run / name.split("/")[0]) in refused.value.what
    assert snapshot(mine) == before
    assert sorted(p.name for p in run.iterdir()) == held


OTHERS = ("notes.txt", "data", ".#notes.txt", "best.safetensors", ".DS_Store", "plots", "wandb", ".notes.txt.0123abcd")


@pytest.mark.parametrize(
    "kind", ["link to a file", "link to a folder", "dangling link", "loop", "FIFO", "full", "socket"]
)
def test_entries_of_other_names_are_left_alone(kind: str, made: Path, tmp_path: Path) -> None:
    run, mine = Path(shutil.copytree(made / "run", tmp_path / "run")), victims(tmp_path / "mine")
    for name in OTHERS:
        plant(run, name, kind, mine)
    (run / "figures" / "deep").mkdir(parents=True)
    plant(run, "figures/deep/x", kind, mine)
    before, kept = snapshot(mine), {name: os.lstat(run / name).st_ino for name in (*OTHERS, "figures/deep/x")}
    with within(30):
        assert np.isfinite(jensen.load(run).evaluate(k=2).estimate.mean)
        assert jensen.resume(run, epochs=3).metrics[-1]["epoch"] == 3
        jensen.train(made / "x.npy", out=run, force=True, **SMALL)
    assert snapshot(mine) == before
    assert {name: os.lstat(run / name).st_ino for name in kept} == kept


def test_the_run_folder_itself_may_be_a_link(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "run", tmp_path / "disk" / "run")
    (tmp_path / "runs").symlink_to("disk")
    (tmp_path / "mine").symlink_to(tmp_path / "runs" / "run")
    assert jensen.load(tmp_path / "mine").metrics[-1]["event"] == "stopped"
    assert jensen.resume(tmp_path / "mine", epochs=3).metrics[-1]["epoch"] == 3
    jensen.train(made / "x.npy", out=tmp_path / "mine", force=True, **SMALL)
    assert (tmp_path / "mine").is_symlink()
    assert not (tmp_path / "disk" / "run" / ".replaced").exists()


def test_a_copy_by_hard_links_leaves_the_first_as_it_is(made: Path, tmp_path: Path) -> None:
    """As `cp -al` makes it, for a backup: what changes in one of the two is written anew."""
    first = Path(shutil.copytree(made / "run", tmp_path / "first"))
    before = snapshot(first)
    second = Path(shutil.copytree(first, tmp_path / "second", copy_function=os.link))
    jensen.resume(second, epochs=3)
    assert snapshot(first) == before
    third = Path(shutil.copytree(first, tmp_path / "third", copy_function=os.link))
    jensen.train(made / "x.npy", out=third, force=True, **SMALL)
    assert snapshot(first) == before


@pytest.mark.parametrize("kind", ["link to a file", "dangling link", "FIFO", "zeros", "hard link"])
def test_each_file_is_opened_by_its_own_name_alone(kind: str, tmp_path: Path) -> None:
    """Behind the check of all entries, should one be planted after it."""
    mine, path = victims(tmp_path / "mine"), tmp_path / "metrics.jsonl"
    if kind == "hard link":
        os.link(mine / "letter.txt", path)
    else:
        plant(tmp_path, path.name, kind, mine)
    before = snapshot(mine)
    with within(10):
        for change in (lambda: append(path, b"more"), lambda: acquire(path)):
            with pytest.raises(CorruptRunError, match="cannot be used in a run"):
                change()
        if kind != "hard link":
            for reading in (content_of, digest, lambda p: read_limited(p, 10)):
                with pytest.raises((CorruptRunError, OSError)):
                    reading(path)
        write_atomic(path, b"new")  # takes the place of what is there
    assert path.read_bytes() == b"new"
    assert snapshot(mine) == before


def test_no_folder_is_entered_through_a_link(tmp_path: Path) -> None:
    mine = victims(tmp_path / "mine")
    for name in ("state", "checkpoints"):
        (tmp_path / name).symlink_to(mine / "home")
    before = snapshot(mine)
    for change in (
        lambda: commit(tmp_path / "state", {"a": b"1"}),
        lambda: write_weights(tmp_path, torch.nn.Linear(1, 1), {}, None, "checkpoints/epoch-000001.safetensors"),
        lambda: make_folder(tmp_path / "state"),
    ):
        with pytest.raises(CorruptRunError, match="cannot be used in a run: it is a symbolic link"):
            change()
    assert snapshot(mine) == before
    assert make_folder(tmp_path / "new")
    assert not make_folder(tmp_path / "new")


def test_an_earlier_run_that_cannot_be_moved_back_is_an_error(made: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made / "run", tmp_path / "run"))
    shutil.copytree(made / "run", run / ".moving")  # with folders that are there already
    with pytest.raises(CorruptRunError, match=r"in \.replaced or \.moving that cannot be moved") as refused:
        jensen.train(made / "x.npy", out=run, force=True, **SMALL)
    assert refused.value.remedy


def test_a_folder_of_a_curve_leads_to_no_run_elsewhere(made: Path, tmp_path: Path) -> None:
    from jensen.runs.rate_distortion import trade

    mine = Path(shutil.copytree(made / "run", tmp_path / "mine"))
    before = snapshot(mine)
    (tmp_path / "rd").mkdir()
    (tmp_path / "rd" / "beta-1").symlink_to(mine)
    with pytest.raises(CorruptRunError, match="beta-1 cannot be used"):
        trade(made / "x.npy", out=tmp_path / "rd", betas=(1.0,), force=True, epochs=1)
    assert snapshot(mine) == before


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), plants())
def test_no_verb_leads_out(
    name: str,
    kind: str,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = victims(tmp_path / "mine")
    before = snapshot(mine)
    shutil.copy(made / "x.npy", tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in VERBS:
        run = Path(shutil.copytree(made / "run", tmp_path / "run"))
        plant(run, name, kind, mine)
        with within(30):
            code = main([str(run) if word == "RUN" else word for word in words])
        said = capsys.readouterr().err
        assert code in (2, 4), (words, said)
        assert "internal error" not in said
        assert snapshot(mine) == before, words
        shutil.rmtree(run)
