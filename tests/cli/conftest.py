"""What the tests of the command line share: small files, a small run, and a way to call `jensen`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--epochs", "1", "--latent", "2", "--hidden", "8"]


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current folder, where no environment variable changes what is said."""
    for name in ("JENSEN_DEBUG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def jensen(here, capsys) -> Call:
    """Call the command line in this process."""

    def call(*words: object) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Answer(code, said.out, said.err)

    return call


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def start(here) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `jensen` in a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "jensen", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        started.append(subprocess.Popen(command, cwd=here, env=environment(), text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "real": rng.normal(size=(60, 4)),
        "bits": (rng.random((60, 6)) < 0.4).astype(np.uint8),
        "images": rng.integers(0, 256, (60, 4, 4), dtype=np.uint8),
        "grey": rng.random((60, 4, 4)).astype(np.float32),
    }


def train(folder: Path, name: str, *words: str) -> Path:
    """A run on one of the arrays, beside the data, made once for a session."""
    np.save(folder / f"{name}.npy", arrays()[name])
    run = folder / "run"
    assert main(["train", str(folder / f"{name}.npy"), "--out", str(run), "--quiet", *TINY, *words]) == 0
    return run


@pytest.fixture(scope="session")
def trained_table(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("table"), "real")


@pytest.fixture(scope="session")
def trained_images(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("images"), "images", "--binarize", "dynamic")


@pytest.fixture
def data(here) -> Path:
    """The current folder, with small data in it."""
    for name, x in arrays().items():
        np.save(here / f"{name}.npy", x)
    return here


@pytest.fixture
def run(trained_table, here) -> Path:
    """A run on a table, to read or to damage."""
    return Path(shutil.copytree(trained_table, here / "run"))


@pytest.fixture
def image_run(trained_images, here) -> Path:
    """A run on images, to read or to damage."""
    return Path(shutil.copytree(trained_images, here / "run"))


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a digest of its bytes."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def refused(jensen, here) -> Callable[..., None]:
    """Check that a command is refused with a code, in a few lines that say these things, and that it wrote nothing."""

    def check(words: list[object], code: int, *said: str) -> None:
        before = contents(here)
        answer = jensen(*words)
        assert answer.code == code, answer.err
        assert answer.out == ""
        assert answer.err.startswith("error: ")
        assert len(answer.err.splitlines()) in (1, 2)
        assert {s for s in said if s not in answer.err} == set(), answer.err
        assert contents(here) == before
        assert not (here / "out").exists()

    return check
