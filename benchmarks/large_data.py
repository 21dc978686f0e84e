"""Training and encoding of rows that stay in their files: memory above an idle process, and speed against memory.

    python benchmarks/large_data.py [--rows 10000000] [--columns 20] [--steps 2000] [--folder FOLDER] [--threads 1]

Each measurement runs in a process of its own. Prints one JSON object: megabytes of the largest resident set above that
of a process that has imported torch and jensen, training rows per second streamed and in memory, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

# the largest resident set in kilobytes; that of `getrusage` may be the parent's
PEAK = """
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
"""

IDLE = f"""{PEAK}
import torch, jensen
from jensen.runs.train import train
print(peak())
"""

TRAIN = (
    PEAK
    + """
import json, sys, time, torch
from jensen.core.errors import InterruptedRun
from jensen.runs.train import train
data, out, stream = sys.argv[1], sys.argv[2], sys.argv[3] == "stream"
steps, threads = int(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(threads)
counted, began = [0, 0.0], time.monotonic()
def should_stop():
    counted[0] += 1
    if counted[0] == steps // 4:  # the first steps are slower
        counted[1] = time.monotonic()
    return counted[0] >= steps
try:
    train(data, out=out, force=True, stream=stream, should_stop=should_stop, hidden=(64, 64), latent=8, epochs=2,
          save_every=1e9)
except InterruptedRun:
    pass
seconds = time.monotonic() - counted[1]
rows = 128 * (counted[0] - steps // 4)
print(json.dumps({"peak": peak(), "rows_per_second": rows / seconds, "before_training": counted[1] - began}))
"""
)

ENCODE = (
    PEAK
    + """
import sys, time, torch
from jensen.cli import main
torch.set_num_threads(int(sys.argv[4]))
began = time.monotonic()
try:
    main(["encode", sys.argv[1], sys.argv[2], "--out", sys.argv[3], "--force", "--quiet"])
except SystemExit as ended:
    assert not ended.code, ended.code
print(peak(), time.monotonic() - began)
"""
)


def make(path: Path, rows: int, columns: int) -> None:
    """Write correlated Gaussian rows in float32, a million at a time."""
    import numpy as np

    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, columns)).astype(np.float32)
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, columns)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, rows, 10**6):
            n = min(10**6, rows - start)
            z = rng.standard_normal((n, 8), dtype=np.float32)
            noise = rng.standard_normal((n, columns), dtype=np.float32)
            file.write((z @ mixing + 0.3 * noise).astype(np.float32).tobytes())


def last_line(code: str, *arguments: object) -> str:
    """Run a program in a process of its own, and return the last line that it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1]


def measure(
    folder: Path, rows: int, columns: int, steps: int, threads: int, streamed: bool = False
) -> dict[str, object]:
    """Return all measurements, or those of streamed rows alone, and leave the data in the folder."""
    data = folder / f"rows-{rows}-{columns}.npy"
    if not data.exists():
        make(data, rows, columns)
    idle = int(last_line(IDLE))
    results: dict[str, object] = {"rows": rows, "columns": columns, "megabytes": data.stat().st_size / 1e6}
    speeds = {}
    for how in ("stream",) if streamed else ("stream", "memory"):
        found = json.loads(last_line(TRAIN, data, folder / f"run-{how}", how, steps, threads))
        speeds[how] = found["rows_per_second"]
        results[how] = {
            "megabytes_above_idle": (found["peak"] - idle) / 1e3,
            "rows_per_second": round(found["rows_per_second"]),
            "seconds_before_training": round(found["before_training"], 1),
        }
    if not streamed:
        results["ratio"] = round(speeds["stream"] / speeds["memory"], 3)
    peak, seconds = last_line(ENCODE, folder / "run-stream", data, folder / "codes.npy", threads).split()
    results["encode"] = {"megabytes_above_idle": (int(peak) - idle) / 1e3, "seconds": round(float(seconds), 1)}
    return results


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10**7)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--streamed", action="store_true", help="leave out the training in memory")
    parser.add_argument("--quick", action="store_true", help="few rows and steps, which show that everything runs")
    given = parser.parse_args()
    if given.quick:
        given.rows, given.steps = 200_000, 200
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = measure(folder, given.rows, given.columns, given.steps, given.threads, given.streamed)
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
