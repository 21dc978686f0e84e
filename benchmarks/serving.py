"""Serving of an export: records a second and latencies of examples/serve.py, beside the network alone.

    python -m benchmarks.serving [--threads 1 8] [--seconds 5] [--folder FOLDER] [--quick]

A VAE of 50 columns of numbers (two hidden layers of 256, 16 latent features) is trained for an epoch, exported as ONNX
and served. Clients in so many threads ask for the codes of one record, or of a thousand, one request after another,
through the web application itself: its routing, JSON and computation, without a socket. The floor is the same encoder,
without a server: by onnxruntime and by torch on one thread, one record or a thousand at a time. Every answer must have
the bytes of the first one; another one ends the measurement. Prints one JSON object, latencies in milliseconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "serve.py"
COLUMNS, SIZES = 50, (1, 1000)


def exported(folder: Path, hidden: tuple[int, ...] = (256, 256)) -> tuple[Any, Path]:
    """Return a run of numbers, and the folder of its export."""
    from jensen.runs.train import train

    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(2000, COLUMNS)))
    run = train(str(folder / "x.npy"), recipe="vae", latent=16, hidden=hidden, epochs=1, out=folder / "run")
    run.export(folder / "export")
    return run, folder / "export"


def application(export: Path) -> Any:
    """Return the web application of the example."""
    spec = importlib.util.spec_from_file_location("serve", EXAMPLE)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.application(export)


def measured(ask: Callable[[], object], records: int, threads: int, seconds: float) -> dict[str, float]:
    """Return records a second and percentiles of latency, of requests that follow each other in each thread.

    Args:
        ask: makes a request, and returns its answer.
        records: of a request.
        threads: that ask at the same time.
        seconds: that they do so for.

    Raises:
        ValueError: an answer differs from the first one.
    """
    first, end = ask(), time.perf_counter() + seconds

    def client(_: int) -> list[float]:
        times = []
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            answer = ask()
            times.append(time.perf_counter() - start)
            if answer != first:
                raise ValueError("an answer has other bytes than the first one")
        return times

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        times = np.concatenate(list(pool.map(client, range(threads))))
    elapsed = time.perf_counter() - start
    p50, p95, p99 = np.percentile(times, [50, 95, 99]) * 1e3
    rate = round(records * len(times) / elapsed)
    latency = {"p50": p50, "p95": p95, "p99": p99}
    return {"records_per_second": rate, "requests": len(times), **{k: round(float(v), 3) for k, v in latency.items()}}


def served(app: Any, x: np.ndarray, threads: int, seconds: float) -> dict[str, float]:
    """Return what is measured of the codes of these records [n, D], asked of the application."""
    from starlette.testclient import TestClient

    client, body = TestClient(app), json.dumps({"x": x.tolist()})

    def ask() -> bytes:
        answer = client.post("/encode", content=body)
        if answer.status_code != 200:
            raise ValueError(answer.text)
        return answer.content

    return measured(ask, len(x), threads, seconds)


def floors(run: Any, export: Path, x: np.ndarray, seconds: float) -> dict[str, dict[str, float]]:
    """Return what is measured of the encoder alone, by each runtime on one thread."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(export / "encoder.onnx", options)
    rows = run.preparation.rows(x, run.schema).take(torch.arange(len(x)))
    torch.set_num_threads(1)

    def by_torch() -> bytes:
        with torch.no_grad():
            return run.guide(rows).mean.numpy().tobytes()

    def by_onnxruntime() -> bytes:
        return session.run(["mean"], {"x": x})[0].tobytes()

    ways = {"onnxruntime": by_onnxruntime, "torch": by_torch}
    return {name: measured(ask, len(x), 1, seconds) for name, ask in ways.items()}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 8], help="clients at the same time")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="that the run and its export are left in")
    parser.add_argument("--quick", action="store_true", help="a moment each, which shows that everything runs")
    given = parser.parse_args()
    seconds = 0.05 if given.quick else given.seconds
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run, export = exported(folder)
        app, x = application(export), np.random.default_rng(1).normal(size=(max(SIZES), COLUMNS))
        result = {
            f"{n} records": {
                **{f"served, {t} threads": served(app, x[:n], t, seconds) for t in given.threads},
                **{f"{name} alone": value for name, value in floors(run, export, x[:n], seconds).items()},
            }
            for n in SIZES
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
