"""Data per second of training one VAE with jensen, pythae, plain PyTorch and NumPyro, each in its own environment.

python benchmarks/training.py    # makes the environments under .bench-envs, then measures for some fifteen minutes
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rivals.protocol import Plan

ROOT = Path(__file__).resolve().parent.parent
RIVALS = Path(__file__).resolve().parent / "rivals"
TORCH = "torch==2.13.0"  # the same for all that are built on it

# Each environment: what plain pip is given, one call per line. Versions are pinned so that a figure can be repeated.
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "jensen": ((TORCH,), ("--editable", str(ROOT))),
    "torch": ((TORCH, "numpy"),),
    "pythae": ((TORCH,), (TORCH, "pythae==0.1.2")),
    "numpyro": (("jax==0.10.2", "numpyro==0.22.0"),),
}


@dataclass(frozen=True)
class Contestant:
    """One row of the table: an environment, its arguments, and a script in rivals/ (the environment's own)."""

    name: str
    environment: str
    arguments: tuple[str, ...] = ()
    script: str | None = None


BASELINE = "pythae"
CONTESTANTS = (
    Contestant("jensen, float32", "jensen"),
    Contestant("jensen, fast", "jensen", ("--precision", "fast")),
    Contestant("torch by hand, float32", "torch"),
    Contestant("torch by hand, medium", "torch", ("--precision", "fast")),
    Contestant("pythae", "pythae"),
    Contestant("numpyro", "numpyro"),
    Contestant("the products alone, float32", "torch", script="products"),
)


class Failed(Exception):
    """A contestant that cannot be installed or run; the message is the last thing it said."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def ran(command: Sequence[str | Path], **options: Any) -> str:
    """Standard output of a command.

    Raises:
        Failed: it cannot be started, or did not exit with 0.
    """
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)
    except OSError as error:
        raise Failed(str(error)) from error
    if done.returncode:
        told = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise Failed(told[-1] if told else f"exit code {done.returncode}")
    return done.stdout


def interpreter(name: str, folder: Path, pip_arguments: Sequence[str]) -> Path:
    """The Python of an environment, which is made if it is not there or not of these versions."""
    home = folder / name
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8") if name == "jensen" else ""
    wanted = json.dumps([ENVIRONMENTS[name], project])  # jensen's own requirements may change as it is worked on
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    mark = home / "installed.json"
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return python
    say(f"making the environment of {name} in {home}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    for requirements in ENVIRONMENTS[name]:
        ran([python, "-m", "pip", "install", "--quiet", *pip_arguments, *requirements])
    mark.write_text(wanted, encoding="utf-8")
    return python


def environments(names: Sequence[str], options: argparse.Namespace) -> dict[str, Path]:
    """The interpreters of those that could be installed; the others are named."""
    given = dict(pair.split("=", 1) for pair in options.use)
    found: dict[str, Path] = {}
    for name in names:
        try:
            given_here = Path(given[name]).absolute() if name in given else None
            found[name] = given_here or interpreter(name, options.envs.absolute(), shlex.split(options.pip_args))
        except Failed as failed:
            say(f"skipped: {name} cannot be installed: {failed}")
    return found


def processors(threads: int) -> None:
    """Keep this process to as many processors as it has threads: JAX knows no other limit."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def measure(contestant: Contestant, python: Path, plan: Plan) -> dict[str, Any]:
    """One process, one measurement.

    Raises:
        Failed: it did not end well.
    """
    numbers = {k: v for k, v in asdict(plan).items() if k != "precision"}
    arguments = [text for k, v in numbers.items() for text in (f"--{k}", str(v))]
    script = RIVALS / f"with_{contestant.script or contestant.environment}.py"
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "OMP_", "MKL_", "KMP_", "XLA_"))}
    limits = {name: str(plan.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        told = ran(
            [python, script, *arguments, *contestant.arguments],
            cwd=folder,
            env={**keep, **limits, "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: processors(plan.threads),
        )
    return json.loads(told.splitlines()[-1])


def tournament(
    contestants: Sequence[Contestant], pythons: dict[str, Path], plan: Plan, repeats: int
) -> list[dict[str, Any]]:
    """Every contestant in each round, begun by another one each time, so that a drift of the machine meets all."""
    rounds: list[dict[str, Any]] = []
    alive = list(contestants)
    for number in range(repeats):
        rounds.append({})
        start = number % len(alive) if alive else 0
        for contestant in alive[start:] + alive[:start]:
            try:
                result = measure(contestant, pythons[contestant.environment], plan)
            except Failed as failed:
                say(f"skipped: {contestant.name} cannot run: {failed}")
                alive.remove(contestant)
                continue
            rounds[-1][contestant.name] = result
            told = f"{contestant.name:24} {result['data_per_second']:10,.0f} data per second"
            say(f"round {number + 1} of {repeats}: {told}")
    return rounds


def table(contestants: Sequence[Contestant], rounds: Sequence[dict[str, Any]]) -> str:
    """Medians and extremes over rounds, in Markdown; a ratio is taken within a round, then its median over rounds."""
    lines = [
        f"| contestant | data per second | min to max | times {BASELINE} | min to max | -ELBO | peak MiB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in (c.name for c in contestants):
        mine = [r[name] for r in rounds if name in r]
        if not mine:
            continue
        speed = [m["data_per_second"] for m in mine]
        pairs = [r for r in rounds if name in r and BASELINE in r]
        ratio = [r[name]["data_per_second"] / r[BASELINE]["data_per_second"] for r in pairs]
        ratios = f"{statistics.median(ratio):.2f} | {min(ratio):.2f} to {max(ratio):.2f}" if ratio else "- | -"
        loss = statistics.median(m["loss"] for m in mine)
        peak = statistics.median(m["peak_mib"] for m in mine)
        spread = f"{statistics.median(speed):,.0f} | {min(speed):,.0f} to {max(speed):,.0f}"
        lines.append(f"| {name} | {spread} | {ratios} | {loss:.1f} | {peak:,.0f} |")
    return "\n".join(lines)


def versions(rounds: Sequence[dict[str, Any]]) -> str:
    """What was compared, in one line."""
    found = {f"{k} {v}" for r in rounds for result in r.values() for k, v in result["versions"].items()}
    return ", ".join(sorted(found))


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--envs", type=Path, default=ROOT / ".bench-envs", help="folder of the environments")
    parser.add_argument("--use", action="append", default=[], metavar="NAME=PYTHON", help="an environment of your own")
    parser.add_argument("--only", nargs="+", choices=list(ENVIRONMENTS), default=list(ENVIRONMENTS))
    parser.add_argument("--pip-args", default=os.environ.get("PIP_ARGS", ""), help="of pip install (default $PIP_ARGS)")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    Plan.add_numbers(parser)
    options = parser.parse_args(arguments)
    for pair in options.use:
        if pair.split("=", 1)[0] not in ENVIRONMENTS or "=" not in pair:
            parser.error(f"--use {pair} is not NAME=PYTHON with a name among {', '.join(ENVIRONMENTS)}")
    for name in ("repeats", "steps", "batch", "warmup", "epochs", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments)
    plan = Plan(options.steps, options.batch, options.warmup, options.epochs, options.threads, options.seed)
    pythons = environments(options.only, options)
    contestants = [c for c in CONTESTANTS if c.environment in pythons]
    load = os.getloadavg()[0]
    if load > 0.5:
        say(f"this machine is busy (load {load:.1f}): the figures will be too low, and unequally so")
    rounds = tournament(contestants, pythons, plan, options.repeats)
    if not any(rounds):
        say("nothing could be measured")
        return 1
    print(table(contestants, rounds))
    where = f"{plan.threads} threads of {os.cpu_count()}; load at start {load:.1f}; {len(rounds)} rounds"
    print(f"\n{versions(rounds)}; {where}")
    if options.json:
        record = {"plan": asdict(plan), "load": load, "rounds": rounds}
        options.json.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
