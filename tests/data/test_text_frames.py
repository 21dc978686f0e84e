"""Each odd table is read rightly, or refused with file, line and column."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data import read
from jensen.data.cells import decode

from .odd_tables import ODD

READ = [name for name, odd in ODD.items() if odd.error is None]
REFUSED = [name for name, odd in ODD.items() if odd.error is not None]


def written(tmp_path, name):
    path = tmp_path / f"x{ODD[name].suffix}"
    path.write_bytes(ODD[name].content)
    return path


@pytest.mark.parametrize("name", READ)
def test_an_odd_table_is_read(tmp_path, name):
    odd = ODD[name]
    dataset = read(written(tmp_path, name), typed=True)
    columns = {c.name: c for c in dataset.schema.columns}
    assert {n: c.kind for n, c in columns.items()} == odd.kinds
    mask = np.ones(dataset.x.shape, bool) if dataset.mask is None else dataset.mask
    for column, cells in odd.cells.items():
        j = list(columns).index(column)
        texts = decode(columns[column], dataset.x[:, j])
        assert [t if ok else "" for t, ok in zip(texts, mask[:, j], strict=True)] == cells
    for note in odd.notes:
        assert any(note in n for n in dataset.notes), dataset.notes


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_table_is_refused_with_its_place(tmp_path, name):
    path = written(tmp_path, name)
    with pytest.raises(DataError, match=f"(?s){ODD[name].error}") as caught:
        read(path, typed=True)
    assert str(path) in str(caught.value)


def test_there_are_thirty():
    assert len(READ) >= 30
    assert len(REFUSED) >= 8


@pytest.mark.parametrize("name", READ)
def test_the_columns_of_a_run_read_the_same_numbers(tmp_path, name):
    path = written(tmp_path, name)
    first = read(path, typed=True)
    again = read(path, schema=first.schema.columns)
    assert np.array_equal(again.x, first.x)
    assert again.source.sha256 == first.source.sha256
    assert again.schema == first.schema


ODD_BYTES = [b"", b"NA", b"1e400", b"12:30", *(bytes([b]) for b in b',;"\n0.- \t#\xff%')]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The bytes of a table with a few of them replaced."""
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.choice(ODD_BYTES) + content[at + rng.choice([0, 0, 1, 3]) :]
    return content


@pytest.mark.parametrize("seed", [0, pytest.param(range(1, 60), marks=pytest.mark.slow)])
def test_damaged_tables_are_refused_or_read_the_same_twice(tmp_path, seed):
    for number in (seed,) if isinstance(seed, int) else seed:
        rng, path = random.Random(number), tmp_path / "x.csv"
        for odd in ODD.values():
            path.write_bytes(damaged(odd.content, rng))
            with contextlib.suppress(DataError):
                first = read(path, typed=True)
                again = read(path, schema=first.schema.columns)
                assert np.array_equal(again.x, first.x)
