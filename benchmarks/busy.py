"""Training on a quiet machine, and beside a process that keeps half of the processors busy.

python benchmarks/busy.py                                  all shapes: quiet, busy from the start, and busy from then on
python benchmarks/busy.py --shapes bits --threads 2        a number that is not chosen by the trial

Prints a line of JSON for each shape: data per second in the last third of each training, the numbers of threads that it
chose, and each speed as a share of the quiet one. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "rivals"))

from machine import IDLE, Neighbour, load, processors
from protocol import SHAPES, SIDE, Plan, data

WAYS = ("quiet", "busy", "arriving")


def train(options: argparse.Namespace) -> None:
    """Train one shape for a number of seconds, and print its events."""
    import jensen
    from jensen.core.errors import InterruptedRun
    from jensen.training import EpochEnded, Event
    from jensen.training.events import Started, ThreadsChosen

    plan = Plan(shape=options.train)
    shape, rows, start = plan.model, data(plan), time.perf_counter()

    def listen(event: Event) -> None:
        nonlocal start
        if isinstance(event, Started):
            start = time.perf_counter()
        now = time.perf_counter() - start
        if isinstance(event, EpochEnded):
            print(json.dumps({"at": now, "data_per_second": event.data_per_second}), flush=True)
        if isinstance(event, ThreadsChosen):
            print(json.dumps({"at": now, "threads": event.threads, "busy": event.busy}), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        try:
            jensen.train(
                rows.reshape(-1, SIDE, SIDE) if shape.width else rows,
                recipe="vae",
                out=f"{folder}/run",
                split=(1, 0, 0),
                epochs=100_000,
                schedule="constant",
                precision="float32",
                checkpoints=0,
                save_every=None,
                latent=shape.latent,
                activation="relu",
                likelihood=shape.likelihood,
                threads=options.threads,
                listeners=(listen,),
                should_stop=lambda: time.perf_counter() - start > options.seconds,
                **({"net": "conv", "width": shape.width} if shape.width else {"hidden": shape.hidden}),
            )
        except InterruptedRun:
            return


def measured(shape: str, way: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train a shape in a process of its own, and return its speed and its numbers of threads."""
    command = [sys.executable, __file__, "--train", shape, "--seconds", str(options.seconds)]
    command += ["--threads", str(options.threads)]
    events: list[dict[str, Any]] = []
    with ExitStack() as beside:
        neighbours = [] if way == "quiet" else [Neighbour(processors(2))]  # that are yet to come
        if way == "busy":
            beside.enter_context(neighbours.pop())
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                events.append(json.loads(line))
                if neighbours and events[-1]["at"] > options.seconds / 3:
                    beside.enter_context(neighbours.pop())
    late = [e["data_per_second"] for e in events if "threads" not in e and e["at"] > options.seconds * 2 / 3]
    chosen = [(round(e["at"], 1), e["threads"], e["busy"]) for e in events if "threads" in e]
    return {"data_per_second": round(median(late)) if late else None, "threads": chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--seconds", type=float, default=15.0, help="of each training")
    parser.add_argument("--threads", default="auto", type=lambda text: text if text == "auto" else int(text))
    parser.add_argument("--train", choices=SHAPES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options)
        return
    if load() > IDLE:
        print(f"the machine is busy already: load {load():.1f}", file=sys.stderr)
    for shape in options.shapes:
        results = {way: measured(shape, way, options) for way in WAYS}
        quiet = results["quiet"]["data_per_second"]
        ratios = {
            way: round(results[way]["data_per_second"] / quiet, 3)
            for way in WAYS[1:]
            if quiet and results[way]["data_per_second"]
        }
        print(json.dumps({"shape": shape, **results, "ratio": ratios}), flush=True)


if __name__ == "__main__":
    main()
