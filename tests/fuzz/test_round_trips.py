"""What is written is read as it was, whatever it is: arrays in every format, specifications, states."""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from PIL import Image

from jensen.core.parts import build, spec_of
from jensen.data import Preparation, Schema, read
from jensen.families import Bernoulli, Gaussian
from jensen.storage.commits import commit, commits, read_commit
from jensen.storage.weights import read_weights, write_weights
from jensen.training.snapshot import pack, unpack

ROWS, COLUMNS = some.integers(2, 6), some.integers(1, 4)
KINDS = some.sampled_from(["u1", "i2", ">i4", "<f4", ">f8", "<i8"])
NUMBERS = some.floats(-1e6, 1e6, width=32)


@some.composite
def tables(draw: Any, kinds: Any = KINDS) -> np.ndarray:
    kind = np.dtype(draw(kinds))
    of = NUMBERS if kind.kind == "f" else arrays.from_dtype(kind)
    x = draw(arrays.arrays(kind, (draw(ROWS), draw(COLUMNS)), elements=of))
    return np.asfortranarray(x) if draw(some.booleans()) else x


def same(x: np.ndarray, path: Path, **options: Any) -> None:
    found = read(path, **options)
    assert (found.x == x.reshape(len(x), -1)).all()


@settings(max_examples=10)
@given(tables())
def test_arrays(x: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "x.npy", x)
        same(x, folder / "x.npy")
        np.savez_compressed(folder / "x.npz", x=x, y=np.arange(len(x)))
        same(x, folder / "x.npz")
        assert read(folder / "x.npz").labels.tolist() == list(range(len(x)))
        scipy.io.savemat(folder / "x.mat", {"x": x}, do_compression=bool(x.size % 2))
        same(x, folder / "x.mat")


@settings(max_examples=10)
@given(tables(some.just("<f8")), some.sampled_from([",", ";", "\t", " "]), some.booleans())
def test_tables_of_text(x: np.ndarray, mark: str, named: bool) -> None:
    lines = [mark.join(f"c{i}" for i in range(x.shape[1]))] if named else []
    lines += [mark.join(repr(float(v)) for v in row) for row in x]
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "x.csv").write_text("\n".join(lines) + "\n")
        same(x, Path(name) / "x.csv")


@settings(max_examples=10)
@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=5)))
def test_pictures_and_idx(x: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "x-idx3-ubyte").write_bytes(struct.pack(">HBB3I", 0, 8, 3, *x.shape) + x.tobytes())
        same(x, folder / "x-idx3-ubyte")
        (folder / "x").mkdir()
        for i, image in enumerate(x):
            held = io.BytesIO()
            Image.fromarray(image).save(held, ("PNG", "BMP", "TIFF")[i % 3])
            (folder / "x" / f"{i}.png").write_bytes(held.getvalue())
        same(x, folder / "x")


@given(
    some.sampled_from(["binary", "real"]),
    some.tuples(COLUMNS) | some.tuples(COLUMNS, COLUMNS, COLUMNS),
    some.lists(some.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
    some.integers(0, 2**31),
)
def test_schemas_and_preparations(kind: str, shape: tuple[int, ...], center: list[float], seed: int) -> None:
    schema = Schema(kind, shape)

    def through(plain: dict[str, Any]) -> dict[str, Any]:
        return msgspec.json.decode(msgspec.json.encode(plain))

    assert Schema.from_dict(through(schema.to_dict())) == schema
    made = Preparation(None, True, np.array(center), np.array(1.0), seed)
    again = Preparation.from_dict(through(made.to_dict()))
    assert (again.center == made.center).all()
    assert again.to_dict() == made.to_dict()


@settings(max_examples=10)
@given(
    some.recursive(some.builds(Gaussian, some.integers(1, 5)) | some.builds(Bernoulli, some.integers(1, 5)), some.lists)
)
def test_trees_of_parts(tree: Any) -> None:
    nodes = spec_of(tree) if not isinstance(tree, list) else spec_of(*tree)
    again = build(nodes)
    assert spec_of(*again) == nodes


PLAIN = some.none() | some.booleans() | some.integers(-(2**53), 2**53) | some.text(max_size=4) | NUMBERS


@settings(max_examples=25)
@given(
    some.recursive(
        PLAIN | some.builds(lambda n: torch.arange(n).double(), some.integers(0, 3)),
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.integers(0, 9), inner, max_size=3),
    )
)
def test_states_of_optimisers(value: Any) -> None:
    tensors: dict[str, torch.Tensor] = {}
    packed = pack(value, "o", tensors)
    again: dict[str, torch.Tensor] = {}
    assert pack(unpack(packed, tensors), "o", again) == packed
    assert all(torch.equal(again[k], t) for k, t in tensors.items())


@settings(max_examples=20)
@given(
    some.dictionaries(
        some.text("abc.-", min_size=1, max_size=5).filter(lambda n: n.strip(".")), some.binary(max_size=99)
    )
)
def test_commits(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        commit(Path(name), files)
        assert read_commit(commits(Path(name))[0]) == files


@settings(max_examples=20)
@given(
    some.lists(arrays.array_shapes(max_dims=3, max_side=4), min_size=1, max_size=3),
    some.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]),
)
def test_weights(shapes: list[tuple[int, ...]], dtype: torch.dtype) -> None:
    module = torch.nn.Module()
    for i, shape in enumerate((*shapes, (), (0, 2))):
        module.register_buffer(f"b{i}", torch.arange(int(np.prod(shape))).reshape(shape).to(dtype))
    before = {k: t.clone() for k, t in module.named_buffers()}
    with tempfile.TemporaryDirectory() as name:
        write_weights(Path(name), module, {"seed": 1}, None)
        for tensor in module.buffers():
            tensor.zero_()
        read_weights(Path(name), module, {"seed": 1})
    assert all(torch.equal(before[k], t) for k, t in module.named_buffers())
