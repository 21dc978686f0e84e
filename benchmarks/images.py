"""Bits per dimension of images by models, beside lossless file formats of the same test images.

    python -m benchmarks.images DATA --out OUT [--only cifar mnist digits] [--models vae diffusion] [--table]

DATA holds cifar10_partial/ (four sheets of 1,000 images of CIFAR-10: the last thousand is tested) and mnist/ (IDX
files: all training images and the first 1,000 test images). What is in OUT is not repeated: a model is trained by the
command line, then evaluated. Test images play no part before that: validation images (a tenth of the training images)
choose the epoch.

File formats are given two chances, and the better one counts: every image a file of its own, and all of them one sheet.
A model's figure is a bound, and holds no parameters: a file format knows nothing of the other images either. Formats
that this installation of Pillow lacks are left out: JPEG XL comes with pillow-jxl-plugin.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import lzma
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TESTED = 1000
# epochs that took about 45 minutes on one of two busy cores
CASES: dict[str, dict[str, list[str]]] = {
    "cifar": {
        "vae": ["--epochs", "60"],
        "very-deep": ["--epochs", "12"],
        "pixelcnn": ["--epochs", "12"],
        "diffusion": ["--epochs", "60", "--batch", "32"],
    },
    "mnist": {
        "vae": ["--epochs", "8"],
        "very-deep": ["--epochs", "2"],
        "pixelcnn": ["--epochs", "2"],
        "diffusion": ["--epochs", "2", "--batch", "32"],
    },
    "digits": {
        "vae": [],
        "pixelcnn": [],
        "diffusion": ["--epochs", "200"],
    },
}
FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {"format": "PNG", "optimize": True},
    "WebP": {"format": "WEBP", "lossless": True, "quality": 100, "method": 6},
    "JPEG XL": {"format": "JXL", "lossless": True, "effort": 9},
}


# ---------------------------------------------------------------- images


def cifar(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images [N, 32, 32, 3]; a row of a sheet is an image."""
    sheets = [np.asarray(Image.open(p)) for p in sorted((folder / "cifar10_partial").glob("*.png"))]
    x = np.concatenate(sheets).reshape(-1, 32, 32, 3)
    return x[:-TESTED], x[-TESTED:]


def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images [N, 28, 28] of 256 levels."""
    from jensen.data import read

    both = (read(str(folder / "mnist" / f"{name}-images-idx3-ubyte.gz")).x for name in ("train", "t10k"))
    train, test = (np.asarray(x).reshape(-1, 28, 28).astype(np.uint8) for x in both)
    return train, test[:TESTED]


def digits(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images [N, 8, 8] of 17 levels, in scikit-learn's order."""
    from sklearn.datasets import load_digits

    x = load_digits().images.astype(np.uint8)
    return x[:-360], x[-360:]


READ = {"cifar": cifar, "mnist": mnist, "digits": digits}


def written(case: str, options: argparse.Namespace) -> tuple[Path, Path]:
    """Write training and test images as two files, unless they are there."""
    paths = [options.out / f"{case}-{name}.npy" for name in ("train", "test")]
    if not all(p.exists() for p in paths):
        for path, x in zip(paths, READ[case](options.data), strict=True):
            np.save(path, x)
    return paths[0], paths[1]


# ---------------------------------------------------------------- file formats


def encoded(image: np.ndarray, settings: dict[str, Any]) -> int:
    """Bytes of an image [H, W] or [H, W, C] in a file format."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, **settings)
    return file.tell()


def format_bits(x: np.ndarray) -> dict[str, float]:
    """Bits per dimension of images [N, H, W, ...] by each format: in files of their own or as one sheet."""
    if importlib.util.find_spec("pillow_jxl"):
        importlib.import_module("pillow_jxl")  # which adds the format to Pillow
    bits = {"xz": 8 * len(lzma.compress(x.tobytes(), preset=9 | lzma.PRESET_EXTREME)) / x.size}
    sheet = x.reshape(len(x) * x.shape[1], *x.shape[2:])
    for name, settings in FORMATS.items():
        try:
            own, joined = sum(encoded(image, settings) for image in x), encoded(sheet, settings)
        except (KeyError, ValueError, OSError):  # no such format, or no sheet of that size
            try:
                own = joined = sum(encoded(image, settings) for image in x)
            except (KeyError, ValueError, OSError):
                continue
        bits[name] = 8 * min(own, joined) / x.size
    return bits


# ---------------------------------------------------------------- models


def measured(case: str, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate a model, unless OUT holds its record; returns the record."""
    record, run = options.out / f"{case}-{model}.json", options.out / f"{case}-{model}"
    if record.exists():
        return json.loads(record.read_text())
    train, test = written(case, options)
    flags = ["--epochs", "1"] if options.quick else CASES[case][model]
    started, jensen = time.monotonic(), [sys.executable, "-m", "jensen"]
    if (run / "spec.json").exists():
        subprocess.run([*jensen, "resume", str(run)], check=True)
    else:
        names = ["--recipe", model, "--test", str(test), "--out", str(run), "--patience", "none"]
        subprocess.run([*jensen, "train", str(train), *names, *flags], check=True)
    seconds = time.monotonic() - started
    evaluated = subprocess.run(
        [*jensen, "evaluate", str(run), "--json"], check=True, capture_output=True, text=True, encoding="utf-8"
    )
    result = json.loads(evaluated.stdout)
    record.write_text(json.dumps({"seconds": seconds, "flags": flags, "evaluation": result}, indent=1))
    return json.loads(record.read_text())


def table(cases: list[str], options: argparse.Namespace) -> str:
    """The table of what is in OUT."""
    lines = ["| images | bits per dimension | | kind | minutes |", "|---|---|--:|---|--:|"]
    for case in cases:
        test = np.load(written(case, options)[1])
        rows = [(bits, name, "file format", "") for name, bits in format_bits(test).items()]
        for model in CASES[case]:
            path = options.out / f"{case}-{model}.json"
            if not path.exists():
                continue
            held = json.loads(path.read_text())
            evaluation = held["evaluation"]
            minutes = f"{held['seconds'] / 60:.0f}"
            rows.append((evaluation["bits_per_dim"], f"jensen, `{model}`", evaluation["kind"], minutes))
        lines += [f"| {case} | {name} | {bits:.3f} | {kind} | {m} |" for bits, name, kind, m in sorted(rows)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--models", nargs="+", default=None)
    parser.add_argument("--table", action="store_true", help="print the table of what OUT holds")
    parser.add_argument("--quick", action="store_true", help="one epoch, which shows that everything runs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for case in options.only:
        for model in CASES[case]:
            if not options.table and (options.models is None or model in options.models):
                measured(case, model, options)
    print(table(options.only, options))


if __name__ == "__main__":
    main()
