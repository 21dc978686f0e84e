"""What a stranger may plant in a run: links, FIFOs, devices and sockets at every name that a run may hold."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jensen.storage.run_folder import (
    CHECKPOINTS,
    EVALUATIONS,
    MOVING,
    REPLACED,
    STATE,
    TENSORBOARD,
    TRACKERS,
    WRITTEN,
)

FILES = (*WRITTEN, ".lock", ".metrics.jsonl.0123abcd", ".spec.json.89abcdef", "Report.HTML")
FOLDERS = (STATE, CHECKPOINTS, EVALUATIONS, TENSORBOARD, TRACKERS, REPLACED, MOVING)
WITHIN = (
    f"{STATE}/000000000099-0123456789abcdef",
    f"{STATE}/.000000000099-0123456789abcdef",
    f"{STATE}/000000000099-0123456789abcdef/manifest.json",
    f"{CHECKPOINTS}/epoch-000001.safetensors",
    f"{CHECKPOINTS}/.epoch-000001.safetensors.0123abcd",
    f"{EVALUATIONS}/importance-k2.json",
    f"{TENSORBOARD}/events.out",
    f"{TRACKERS}/mlflow/0/meta.yaml",
    f"{TRACKERS}/wandb",
    f"{REPLACED}/spec.json",
    f"{REPLACED}/{STATE}/deep/er",
    f"{MOVING}/metrics.jsonl",
)
KINDS = ("link to a file", "link to a folder", "dangling link", "loop", "FIFO", "zeros", "full", "socket")


def plants() -> list[tuple[str, str]]:
    """Names with what is planted there: every name, and every kind at several of them."""
    names = (*FILES, *FOLDERS, *WITHIN)
    every = [(name, KINDS[i % len(KINDS)]) for i, name in enumerate(names)]
    chosen = (".lock", "metrics.jsonl", "spec.json", STATE, EVALUATIONS, MOVING, REPLACED)
    more = [(name, kind) for name in chosen for kind in KINDS]
    return sorted({*every, *more})


def victims(folder: Path) -> Path:
    """A folder of a user's own, which nobody may touch."""
    (folder / "home" / "state").mkdir(parents=True)
    for name in ("letter.txt", "home/spec.json", "home/metrics.jsonl", "home/state/photo", "home/model.safetensors"):
        (folder / name).write_text(f"mine: {name}\n")
    return folder


def plant(run: Path, name: str, kind: str, mine: Path) -> None:
    """Put something in the place of what a run has under that name."""
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    match kind:
        case "link to a file":
            path.symlink_to(mine / "letter.txt")
        case "link to a folder":
            path.symlink_to(mine / "home")
        case "dangling link":
            path.symlink_to(mine / "to be made")
        case "loop":
            path.symlink_to(path.name)
        case "FIFO":
            os.mkfifo(path)
        case "zeros":
            path.symlink_to("/dev/zero")
        case "full":
            path.symlink_to("/dev/full")
        case "socket":
            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket may have some hundred bytes
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(path.name)
            os.chdir(here)


def snapshot(folder: Path) -> dict[str, Any]:
    """Everything that a change to a tree changes: names, kinds, times and bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, status.st_size, content)
    return found


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """A scope that must be left in time."""

    def late(*_: Any) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
