"""Mutants read in a process of their own, within limits of time and memory; what is not a refusal is found.

As a program it hunts for longer: python -m tests.fuzz.hunt npy --first 0 --many 100000
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from jensen.core.errors import JensenError
from tests.fuzz.mutants import mutant
from tests.fuzz.readers import Reader, readers

SECONDS = 5  # of the processor, per mutant
MEMORY = 2**30  # bytes beside what the process has when it begins
MOST = 5  # findings, after which a hunt ends


@dataclass(frozen=True)
class Catch:
    """What a hunt found: how many mutants were read, refused, and what happened to those that were neither."""

    read: int
    refused: int
    found: tuple[str, ...]
    slowest: float


class TooLong(BaseException):
    """Nothing in a reader catches it."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TooLong


def _limited() -> None:
    """The memory of this process from here on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _verdict(reader: Reader, folder: Path, number: int) -> str | None:
    """None of a mutant that was read; "" of one that was refused as it should be; else what is wrong."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        reader.read(folder, mutant(reader.seeds or (b"planted",), number))
    except JensenError as error:
        apart = reader.apart is not None and reader.apart in error.what
        if error.exit_code == (2 if apart else reader.code) and error.remedy:
            return ""
        return f"{number}: exit {error.exit_code}: {error!r}"
    except TooLong:
        return f"{number}: longer than {SECONDS} s"
    except BaseException:
        return f"{number}: {' '.join(traceback.format_exc(limit=-1).split()[3:])}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _hunt(reader: Reader, numbers: range, progress: Path) -> dict[str, Any]:
    faulthandler.disable()  # a crash is told by how the process ends
    signal.signal(signal.SIGPROF, _alarm)
    os.fsync = lambda handle: None  # what is read at once need not outlast the machine
    _limited()
    counts, found, slowest = [0, 0], [], 0.0
    with tempfile.TemporaryDirectory() as name, progress.open("w") as marked:
        for i, whole in enumerate(reader.seeds):  # what makes mutants has to be read itself, limits and all
            try:
                reader.read(Path(name), whole)
            except Exception:
                found.append(f"whole file {i}: {traceback.format_exc(limit=-1)}")
        for number in numbers if not found else ():
            marked.seek(0)
            marked.write(f"{number:12}")
            marked.flush()
            began = time.process_time()
            verdict = _verdict(reader, Path(name), number)
            slowest = max(slowest, time.process_time() - began)
            if verdict:
                found.append(verdict)
            else:
                counts[verdict == ""] += 1
            if len(found) >= MOST:
                break
    return {"read": counts[0], "refused": counts[1], "found": found, "slowest": slowest}


def hunt(reader: Reader, numbers: range) -> Catch:
    """Read mutants in a child, so that a crash is a finding like others."""
    with tempfile.TemporaryDirectory() as name:
        answer, progress = Path(name) / "answer", Path(name) / "progress"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where there are threads
            child = os.fork()
        if child == 0:
            tempfile.tempdir = name
            try:
                with open(os.devnull, "w") as nothing:
                    os.dup2(nothing.fileno(), 2)  # C libraries print what they think of a file
                answer.write_text(json.dumps(_hunt(reader, numbers, progress)))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) or not answer.exists():
            last = progress.read_text().strip() if progress.exists() else "?"
            return Catch(0, 0, (f"{last}: the process ended, status {status}",), 0.0)
        held = json.loads(answer.read_text())
    return Catch(held["read"], held["refused"], tuple(held["found"]), held["slowest"])


def main() -> None:
    """Hunt, and print what was found."""
    words = argparse.ArgumentParser(description=main.__doc__)
    words.add_argument("names", nargs="*", help="readers; all of them by default")
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--many", type=int, default=100_000)
    given = words.parse_args()
    for reader in readers():
        if given.names and reader.name not in given.names:
            continue
        began = time.monotonic()
        found = hunt(reader, range(given.first, given.first + given.many))
        taken = time.monotonic() - began
        told = f"{reader.name}: {found.read} read, {found.refused} refused, {len(found.found)} found"
        print(f"{told}; {taken:.0f} s, slowest {found.slowest:.2f} s", *found.found, sep="\n", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("error")  # as in the tests: a reader tells nothing by a warning
    sys.exit(main())
