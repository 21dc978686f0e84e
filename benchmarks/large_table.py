"""Memory of a mixed table in Parquet: the largest resident set above that of a process that has imported jensen.

    python benchmarks/large_table.py [--rows 1000000] [--columns 50] [--verbs train encode] [-k 10] [--folder FOLDER] \
        [--quick]

The table has numbers, names, counts and times, 3 % of whose cells are missing. Each command runs in a process of its
own, and writes a Parquet file; impute, score and predict take few points for each row (-k), and so more rows at a
time than usual. Prints one JSON object, in megabytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

VERBS = ("train", "encode", "impute", "score", "predict")
PIECE = 50_000  # rows of a group of the file
# the largest resident set in kilobytes; that of `getrusage` may be the parent's
PEAK = """
import sys, torch, jensen
from jensen.cli import main
if len(sys.argv) > 1:
    try:
        main(sys.argv[1:])
    except SystemExit as ended:
        if ended.code:
            raise
with open("/proc/self/status") as lines:
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def make(path: Path, rows: int, columns: int) -> None:
    """Write a table whose columns depend on three latent features, some rows at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    mixing, names, writer = rng.normal(size=(3, columns)), np.array(["red", "green", "blue", "white"]), None
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        signal = rng.normal(size=(n, 3)) @ mixing + rng.normal(size=(n, columns))
        cells = {}
        for j in range(columns):
            s, hole = signal[:, j], rng.random(n) < 0.03
            kinds = (
                lambda s: s.round(4),
                lambda s: np.exp(0.3 * s).round(4),
                lambda s: names[np.clip(np.floor(s + 2), 0, 3).astype(int)],
                lambda s: rng.poisson(np.exp(np.clip(0.4 * s, -3, 3))),
                lambda s: np.datetime64("2020-01-01", "s") + (s * 1e7).astype("timedelta64[s]"),
            )
            cells[f"c{j + 1}"] = pa.array(kinds[j % len(kinds)](s), mask=hole)
        table = pa.table(cells)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def peak(*arguments: object) -> float:
    """Return the largest resident set, in megabytes, of a process that runs a command of jensen."""
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.strip().splitlines()[-1]) / 1e3


def measure(folder: Path, rows: int, columns: int, verbs: list[str], k: int) -> dict[str, object]:
    """Return all measurements, and leave table and run in the folder."""
    table, run = folder / f"table-{rows}-{columns}.parquet", folder / "run"
    if not table.exists():
        make(table, rows, columns)
    idle = peak()
    given, points = ["--out", folder / "result.parquet", "--force", "--quiet"], ["-k", k]
    options = {
        "train": ["train", table, "--out", run, "--epochs", 1, "--recipe", "table", "--force", "--quiet"],
        "encode": ["encode", run, table, *given],
        "impute": ["impute", run, table, *points, "--point", "mean", *given],
        "score": ["score", run, table, *points, *given],
        "predict": ["predict", run, table, "c1", *points, *given],
    }
    above = {verb: round(peak(*options[verb]) - idle) for verb in verbs}
    return {"rows": rows, "columns": columns, "file": round(table.stat().st_size / 1e6), "idle": round(idle), **above}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10**6)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("-k", type=int, default=10, help="points for each row of impute, score and predict")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="few rows, which show that everything runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = 2000 if given.quick else given.rows
        print(json.dumps(measure(folder, rows, given.columns, given.verbs, given.k), indent=2))


if __name__ == "__main__":
    main()
