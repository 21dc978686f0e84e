"""Seconds until Python, torch, jensen and its command line are ready: medians over fresh processes, taken in turn.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import torch": ["-c", "import torch"],
    "import jensen": ["-c", "import jensen"],
    "jensen --help": ["-m", "jensen", "--help"],
    "jensen train --help": ["-m", "jensen", "train", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(-1, 1 if options.quick else options.repeats):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
            if number >= 0:  # the first round fills the caches of the disk
                seconds[name].append(time.perf_counter() - began)
    print("| process | seconds | min to max |\n|---|--:|--:|")
    for name, taken in seconds.items():
        print(f"| `{name}` | {statistics.median(taken):.2f} | {min(taken):.2f} to {max(taken):.2f} |")
    if options.json:
        options.json.write_text(json.dumps(seconds, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
