"""Results of a table that stays in its files are written some rows after another: the same file as of all rows."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from jensen.cli import main, table_pieces
from jensen.cli.writing import Target
from jensen.data import table_files
from jensen.data.columns import Column
from jensen.data.output_tables import OutputTable
from jensen.runs import pieces
from jensen.runs.completion_pieces import completions
from jensen.runs.predict import predict_in_pieces
from jensen.runs.run_rows import RunRows
from jensen.runs.score import score_in_pieces
from jensen.runs.table_results import reconstructed_tables
from tests.cli.conftest import Answer, Call

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")
N, ROWS = 45, 7
WORDS = ("--recipe", "table", "--latent", "2", "--hidden", "8", "--points", "2", "--epochs", "1", "--quiet")
ASKED = {
    "points": ("impute", "-k", "20"),
    "intervals": ("impute", "-k", "20", "--point", "median", "--intervals", "0.8"),
    "draws": ("impute", "-k", "20", "-m", "3"),
    "one draw": ("impute", "-k", "20", "-m", "1"),
    "hidden": ("impute", "-k", "20", "--mask", "size,colour"),
    "chains": ("impute", "-k", "20", "--method", "gibbs", "--steps", "8"),
    "codes": ("encode",),
    "reconstructions": ("reconstruct",),
    "samples": ("reconstruct", "--sample"),
    "scores": ("score", "-k", "64"),
    "rows alone": ("score", "-k", "20", "--no-columns"),
    "levels": ("predict", "-k", "20", "colour"),
    "numbers": ("predict", "-k", "20", "visits"),
}


def table(n: int) -> pa.Table:
    """Rows of numbers, names (in texts that are not all plain, and in a dictionary), counts and times, with holes."""
    rng = np.random.default_rng(n)
    hole = rng.random((6, n)) < 0.15
    size = rng.normal(size=n)
    names = np.array([" red", "green", "blue "])[np.clip(np.rint(size + 1), 0, 2).astype(int)]
    return pa.table(
        {
            "who": pa.array([f"person {i}" for i in range(n)]),
            "size": pa.array(size.round(3), mask=hole[0]),
            "colour": pa.array(names, mask=hole[1]),
            "visits": pa.array(rng.poisson(2.0, n), mask=hole[2]),
            "when": pa.array(np.datetime64("2020-01-01", "s") + rng.integers(0, 10**7, n), mask=hole[3]),
            "kept": pa.array(rng.random(n) < 0.5, mask=hole[4]),
            "kind": pa.array(np.array(["a", "b"])[rng.integers(0, 2, n)], mask=hole[5]).dictionary_encode(),
        }
    ).replace_schema_metadata({"own": "note"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a table, and shards of other rows."""
    folder = tmp_path_factory.mktemp("pieces")
    parquet.write_table(table(60), folder / "x.parquet", row_group_size=16)
    (folder / "other").mkdir()
    rows = table(N)
    for i in range(2):
        parquet.write_table(rows.slice(25 * i, 25), folder / "other" / f"{i}.parquet", row_group_size=9)
    assert main(["train", str(folder / "x.parquet"), "--out", str(folder / "run"), *WORDS]) == 0
    return folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each piece that is written: tables stay in their files by themselves, and pieces have few rows."""
    sizes: list[int] = []
    write = table_pieces.write_tables

    def counted(target: Target, tables: Iterable[Sequence[OutputTable]], columns: Sequence[Column]) -> None:
        def seen() -> Iterator[Sequence[OutputTable]]:
            for versions in tables:
                sizes.append(len(versions[0]))
                yield versions

        write(target, seen(), columns)

    monkeypatch.setattr(table_pieces, "write_tables", counted)
    monkeypatch.setattr(table_files, "LARGE", 1)
    monkeypatch.setattr(pieces, "ROWS", ROWS)
    for function in (RunRows.completions, completions, score_in_pieces, predict_in_pieces, reconstructed_tables):
        monkeypatch.setitem(inspect.unwrap(function).__kwdefaults__, "size", ROWS)
    return sizes


def answered(jensen: Call, folder: Path, asked: str, out: Path | str, *more: object) -> tuple[Answer, dict]:
    """What a command says of the file that it writes."""
    verb, *words = ASKED[asked]
    names = [words.pop()] if verb == "predict" else []
    answer = jensen(verb, folder / "run", folder / "other", *names, *words, "--out", out, *more)
    assert answer.code == 0, answer.err
    said = json.loads(answer.out) if "--json" in more else {}
    return answer, {name: value for name, value in said.items() if name not in ("out", "seconds")}


@pytest.mark.parametrize("asked", list(ASKED))
@pytest.mark.sampled(6)
def test_files_and_records_are_those_of_all_rows(
    jensen: Call, folder: Path, asked: str, here: Path, request: pytest.FixtureRequest
) -> None:
    said = answered(jensen, folder, asked, "whole.csv", "--json")[1]
    sizes = request.getfixturevalue("written")
    of_pieces = answered(jensen, folder, asked, "pieces.csv", "--json")[1]
    assert sizes == [ROWS] * (N // ROWS) + [N % ROWS]
    assert (here / "pieces.csv").read_bytes() == (here / "whole.csv").read_bytes()
    means, of_whole = of_pieces.pop("given_others", None), said.pop("given_others", None)
    assert means == (None if of_whole is None else pytest.approx(of_whole, rel=1e-12))
    assert json.dumps(of_pieces) == json.dumps(said)
    assert sorted(path.name for path in here.iterdir()) == ["pieces.csv", "whole.csv"]


@pytest.mark.parametrize("asked", ["intervals", "draws", "codes", "samples", "scores", "levels"])
@pytest.mark.sampled(3)
def test_parquet_files_have_the_cells_and_types_of_all_rows(
    jensen: Call, folder: Path, asked: str, here: Path, request: pytest.FixtureRequest
) -> None:
    answered(jensen, folder, asked, "whole.parquet")
    request.getfixturevalue("written")
    answered(jensen, folder, asked, "pieces.parquet")
    whole, cut = (parquet.read_table(here / f"{name}.parquet") for name in ("whole", "pieces"))
    assert cut.schema.equals(whole.schema, check_metadata=True)
    assert cut.to_pylist() == whole.to_pylist()
    assert parquet.ParquetFile(here / "pieces.parquet").num_row_groups >= N // ROWS


@pytest.mark.parametrize("asked", ["draws", "numbers"])
def test_stdout_has_the_text_of_the_file(
    jensen: Call, folder: Path, asked: str, here: Path, written: list[int]
) -> None:
    answered(jensen, folder, asked, "pieces.csv")
    out = answered(jensen, folder, asked, "-")[0].out
    assert len(written) == 2 * -(-N // ROWS)
    assert out == (here / "pieces.csv").read_text()


def test_own_rows_in_any_order_come_in_pieces_too(
    jensen: Call, folder: Path, here: Path, request: pytest.FixtureRequest
) -> None:
    words = ("impute", folder / "run", "-k", "20", "--out")
    assert jensen(*words, "whole.csv").code == 0
    sizes = request.getfixturevalue("written")
    assert jensen(*words, "pieces.csv").code == 0
    assert sizes == [6]  # of 60 rows, those that were kept aside for a test
    assert (here / "pieces.csv").read_bytes() == (here / "whole.csv").read_bytes()


@pytest.mark.parametrize("asked", ["intervals", "draws", "reconstructions", "levels"])
@pytest.mark.sampled(2)
def test_feather_files_and_sheets_have_the_cells_of_all_rows(
    jensen: Call, folder: Path, asked: str, here: Path, request: pytest.FixtureRequest
) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    for suffix in (".feather", ".xlsx"):
        answered(jensen, folder, asked, f"whole{suffix}")
    sizes = request.getfixturevalue("written")
    for suffix in (".feather", ".xlsx"):
        answered(jensen, folder, asked, f"pieces{suffix}")
    assert len(sizes) == 2 * -(-N // ROWS)
    whole, cut = (feather.read_table(here / f"{name}.feather") for name in ("whole", "pieces"))
    assert cut.schema.equals(whole.schema, check_metadata=True)
    assert cut.to_pylist() == whole.to_pylist()
    books = (openpyxl.load_workbook(here / f"{name}.xlsx").worksheets[0] for name in ("whole", "pieces"))
    sheets = [[[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in books]
    assert sheets[0] == sheets[1]


@pytest.mark.parametrize("asked", ["intervals", "draws", "codes", "reconstructions", "rows alone", "levels"])
@pytest.mark.sampled(3)
def test_archives_have_the_arrays_of_all_rows(
    jensen: Call, folder: Path, asked: str, here: Path, request: pytest.FixtureRequest
) -> None:
    answered(jensen, folder, asked, "whole.npz")
    request.getfixturevalue("written")
    answered(jensen, folder, asked, "pieces.npz")
    with np.load(here / "whole.npz") as whole, np.load(here / "pieces.npz") as cut:
        assert cut.files == whole.files
        for name in whole.files:
            assert (cut[name].dtype, cut[name].shape) == (whole[name].dtype, whole[name].shape)
            np.testing.assert_array_equal(cut[name], whole[name])


def test_a_sheet_of_too_many_rows_is_refused_before_the_work(
    jensen: Call, folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jensen.data.table_writing.SHEET_ROWS", N)
    for verb, *words in (*ASKED.values(), ("sample", "-n", str(N))):
        names = [words.pop()] if verb == "predict" else []
        data = [] if verb == "sample" else [folder / "other"]
        answer = jensen(verb, folder / "run", *data, *names, *words, "--out", "x.xlsx")
        assert answer.code == 2, verb
        assert f"a sheet of Excel has {N - 1} rows" in answer.err
    assert list(here.iterdir()) == []


def test_tables_in_memory_are_written_whole(jensen: Call, folder: Path, here: Path, written: list[int]) -> None:
    parquet.write_table(table(10), here / "few.parquet")
    table_files.LARGE = 10**6  # put back by the fixture
    assert jensen("predict", folder / "run", "few.parquet", "colour", "-k", "20", "--out", "p.csv").code == 0
    assert written == []


def test_a_piece_that_fails_leaves_no_file(
    jensen: Call, folder: Path, here: Path, written: list[int], monkeypatch
) -> None:
    take = table_pieces.as_plain
    monkeypatch.setattr(table_pieces, "as_plain", lambda t, texts: take(t, texts) if len(written) < 3 else 1 / 0)
    assert jensen("impute", folder / "run", folder / "other", "-k", "20", "-m", "2", "--out", "pieces.csv").code == 1
    assert len(written) == 3
    assert list(here.iterdir()) == []
