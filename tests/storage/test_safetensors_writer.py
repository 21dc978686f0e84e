"""Tensors are written as safetensors writes them, to the byte, without a copy of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from jensen.core.errors import CompositionError
from jensen.storage.commits import commit, read_commit
from jensen.storage.files import write_atomic
from jensen.storage.safetensors_writer import KINDS, Packed


def every_kind() -> dict[str, torch.Tensor]:
    """Two tensors of every type, one of them a scalar, under names that are not in order."""
    found = {}
    for i, kind in enumerate(KINDS):
        numbers = torch.arange(6).reshape(2, 3) + i
        found |= {f"{-i}/tensor": numbers.to(kind), f"{i % 3} scalar {i}": numbers[1, 1].clone().to(kind)}
    return found


@pytest.mark.parametrize("metadata", [None, {}, {"jensen": '{"format": 1, "é": "\\"\n"}'}])
def test_the_same_bytes_as_the_library(metadata: dict[str, str] | None) -> None:
    made = Packed(every_kind() | {"none": torch.zeros(0, 3), 'é "\n': torch.ones(1)}, metadata)
    content = b"".join(made)
    assert content == save(made.tensors, metadata)
    assert len(made) == len(content)
    assert b"".join(made) == content  # it can be written again


def test_nothing_at_all() -> None:
    assert b"".join(Packed({})) == save({})


def test_rows_that_lie_apart_and_one_memory_under_two_names() -> None:
    x = torch.arange(12.0).reshape(3, 4)
    parts = {"across": x.T, "every other": x[:, ::2], "again": x, "one": torch.ones(1).expand(5)}
    found = load(b"".join(Packed(parts)))
    assert all(torch.equal(found[name], tensor) for name, tensor in parts.items())


def test_a_type_that_no_file_holds() -> None:
    with pytest.raises(CompositionError, match=r"model\.a is of torch\.complex128.*another type"):
        Packed({"model.a": torch.zeros(2, dtype=torch.complex128)})


def test_large_tensors_are_not_copied(tmp_path: Path) -> None:
    tensors = {"a": torch.rand(2**20), "b": torch.rand(2**20)}
    tracemalloc.start()
    try:
        made = commit(tmp_path, {"x": Packed(tensors)})
        write_atomic(tmp_path / "y", Packed(tensors))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert read_commit(made)["x"] == (tmp_path / "y").read_bytes() == save(tensors)
