"""Every reader of files from elsewhere, with a few whole files that mutants are made from."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from PIL import Image
from safetensors.torch import save

from jensen.core.random import drawing_from, stream
from jensen.data import read
from jensen.runs.run import Run, load
from jensen.runs.verify import recorded
from jensen.storage.commits import commit
from jensen.storage.schemas import (
    CalibrationRecord,
    CurveRecord,
    EvaluationRecord,
    FaultRecord,
    FidelityRecord,
    RepresentationRecord,
    read_record,
)
from jensen.storage.training_state import completed_epochs, read_newest_state
from jensen.storage.weights import read_weights, write_weights
from jensen.training import Snapshot

OLD = Path(__file__).resolve().parent.parent / "fixtures" / "format-1"
RECORDS = OLD.parent / "records"  # written by the commands themselves, shortened
NODES = {"model": [], "seed": 3, "earlier": {"format": 1, "weights": "f" * 64}}
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(6, 3))
BYTES = RNG.integers(0, 256, (5, 4, 4), dtype=np.uint8)


@dataclass(frozen=True)
class Reader:
    """One way in.

    Attributes:
        name: what a test calls it.
        seeds: whole files.
        read: a folder and the bytes of a file; it raises what the reader raises.
        code: the exit code of every refusal.
        apart: words of a refusal that is none of damage, and has exit code 2.
        weight: how many times as long as the fastest it takes, roughly.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path, bytes], Any]
    code: int
    weight: int = 1
    apart: str | None = None


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    held = io.BytesIO()
    write(held)
    return held.getvalue()


def npy(x: np.ndarray) -> bytes:
    return written(lambda f: np.save(f, x))


def idx(x: np.ndarray) -> bytes:
    return struct.pack(f">HBB{x.ndim}I", 0, 8, x.ndim, *x.shape) + x.tobytes()


def picture(kind: str, mode: str = "L", **more: Any) -> bytes:
    shape = (6, 5, 3) if mode in ("RGB", "P") else (6, 5)
    image = Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))
    return written(lambda f: image.convert(mode).save(f, kind, **more))


def file_named(name: str, **options: Any) -> Callable[[Path, bytes], Any]:
    def call(folder: Path, content: bytes) -> Any:
        (folder / name).write_bytes(content)
        return read(folder / name, **options)

    return call


def image_in_folder(folder: Path, content: bytes) -> Any:
    """Beside a whole image, in every suffix's name: the suffix does not decide."""
    place = folder / "images"
    place.mkdir(exist_ok=True)
    (place / "a.png").write_bytes(WHOLE)
    (place / "b.png").write_bytes(content)
    read(place)  # a broken image is left out
    return read(place, strict=True)


def in_run(name: str) -> Callable[[Path, bytes], Any]:
    """A run of format 1 of which one file is the mutant."""

    def call(folder: Path, content: bytes) -> Any:
        run = folder / "run"
        if not run.exists():
            shutil.copytree(OLD, run)
        (run / name).write_bytes(content)
        return load(run).metrics

    return call


def record(kind: Any) -> Callable[[Path, bytes], Any]:
    """A file of JSON that one command writes and another reads."""

    def call(folder: Path, content: bytes) -> Any:
        (folder / "record.json").write_bytes(content)
        return read_record(folder / "record.json", kind, "Evaluate again.")

    return call


def recorded_evaluation(folder: Path, content: bytes) -> Any:
    """evaluation.json, as what repeats it reads it."""
    (folder / "evaluation.json").write_bytes(content)
    return recorded(folder)


def records() -> list[Reader]:
    """What commands write into a run, or beside it, and others read."""
    kinds = {
        "evaluation": EvaluationRecord,
        "calibration": CalibrationRecord,
        "fidelity": FidelityRecord,
        "representation": RepresentationRecord,
        "rate-distortion": CurveRecord,
    }
    whole = {name: (RECORDS / f"{name}.json").read_bytes() for name in kinds}
    made = [Reader(name, (whole[name],), record(kind), 4) for name, kind in kinds.items()]
    fault = b'{"command":{"data":"x.npy"},"faults":[{"number":1,"step":3,"rows":[4],"what":"a row"},{"number":2}]}'
    older = "does not say how it was made"  # what a file that lost its `replay` cannot be told from
    again = Reader("evaluation to repeat", (whole["evaluation"],), recorded_evaluation, 4, apart=older)
    return [*made, again, Reader("forensics", (fault,), record(FaultRecord), 4)]


def module() -> torch.nn.ModuleDict:
    return torch.nn.ModuleDict({"model": torch.nn.Linear(3, 2), "guide": torch.nn.BatchNorm1d(2)})


def weights(folder: Path, content: bytes) -> Any:
    (folder / "model.safetensors").write_bytes(content)
    return read_weights(folder, module(), NODES)


def weights_files() -> tuple[bytes, ...]:
    """As they are written now, raw and with averages, and as they were before they had a digest."""
    with tempfile.TemporaryDirectory() as name, drawing_from(stream(0, "weights")):
        folder, made = Path(name), module()
        write_weights(folder, made, NODES, None, "a")
        write_weights(folder, made, NODES, {"model.bias": torch.ones(2)}, "b")
        old = save({f"raw/{k}": t for k, t in made.state_dict().items()}, {"model": NODES["earlier"]["weights"]})
        return (folder / "a").read_bytes(), (folder / "b").read_bytes(), old


def state(folder: Path, content: bytes) -> Any:
    """A commit whose digests are right and whose content is the mutant, as somebody who means harm would make it."""
    run = folder / "state"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    whole = dict(zip(("training.safetensors", "training.json"), state_files(), strict=True))
    name = "training.json" if content[:1] in b'{["' else "training.safetensors"
    commit(run / "state", {**whole, name: content})
    snapshot, _ = read_newest_state(run)
    return snapshot


def metrics(folder: Path, content: bytes) -> Any:
    """metrics.jsonl, as an opened run reads it; the model has no part in that."""
    (folder / "metrics.jsonl").write_bytes(content)
    run = Run.__new__(Run)
    run.path = folder
    return run.metrics


def lines(folder: Path, content: bytes) -> Any:
    """metrics.jsonl, as what resumes a training reads it."""
    run = folder / "lines"
    run.mkdir(exist_ok=True)
    (run / "metrics.jsonl").write_bytes(content)
    return completed_epochs(run, Snapshot({}, {"epoch": 2}))


def state_files() -> tuple[bytes, bytes]:
    [made] = (OLD / "state").iterdir()
    return (made / "training.safetensors").read_bytes(), (made / "training.json").read_bytes()


def archive(method: int) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", method) as made:
            made.writestr("x.npy", npy(TABLE))
            made.writestr("y.npy", npy(np.arange(6)))

    return written(write)


def mat(**more: Any) -> bytes:
    return written(lambda f: scipy.io.savemat(f, {"x": TABLE, "y": np.arange(6)}, **more))


CSV = (
    b"a,b,c\n1,2,3\n4,5,6\n-1e3,0.5,7\n",
    b"1;2\n3;4\n5;6\n",
    b'"x","y, z"\n1,"2"\n3,4\n',
    b"1 2 3\n4 5 6\n",
)
LABELLED = (b"a,b,kind\n1,2,left\n3,,right\n", b"a;kind\n1;2\nNA;0\n", b"a\tkind\n1\t\n2\tx\n")
WHOLE = picture("PNG")
IMAGES = (WHOLE, picture("PNG", "RGB"), picture("PNG", "P"), picture("JPEG"), picture("GIF"), picture("BMP"))
IMAGES = (*IMAGES, picture("TIFF"), picture("TIFF", compression="tiff_lzw"), picture("PPM"), picture("WEBP"))


def readers() -> list[Reader]:
    spec = (OLD / "spec.json").read_bytes()
    small = json.dumps(json.loads(spec)).encode()
    zipped = (gzip.compress(idx(BYTES)), gzip.compress(idx(BYTES[0])))
    return [
        Reader("npy", (npy(TABLE), npy(BYTES), npy(BYTES.T)), file_named("x.npy"), 3),
        Reader("npz", (archive(0), archive(8)), file_named("x.npz"), 3),
        Reader("idx", (idx(BYTES), idx(BYTES[0])), file_named("x-images-idx3-ubyte"), 3),
        Reader("compressed idx", zipped, file_named("x.gz"), 3),
        Reader("mat", (mat(), mat(do_compression=True)), file_named("x.mat"), 3),
        Reader("csv", CSV, file_named("x.csv"), 3),
        Reader("csv with holes and labels", LABELLED, file_named("x.csv", missing=True, labels="kind"), 3),
        Reader("images", IMAGES, image_in_folder, 3),
        Reader("specification", (spec, small), in_run("spec.json"), 4),
        Reader("weights", weights_files(), weights, 4),
        Reader("metrics", ((OLD / "metrics.jsonl").read_bytes(),), metrics, 4),
        Reader("state", state_files(), state, 4),
        Reader("epochs behind a state", ((OLD / "metrics.jsonl").read_bytes(),), lines, 4),
        *records(),
    ]
