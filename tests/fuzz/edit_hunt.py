"""Edited specifications opened in a process of their own, within limits; what is no refusal and no number is found."""

from __future__ import annotations

import faulthandler
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from jensen.core.errors import JensenError
from jensen.runs.players import players_from, recorded_points, term_names
from jensen.runs.run import Run, load
from jensen.runs.spec import recorded_command
from jensen.runs.train import train
from tests.fuzz.edits import edited, write_edited

SECONDS = 2  # of the processor, per edit
MEMORY = 2**30  # bytes beside what the process has when it begins
MOST = 40  # findings, after which a hunt ends
FREE = ("jensen", "torch", "numpy", "scipy", "msgspec", "safetensors", "sklearn", "tests", "json", "encodings", "_")

RNG = np.random.default_rng(0)
BITS = (RNG.random((60, 16)) < 0.4).astype(np.uint8)
IMAGES = RNG.integers(0, 6, (60, 4, 4, 1)).astype(np.uint8)
REALS = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = np.arange(60) % 3
NET = {"hidden": (4,), "latent": 2}
CONV = {"net": "conv", "width": 2, "latent": 2}
LABELLED = {"labels": LABELS, "hidden": (4,), "latent": 2}
RUNS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "vae": (BITS, NET),
    "iwae": (REALS, NET),
    "gmm": (REALS, {"components": 3}),
    "ppca": (REALS, {"latent": 2}),
    "factor-vae": (BITS, NET),
    "count-vae": (IMAGES.reshape(60, 16), NET),
    "vampprior": (IMAGES, {**NET, "components": 3}),
    "flow-prior": (REALS, {**NET, "flows": 2}),
    "spline-posterior": (REALS, {**NET, "flows": 2}),
    "mixture-posterior": (REALS, {**NET, "components": 2}),
    "full-covariance": (BITS, NET),
    "categorical": (BITS, {**NET, "classes": 3}),
    "vq-vae": (IMAGES, {"epochs": 4, "codes": 4, "code_size": 2}),
    "made": (BITS, {"hidden": (8,)}),
    "pixelcnn": (IMAGES, {"width": 2, "depth": 2}),
    "conditional": (BITS, LABELLED),
    "semi-supervised": (BITS, LABELLED),
    "denoising-vae": (BITS, NET),
    "ladder": (BITS, {"hidden": (4,), "groups": (2, 2), "state": 4}),
    "wake-sleep": (BITS, NET),
    "svi": (BITS, {**NET, "local_steps": 2}),
    "hamiltonian": (BITS, {**NET, "leapfrog_steps": 2}),
    "gan": (IMAGES, CONV),
    "beta-tcvae": (IMAGES, CONV),
}


@dataclass(frozen=True)
class Outcome:
    """The numbers of edits that were refused, changed nothing or numbers, or ended badly, with a list of the last."""

    counts: dict[str, int]
    found: tuple[str, ...]
    slowest: float


class TooLong(BaseException):
    """Nothing in a reader catches it."""


def small_runs(folder: Path, recipes: tuple[str, ...] = tuple(RUNS)) -> dict[str, Path]:
    """Train recipes for an epoch, or take the runs that are there already, and return their folders."""
    runs = {}
    for name in recipes:
        data, options = RUNS[name]
        held = {k: v for k, v in options.items() if k == "labels"}
        path, out = folder / f"{name}.npz", folder / name
        if not out.exists():
            np.savez(path, data=data, **held)
            named = {"epochs": 1, **options, **({"labels": "labels"} if held else {})}
            source = f"{path}:data"
            train(source, recipe=name, out=out, device="cpu", checkpoints=0, save_every=None, **named)
        runs[name] = out
    return runs


def numbers_of(run: Run, data: np.ndarray, labels: np.ndarray | None) -> list[float]:
    """Return what cheap verbs say of two rows, and of the run's own."""
    few, held = data[:2], None if labels is None else labels[:2]
    numbers: list[np.ndarray] = []
    likelihood = run.model.likelihood
    numbers.append(run.sample(2, mean=likelihood.has_density))
    if likelihood.has_density:
        evaluation = run.evaluate(few, labels=held, k=2, budget=0)
        numbers.append(evaluation.estimate.nats.cpu().numpy())
    if run.model.latent and run.guide.infers:
        numbers += [run.encode(few, labels=held), run.reconstruct(few, labels=held)]
    for part in ("train", "valid"):
        numbers.append(np.array(len(run.part(part).rows)))
    return [float(v) for values in numbers for v in np.asarray(values, dtype=np.float64).ravel()]


def words_of(run: Run) -> str:
    """Return what the run says of itself; players are rebuilt, and the command is read, as by a resume."""
    told = [run.title, str(run.stages), str(run.unfinished), str(run.corruption), str(run.quantity), repr(run)]
    told += [str(recorded_points(run.spec)), str(sorted(term_names(run.spec)))]
    for read in (lambda: players_from(run.spec), lambda: recorded_command(run.spec, run.path), run.dataset):
        try:
            read()
        except JensenError as error:
            told.append(str(error))
    return " ".join(told)


def _limited() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TooLong


def _watched(events: list[str], inside: str) -> None:
    """Note every process that is started, and every file that is written outside a folder."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class"):
            events.append(f"{event} {arguments!r}"[:200])
        writes = event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes and not arguments[0].startswith((inside, "/dev/null")):
            events.append(f"written: {arguments[0]!r}")

    sys.addaudithook(hook)


def _verdict(folder: Path, data: np.ndarray, labels: np.ndarray | None, whole: list[float]) -> tuple[str, str]:
    """Return what became of an edit, and details where it ended badly."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        run = load(folder)
        words_of(run)
        numbers = numbers_of(run, data, labels)
    except JensenError as error:
        return "refused", "" if error.remedy and error.exit_code in (2, 3, 4, 5) else f"refused with {error!r}"
    except TooLong:
        return "hang", "".join(traceback.format_exc(limit=-2).split("\n")[-6:])[:500]
    except BaseException:
        return "internal error", " ".join(traceback.format_exc(limit=-3).split())[:600]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    same = len(numbers) == len(whole) and np.allclose(numbers, whole, rtol=1e-6, atol=1e-9, equal_nan=True)
    if not same and not all(map(math.isfinite, numbers)):
        return "changed", ""
    return ("same" if same else "changed"), ""


def _hunt(run: Path, numbers: range, inside: Path) -> dict[str, Any]:
    faulthandler.disable()  # a crash is told by how the process ends
    torch.set_num_threads(1)
    signal.signal(signal.SIGPROF, _alarm)
    data, options = RUNS[run.name]
    labels = options.get("labels")
    opened = load(run)
    words_of(opened)
    whole, spec = numbers_of(opened, data, labels), json.loads((run / "spec.json").read_text())
    counts: Counter[str] = Counter()
    found, slowest, events = [], 0.0, []
    before = set(sys.modules)
    _limited()
    os.environ["TMPDIR"] = str(inside)
    _watched(events, str(inside))
    for number in numbers:
        noise = random.Random(f"{run.name} {number}")
        what, changed = edited(spec, noise)
        copied = inside / "edited"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(run, copied)
        write_edited(copied, changed, tied=noise.random() < 0.8)
        (inside / "progress").write_text(f"{number} {what}")
        began = time.process_time()
        outcome, details = _verdict(copied, data, labels, whole)
        slowest = max(slowest, time.process_time() - began)
        if events or (imported := {m for m in set(sys.modules) - before if not m.startswith(FREE)}):
            outcome, details = "ran or wrote", f"{events[:3]} {sorted(imported)[:5] if not events else ''}"
            events.clear()
            before |= set(sys.modules)
        counts[outcome] += 1
        if details:
            found.append(f"{number} {what}: {outcome}: {details}")
        if outcome == "changed" and os.environ.get("EDITS_CHANGED"):
            found.append(f"{number} {what}: {outcome}")
        if len(found) >= MOST:
            break
    return {"counts": dict(counts), "found": found, "slowest": slowest}


def hunt(run: Path, numbers: range, folder: Path) -> Outcome:
    """Open edits of a run in a child, so that a crash is a finding like others."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        answer = Path(name) / "answer"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where there are threads
            child = os.fork()
        if child == 0:
            try:
                answer.write_text(json.dumps(_hunt(run, numbers, Path(name))))
            except BaseException:
                answer.with_name("trouble").write_text(traceback.format_exc(limit=5))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if not answer.exists():
            trouble, progress = Path(name) / "trouble", Path(name) / "progress"
            last = trouble.read_text() if trouble.exists() else progress.read_text() if progress.exists() else "?"
            return Outcome({"crash": 1}, (f"the process ended, status {status}: {last}",), 0.0)
        held = json.loads(answer.read_text())
    return Outcome(held["counts"], tuple(held["found"]), held["slowest"])
