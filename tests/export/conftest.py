"""Small trained runs that the tests of exports share, one of each recipe that must be exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jensen.runs.run import Run, load
from jensen.runs.train import train

ROWS = 60
OPTIONS: dict[str, dict[str, object]] = {
    "vae": {"latent": 2, "hidden": (8,)},
    "vampprior": {"latent": 2, "hidden": (8,), "components": 4},
    "conditional": {"latent": 2, "hidden": (8,)},
    "table": {"latent": 2, "hidden": (8,), "points": 2},
    "vq-vae": {"latent": 3, "hidden": (8,), "codes": 4, "code_size": 2},
    "ladder": {"groups": (1, 2), "state": 8, "hidden": (8,)},
    "ppca": {"latent": 2},
    "gmm": {"components": 3},
    "gmm-full": {"recipe": "gmm", "components": 2, "covariance": "full"},
    "table-gmm": {"components": 2},
    "gumbel": {"hidden": (8,)},
    "convolutions": {"recipe": "vae", "latent": 2, "net": "conv", "width": 4},
    "iaf": {"latent": 2, "hidden": (8,)},
    "gan": {"latent": 2, "hidden": (8,)},
    "pixel-vae": {"latent": 2, "hidden": (8,)},
}


def table_text() -> str:
    """Return a CSV of columns of every kind, with holes."""
    rng = np.random.default_rng(0)
    lines = ["age,sex,size,income,share,start,when"]
    for _ in range(ROWS):
        cells = [
            str(rng.integers(18, 90)),
            rng.choice(["F", "M"]),
            rng.choice(["low", "medium", "high"]),
            f"{rng.lognormal(8, 1):.2f}",
            f"{rng.uniform(0.01, 0.99):.3f}",
            f"{rng.integers(0, 24):02}:{rng.integers(0, 60):02}",
            f"2024-0{rng.integers(1, 10)}-1{rng.integers(0, 10)}",
        ]
        lines.append(",".join("" if rng.random() < 0.1 else cell for cell in cells))
    return "\n".join(lines) + "\n"


def pixels() -> np.ndarray:
    """Return images [N, 3, 3] of eight grey levels."""
    return np.random.default_rng(0).integers(0, 8, (ROWS, 3, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> Callable[[str], Run]:
    """Return the run of a recipe, trained when it is first asked for."""
    made: dict[str, Path] = {}

    def run_of(recipe: str) -> Run:
        if recipe not in made:
            folder = tmp_path_factory.mktemp(recipe)
            data = folder / "people.csv"
            data.write_text(table_text())
            np.save(folder / "pixels.npy", pixels())
            labels = np.arange(ROWS) % 3 if recipe == "conditional" else None
            place = data if recipe in ("table", "table-gmm") else folder / "pixels.npy"
            if labels is not None:
                np.savez(folder / "labelled.npz", x=pixels(), y=labels)
                place = folder / "labelled.npz"
            epochs = 2 if recipe == "vq-vae" else 1
            made[recipe] = folder / "run"
            train(str(place), **{"recipe": recipe, **OPTIONS[recipe]}, out=folder / "run", epochs=epochs)
        return load(made[recipe])

    return run_of
