"""All measurements of speed, in one record and on one page: jensen, plain PyTorch, NumPyro, pythae, and the limit.

python -m benchmarks --write                  # two hours, alone on the machine; fills docs/benchmarks.md
python -m benchmarks --continue --write       # what is not yet in the record
python -m benchmarks --quick                  # some minutes, to see that everything runs
python -m benchmarks --only bits jensen torch # names of shapes, contestants, conditions and sections
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .contestants import CONTESTANTS, ENVIRONMENTS, ROOT, Failed, interpreter, measure, ran
from .machine import IDLE, Neighbour, Starved, facts, load, processors
from .rivals.protocol import SHAPES, Plan
from .tables import filled, pages

PAGE = ROOT / "docs" / "benchmarks.md"
KEPT = ROOT / ".benchmarks"
CONDITIONS = ("quiet", "half-busy", "growth")
# Scripts of this folder: those that take --json FILE print a table, others JSON; a quick round runs those with --quick.
SECTIONS = ("startup", "evaluation", "many", "busy", "large_data", "scaling")

Record = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One measurement: its place in the record, and the work."""

    condition: str
    group: str
    who: str
    number: int
    plan: Plan

    @property
    def key(self) -> str:
        return f"{self.condition}/{self.group}/{self.who}/{self.number}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def growth(number: int) -> Iterator[Cell]:
    """jensen on the shape of bits, with one size changed at a time; N is 19,200, and 6,400 where K is changed."""
    base = Plan("bits", steps=150, warmup=1, epochs=2, seed=number)
    plans = {f"N={rows}": replace(base, steps=rows // 128) for rows in (1_280, 12_800, 128_000, 1_280_000)}
    plans |= {f"D={features}": replace(base, features=features) for features in (16, 256, 1024)}
    plans |= {f"batch={batch}": replace(base, batch=batch, steps=19_200 // batch) for batch in (32, 512, 2048)}
    plans |= {f"K={points}": replace(base, points=points, steps=50) for points in (4, 16, 64)}
    for change, plan in {"as above": base, **plans}.items():
        yield Cell("growth", change, "jensen", number, plan)


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Every measurement in its order: contestants in turn, begun by another one in each round."""
    for number in range(options.rounds):
        for condition in ("quiet", "half-busy"):
            for shape in options.shapes:
                short = options.quick and condition == "half-busy" and shape != "bits"
                if condition not in options.conditions or short:
                    continue
                begin = number % len(options.contestants)
                for who in options.contestants[begin:] + options.contestants[:begin]:
                    if condition == "quiet" or CONTESTANTS[who].busy:
                        yield Cell(condition, shape, who, number, plan_of(options, condition, shape, who, number))
        if "growth" in options.conditions:
            yield from growth(number)


def plan_of(options: argparse.Namespace, condition: str, shape: str, who: str, number: int) -> Plan:
    """The work of one measurement; beside a busy neighbour it is short, since some become twenty times slower."""
    contestant = CONTESTANTS[who]
    plan = Plan(shape, threads=contestant.threads, seed=number, precision=contestant.precision)
    if condition == "half-busy":
        plan = replace(plan, warmup=1, epochs=2)
    if options.quick:
        plan = replace(plan, steps=max(5, SHAPES[shape].steps // 10), warmup=1, epochs=1)
    return plan


def measured(cell: Cell, python: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One measurement, beside a neighbour if the cell says so, with the share of the processor that the neighbour had.

    Raises:
        Failed: it does not end well.
        Starved: the neighbour had no processor.
    """
    contestant = CONTESTANTS[cell.who]
    used = processors(options.processors)
    # JAX knows no other limit than the processors it may use; beside a neighbour, the system chooses among all
    places = used[: contestant.threads] if contestant.threads and cell.condition != "half-busy" else used
    with Neighbour(used) if cell.condition == "half-busy" else nullcontext() as neighbour:
        result = measure(contestant, python, cell.plan, places, options.against)
        if neighbour is not None:
            result["neighbour"] = neighbour.share()
    return result


def train_all(record: Record, options: argparse.Namespace) -> None:
    """Measure every cell that the record lacks; who fails is left out of later rounds, and the reason recorded."""
    pythons: dict[str, Path] = {}
    for cell in cells(options):
        group = f"{cell.condition}/{cell.group}/{cell.who}"
        if cell.key in record["cells"] or group in record["skipped"]:
            continue
        try:
            environment = CONTESTANTS[cell.who].environment
            if environment not in pythons:
                given = options.use.get(environment)
                pythons[environment] = given or interpreter(environment, options.envs, shlex.split(options.pip_args))
            record["cells"][cell.key] = result = measured(cell, pythons[environment], options)
            say(f"{cell.key}: {result['data_per_second']:,.0f} data/s")
        except (Failed, Starved) as failure:
            record["skipped"][group] = str(failure)
            say(f"left out: {group}: {failure}")
        keep(record, options.json)


def run_sections(record: Record, options: argparse.Namespace) -> None:
    """Run the other scripts of this folder, each with its own protocol, and keep what they print and write."""
    python = options.use.get("jensen", Path(sys.executable))
    for name in options.sections:
        script = Path(__file__).with_name(f"{name}.py")
        if name in record["sections"]:
            continue
        say(f"{script.name} runs")
        try:
            record["sections"][name] = section(script, python, options.quick)
            record["skipped"].pop(name, None)
        except Failed as failure:
            record["skipped"][name] = str(failure)
            say(f"left out: {name}: {failure}")
        keep(record, options.json)


def section(script: Path, python: Path, quick: bool) -> dict[str, Any]:
    """What a script prints, and what it writes as JSON.

    Raises:
        Failed: it is not there, has no quick form where one is asked for, or does not end well.
    """
    if not script.exists():
        raise Failed(f"there is no {script.name}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = ran([python, script, "--help"], env=environment)
    if quick and "--quick" not in options:
        raise Failed(f"{script.name} has no --quick")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "results.json"
        tabled = "--json" in options
        arguments = [*(["--json", written] if tabled else []), *(["--quick"] if quick else [])]
        printed = ran([python, script, *arguments], env=environment, cwd=folder)
        if not tabled:
            return {"markdown": f"```json\n{printed.strip()}\n```", "results": printed}
        return {"markdown": printed, "results": json.loads(written.read_text(encoding="utf-8"))}


def keep(record: Record, path: Path) -> None:
    """Write the record, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(record, indent=1), encoding="utf-8")
    new.replace(path)


def begin(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Record:
    """The record to add to: a new one, or with --continue the one that is there."""
    settings = {
        "rounds": options.rounds,
        "processors": options.processors,
        "quick": options.quick,
        "against": None if options.against is None else str(options.against),
    }
    if not options.json.exists():
        used = processors(options.processors)
        return {"settings": settings, "machine": facts(used), "cells": {}, "skipped": {}, "sections": {}}
    if not options.resume:
        parser.error(f"{options.json} is there: add to it with --continue, or name another file with --json")
    record = json.loads(options.json.read_text(encoding="utf-8"))
    changed = [name for name in settings if name != "rounds" and settings[name] != record["settings"][name]]
    if changed:
        parser.error(
            f"{options.json} was made with other values of {', '.join(changed)}: name another file with --json"
        )
    # what failed is tried again; more rounds may be added
    return {**record, "settings": settings, "skipped": {}}


def choose(options: argparse.Namespace) -> None:
    """Set which shapes, contestants, conditions and sections are measured: those named, or the usual ones."""
    named = set(options.only)

    def among(names: Sequence[str], usual: Sequence[str]) -> list[str]:
        return [name for name in names if name in named] or list(usual)

    usual = [name for name, contestant in CONTESTANTS.items() if contestant.usual]
    if options.quick:
        usual = [name for name in usual if not name.endswith("-1") or name == "products-1"]
    options.contestants = among(list(CONTESTANTS), usual)
    if options.against is None:
        options.contestants = [name for name in options.contestants if not CONTESTANTS[name].against]
    conditions = ("quiet", "half-busy") if named or options.quick else CONDITIONS
    options.shapes, options.conditions = among(list(SHAPES), list(SHAPES)), among(CONDITIONS, conditions)
    options.sections = [name for name in SECTIONS if name in named or not named]
    if named and named <= set(SECTIONS):
        options.conditions = []


def options_of(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*SHAPES, *CONTESTANTS, *CONDITIONS, *SECTIONS]
    parser.add_argument("--rounds", type=int, help="each with a seed of its own (default 3; 1 with --quick)")
    parser.add_argument("--processors", type=int, default=2, help="the first N are used (default 2)")
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="NAME", help=", ".join(names))
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="a checkout of jensen to compare with")
    parser.add_argument("--quick", action="store_true", help="tiny trainings, which show that everything runs")
    parser.add_argument("--continue", action="store_true", dest="resume", help="add to the record what it lacks")
    parser.add_argument("--strict", action="store_true", help="refuse a machine that is busy at the start")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--json", type=Path, help="the record (default .benchmarks/results.json, or quick.json)")
    parser.add_argument("--envs", type=Path, default=KEPT / "envs", help="folder of the environments")
    parser.add_argument("--use", action="append", default=[], metavar="NAME=PYTHON", help="an environment of your own")
    parser.add_argument("--pip-args", default=os.environ.get("PIP_ARGS", ""), help="of pip install (default $PIP_ARGS)")
    options = parser.parse_args(arguments)
    pairs = [pair.partition("=") for pair in options.use]
    for name, equals, python in pairs:
        if name not in ENVIRONMENTS or not equals:
            parser.error(f"--use {name}{equals}{python} is not NAME=PYTHON with a name among {', '.join(ENVIRONMENTS)}")
    options.use = {name: Path(python).absolute() for name, _, python in pairs}
    options.rounds = (1 if options.quick else 3) if options.rounds is None else options.rounds
    if options.rounds < 1 or options.processors < 1:
        parser.error("--rounds and --processors must be at least 1")
    if options.quick and options.write:
        parser.error("the figures of --quick are worth nothing: they are not written")
    if options.against is not None:
        options.against = options.against.resolve()
        if not (options.against / "jensen" / "__init__.py").exists():
            parser.error(f"{options.against} is no checkout of jensen")
    options.json = options.json or KEPT / ("quick.json" if options.quick else "results.json")
    choose(options)
    return options, parser


def main(arguments: Sequence[str] | None = None) -> int:
    options, parser = options_of(arguments)
    KEPT.mkdir(exist_ok=True)
    (KEPT / ".gitignore").write_text("*\n", encoding="utf-8")
    record = begin(options, parser)
    if load() > IDLE:
        say(f"this machine is busy (load {load():.1f}): the figures will be too low, and unequally so")
        if options.strict:
            return 1
    train_all(record, options)
    run_sections(record, options)
    texts = pages(record)
    print("\n\n".join(filter(None, texts.values())))
    if options.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), texts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
