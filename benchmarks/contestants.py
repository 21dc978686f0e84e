"""Who is measured: environments with pinned versions, a script for each, and one measurement in one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .machine import pin
from .rivals.protocol import Plan

__all__ = ["CONTESTANTS", "ENVIRONMENTS", "ROOT", "Contestant", "Failed", "interpreter", "measure", "ran"]

ROOT = Path(__file__).resolve().parent.parent
RIVALS = Path(__file__).resolve().parent / "rivals"
TORCH = "torch==2.13.0"  # the same for all that are built on it
LONGEST = 1200  # seconds of one measurement

# Each environment: what plain pip is given, one call per line. Versions are pinned so that a figure can be repeated.
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "jensen": ((TORCH,), ("--editable", str(ROOT))),
    "torch": ((TORCH, "numpy"),),
    "pythae": ((TORCH,), (TORCH, "pythae==0.1.2")),
    "numpyro": (("jax==0.10.2", "numpyro==0.22.0"),),
    "ctgan": ((TORCH,), (TORCH, "ctgan==0.12.1")),
    "pyod": (("pyod==3.6.7",),),
}


@dataclass(frozen=True)
class Contestant:
    """One row of a table.

    Attributes:
        title: for people.
        environment: one of `ENVIRONMENTS`.
        script: `rivals/with_SCRIPT.py`.
        threads: of the processor; 0 leaves the choice to the contestant.
        precision: of matrix products.
        busy: whether it is measured beside a busy neighbour too.
        usual: whether it is measured unless others are named.
        against: whether it runs the checkout that jensen is compared with.
    """

    title: str
    environment: str
    script: str
    threads: int = 0
    precision: str = "float32"
    busy: bool = True
    usual: bool = True
    against: bool = False


CONTESTANTS = {
    "jensen": Contestant("jensen", "jensen", "jensen"),
    "against": Contestant("jensen, the other checkout", "jensen", "jensen", against=True),
    "jensen-1": Contestant("jensen, one thread", "jensen", "jensen", 1, busy=False),
    "jensen-fast": Contestant("jensen, fast", "jensen", "jensen", precision="fast", busy=False, usual=False),
    "torch": Contestant("torch by hand", "torch", "torch"),
    "torch-1": Contestant("torch by hand, one thread", "torch", "torch", 1),
    "torch-medium": Contestant("torch by hand, medium", "torch", "torch", precision="fast", busy=False, usual=False),
    "numpyro": Contestant("NumPyro", "numpyro", "numpyro"),
    "numpyro-1": Contestant("NumPyro, one processor", "numpyro", "numpyro", 1, busy=False),
    "pythae": Contestant("pythae", "pythae", "pythae"),
    "products": Contestant("the products alone", "torch", "products", busy=False),
    "products-1": Contestant("the products alone, one thread", "torch", "products", 1, busy=False),
}


class Failed(Exception):
    """What cannot be installed or run; the message is the last thing it said."""


def ran(command: Sequence[str | Path], **options: Any) -> str:
    """Standard output of a command.

    Raises:
        Failed: it cannot be started, takes too long, or does not exit with 0.
    """
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise Failed(lines[-1] if lines else f"exit code {done.returncode}")
    return done.stdout


def interpreter(name: str, folder: Path, pip_arguments: Sequence[str]) -> Path:
    """The Python of an environment, which is made if it is not there or not of these versions.

    Raises:
        Failed: it cannot be made.
    """
    home = folder / name
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8") if name == "jensen" else ""
    wanted = json.dumps([ENVIRONMENTS[name], project])  # jensen's own requirements may change as it is worked on
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    mark = home / "installed.json"
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making the environment of {name} in {home}", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    for requirements in ENVIRONMENTS[name]:
        ran([python, "-m", "pip", "install", "--quiet", *pip_arguments, *requirements])
    mark.write_text(wanted, encoding="utf-8")
    return python


def measure(
    contestant: Contestant, python: Path, plan: Plan, places: list[int], against: Path | None = None
) -> dict[str, Any]:
    """One process, one measurement.

    Args:
        contestant: who.
        python: the interpreter of its environment.
        plan: the work.
        places: the processors that it may use.
        against: the checkout that jensen is compared with.

    Raises:
        Failed: it does not end well.
    """
    arguments = [text for option, value in asdict(plan).items() for text in (f"--{option}", str(value))]
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "OMP_", "MKL_", "KMP_", "XLA_"))}
    limited = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS") if plan.threads else ()
    here = against if contestant.against else ROOT
    with tempfile.TemporaryDirectory() as folder:
        printed = ran(
            [python, RIVALS / f"with_{contestant.script}.py", *arguments],
            cwd=folder,
            env={
                **keep,
                **dict.fromkeys(limited, str(plan.threads)),
                **({"PYTHONPATH": str(here)} if contestant.environment == "jensen" else {}),
                "JAX_PLATFORMS": "cpu",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            preexec_fn=lambda: pin(places),
            timeout=LONGEST,
        )
    result = json.loads(printed.splitlines()[-1])
    if "where" in result and Path(result["where"]) != here:
        raise Failed(f"jensen was imported from {result['where']}, not from {here}")
    return result
