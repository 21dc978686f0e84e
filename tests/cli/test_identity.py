"""Results say which row of which source each of their rows is: joined back by any of its names, they are the source."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jensen.cli import main
from jensen.runs.run import load

N = 60


def jensen(*words: str) -> None:
    assert main([*words, "--quiet"]) == 0


def table_of(path: Path) -> Any:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with text that identifies its rows, holes, and a column that has the name of a result's."""
    path, noise = tmp_path_factory.mktemp("patients") / "patients.csv", np.random.default_rng(0)
    x = np.round(noise.normal(size=(N, 3)), 3).astype(object)
    x[::7, 1] = ""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient id", "row", "weight", "z1"])
        writer.writerows([f'P "{i * 37 % 101:03}", é', *cells] for i, cells in enumerate(x.tolist()))
    jensen("train", str(path), "--recipe", "miwae", "--latent", "2", "--epochs", "1", "--out", str(path.parent / "run"))
    return path


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arrays with the ids of cells, of which an .npz of results must not take the names of its own arrays."""
    folder, noise = tmp_path_factory.mktemp("cells"), np.random.default_rng(1)
    ids = np.array([f"AAC-{i}" for i in noise.permutation(N)])
    np.savez(folder / "cells.npz", x=noise.normal(size=(N, 4)), cell_ids=ids)
    jensen("train", str(folder / "cells.npz"), "--latent", "2", "--epochs", "1", "--out", str(folder / "run"))
    return folder / "cells.npz"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images, each of another grey."""
    folder = tmp_path_factory.mktemp("photographs") / "grey"
    folder.mkdir()
    for i in np.random.default_rng(2).permutation(40):
        grey = np.full((4, 4), 5 * i + 1, np.uint8)
        grey[0, 0] = 0
        Image.fromarray(grey).save(folder / f"photo {i}.png")
    jensen("train", str(folder), "--latent", "2", "--epochs", "1", "--out", str(folder.parent / "run"))
    return folder


def test_rows_of_a_table_are_joined_by_number_and_by_name(patients: Path, tmp_path: Path) -> None:
    source = table_of(patients)
    run, out = str(patients.parent / "run"), tmp_path / "completed.csv"
    jensen("impute", run, "-m", "2", "--out", str(out))
    completed = table_of(out)
    assert list(completed.columns) == ["version", "row (2)", "patient id", "row", "weight", "z1"]
    tested = sorted(load(run).split().test.tolist())
    for version in (1, 2):
        of_version = completed[completed["version"] == version]
        assert sorted(of_version["row (2)"]) == tested  # of the file, not of the part
        by_number = source.iloc[of_version["row (2)"]].reset_index(drop=True)
        by_name = of_version[["patient id"]].merge(source, on="patient id", validate="one_to_one")
        for joined in (by_number, by_name):
            assert joined["patient id"].tolist() == of_version["patient id"].tolist()
            observed = joined["weight"].notna().to_numpy()
            assert not observed.all()
            assert np.array_equal(joined["weight"][observed], of_version["weight"].to_numpy()[observed])
            assert np.array_equal(joined["row"], of_version["row"])


def test_the_code_of_a_row_is_that_of_the_row_that_it_names(patients: Path, tmp_path: Path) -> None:
    """Rows of the run, and the same rows as DATA in another order, have the same codes by their names."""
    run, source = str(patients.parent / "run"), table_of(patients)
    jensen("encode", run, "--out", str(tmp_path / "own.csv"))
    shuffled = source.sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "shuffled.csv", index=False)
    jensen("encode", run, str(tmp_path / "shuffled.csv"), "--out", str(tmp_path / "other.csv"))
    own, other = table_of(tmp_path / "own.csv"), table_of(tmp_path / "other.csv")
    assert list(own.columns) == list(other.columns) == ["row", "patient id", "z1", "z2"]
    assert other["row"].tolist() == list(range(N))
    assert other["patient id"].tolist() == shuffled["patient id"].tolist()
    joined = own.merge(other, on="patient id", validate="one_to_one")
    assert len(joined) == len(own)
    assert np.allclose(joined[["z1_x", "z2_x"]], joined[["z1_y", "z2_y"]], atol=1e-6)
    assert source["patient id"].iloc[own["row"]].tolist() == own["patient id"].tolist()


def test_arrays_hold_the_ids_of_cells(cells: Path, tmp_path: Path) -> None:
    source, run = np.load(cells), str(cells.parent / "run")
    for verb, more in (("encode", []), ("reconstruct", []), ("impute", ["-m", "2", "--mask", str(_last(tmp_path))])):
        jensen(verb, run, *more, "--out", str(tmp_path / f"{verb}.npz"))
        result = np.load(tmp_path / f"{verb}.npz")
        assert np.array_equal(result["cell_ids"], source["cell_ids"][result["row"]])
        assert len(result["row"]) == result["x"].shape[verb == "impute"]
    assert np.array_equal(np.load(tmp_path / "reconstruct.npz")["original"], source["x"][result["row"]])
    assert np.array_equal(result["x"][1][:, :3], source["x"][result["row"]][:, :3])


def _last(folder: Path) -> Path:
    """A mask that hides the last column."""
    np.save(folder / "mask.npy", np.array([0, 0, 0, 1]))
    return folder / "mask.npy"


def test_images_have_their_files_and_numbers(photographs: Path, tmp_path: Path) -> None:
    run = str(photographs.parent / "run")
    jensen("reconstruct", run, str(photographs), "--out", str(tmp_path / "all.npz"))
    jensen("encode", run, "--out", str(tmp_path / "codes.csv"))
    every, codes = np.load(tmp_path / "all.npz"), table_of(tmp_path / "codes.csv")
    assert list(codes.columns[:2]) == ["row", "file"]
    for name, image in zip(every["files"], every["original"], strict=True):
        assert np.array_equal(np.asarray(Image.open(photographs / str(name))), image[..., 0])
    assert codes["file"].tolist() == every["files"][codes["row"]].tolist()


def test_a_name_of_a_result_stays_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Identifiers called as the columns and arrays of results are."""
    noise, path = np.random.default_rng(3), tmp_path / "x.csv"
    frame = pd.DataFrame(noise.normal(size=(40, 2)), columns=["a", "b"])
    frame.insert(0, "version", [f"v{i}" for i in range(40)])
    frame.insert(0, "x", [f"x{i}" for i in range(40)])
    frame.to_csv(path, index=False)
    jensen("train", str(path), "--recipe", "ppca", "--latent", "1", "--out", str(tmp_path / "run"))
    capsys.readouterr()
    holed = frame.copy()
    holed.loc[3, "a"] = np.nan
    holed.to_csv(tmp_path / "holed.csv", index=False)
    jensen("impute", str(tmp_path / "run"), str(tmp_path / "holed.csv"), "-m", "1", "--out", "-")
    made = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(made.columns) == ["version", "row", "x", "version (2)", "a", "b"]
    assert made["version (2)"].tolist() == frame["version"].tolist()
    assert np.array_equal(np.delete(made[["a", "b"]].to_numpy(), 3, 0), np.delete(frame[["a", "b"]].to_numpy(), 3, 0))
    jensen("encode", str(tmp_path / "run"), "--out", str(tmp_path / "codes.npz"), "--json")
    assert json.loads(capsys.readouterr().out)["features"] == 1
    codes = np.load(tmp_path / "codes.npz")
    assert codes["x"].shape == (len(codes["row"]), 1)
    assert codes["x (2)"].tolist() == frame["x"].iloc[codes["row"]].tolist()


@pytest.mark.parametrize(
    "names",
    [
        ["self", "x", "names"],  # as the arguments of a function
        ["file", "allow_pickle", "args"],  # as those of np.savez
        pytest.param(["file", "files", "labels"], marks=pytest.mark.slow),
        pytest.param(["label", "kind", "row id"], marks=pytest.mark.slow),
        ["original", "mean", "ess"],
        ["a/b", "../up", "picture"],
    ],
)
@pytest.mark.sampled(2)
def test_identifiers_of_any_name_are_kept_in_any_format(names: list[str], tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(5).normal(size=(40, 2)), columns=["p", "q"])
    frame["sort"] = ["ab"[i % 2] for i in range(40)]
    for name in names:
        frame[name] = [f"{name} {i}" for i in range(40)]
    frame.to_csv(tmp_path / "x.csv", index=False)
    np.save(tmp_path / "mask.npy", np.array([1, 0]))
    run, more = str(tmp_path / "run"), {"impute": ["-m", "1", "--mask", str(tmp_path / "mask.npy")]}
    words = ["--recipe", "ppca", "--latent", "1", "--labels", "sort"]
    jensen("train", str(tmp_path / "x.csv"), *words, "--out", run)
    tested = load(run).split().test
    for verb in ("encode", "reconstruct", "impute"):
        for suffix in (".csv", ".npz"):
            out = tmp_path / f"{verb}{suffix}"
            jensen(verb, run, *more.get(verb, []), "--out", str(out))
            held = pd.read_csv(out) if suffix == ".csv" else np.load(out)
            columns = [np.asarray(held[key]).tolist() for key in held]
            assert len({*held}) == len(columns)
            for name in names:
                assert [f"{name} {i}" for i in tested] in columns, (verb, suffix, name)
