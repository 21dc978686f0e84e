from __future__ import annotations

import json

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data import Schema, conform, describe, from_array
from jensen.data.dataset import Raw, assemble

BITS = from_array(np.array([[0, 1], [1, 0]]))
WHOLE = from_array(np.array([[0, 3], [2, 0]]))
REAL = from_array(np.array([[0.5, 3.0], [2.0, -1.0]]))
LEVELS = Schema("integers", (2,), 4)


@pytest.mark.parametrize(
    ("data", "schema", "dtype"),
    [
        (BITS, Schema("binary", (2,)), np.uint8),
        (BITS, LEVELS, np.uint8),
        (BITS, Schema("integers", (2,), 1000), np.int32),
        (BITS, Schema("real", (2,)), np.float32),
        (WHOLE, LEVELS, np.uint8),
        (WHOLE, Schema("real", (2,)), np.float32),
        (REAL, Schema("real", (2,)), np.float64),
        (from_array(np.array([[0.0, 3.0], [2.0, 0.0]])), LEVELS, np.uint8),
    ],
)
def test_data_that_conform(data, schema, dtype):
    held = conform(data, schema)
    assert held.schema == schema
    assert held.x.dtype == dtype
    np.testing.assert_array_equal(held.x, data.x)


@pytest.mark.parametrize(
    ("data", "schema", "message"),
    [
        (BITS, Schema("binary", (3,)), r"shape \(2,\), and the training data \(3,\)"),
        (WHOLE, Schema("binary", (2,)), "values from 0 to 3"),
        (REAL, Schema("binary", (2,)), "only 0 and 1"),
        (WHOLE, Schema("integers", (2,), 3), r"hold 3 in row 0, column 1 .* from 0 to 2"),
        (REAL, LEVELS, r"hold 0.5 in row 0, column 0"),
        (from_array(np.array([[0.0, 3.0], [2.0, -1.0]])), LEVELS, r"hold -1.0 in row 1, column 1"),
    ],
)
def test_data_that_do_not_conform(data, schema, message):
    with pytest.raises(DataError, match=message) as caught:
        conform(data, schema, "test data")
    assert "test data" in caught.value.what
    assert caught.value.remedy


def test_columns_have_to_agree():
    data = assemble(Raw(np.array([[0.5, 1], [2, 3]]), names=("a", "b")), "x")
    assert conform(data, Schema("real", (2,), names=("a", "b"))).x is data.x
    assert conform(data, Schema("real", (2,))).x is data.x
    with pytest.raises(DataError, match=r"x \(evaluation data\) has no column 'c'\. It has a, b"):
        conform(data, Schema("real", (2,), names=("c", "b")))
    with pytest.raises(DataError, match=r"lacks 2 columns: 'c', 'B'\. Did you mean 'b' for 'B'\? Rename it in"):
        conform(data, Schema("real", (3,), names=("a", "c", "B")), "test data")


def test_columns_that_the_training_data_did_not_have_are_ignored():
    x = np.array([[0.5, np.nan, 3.0, 7.0], [2.0, 1.0, 4.0, 8.0]])
    data = assemble(Raw(x, names=("c", "more", "a", "extra")), "x", missing=True)
    held = conform(data, Schema("real", (2,), names=("a", "c")))
    assert held.x.tolist() == [[3.0, 0.5], [4.0, 2.0]]
    assert held.mask is None  # what is missing is not in these columns
    assert "2 columns that the training data do not have" in held.notes[-2]
    assert "more, extra" in held.notes[-2]


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_columns_in_another_order_are_put_in_that_of_the_training_data(order):
    x, names = np.array([[0.5, np.nan, 3.0], [2.0, -1.0, 4.0]]), ("a", "b", "c")
    data = assemble(Raw(x[:, order], names=tuple(names[i] for i in order)), "x", missing=True)
    held = conform(data, Schema("real", (3,), names=names))
    assert held.x.tolist() == [[0.5, 0.0, 3.0], [2.0, -1.0, 4.0]]
    assert held.mask.tolist() == [[True, False, True], [True, True, True]]
    assert held.schema.names == names
    assert "order of the training data" in held.notes[-1]


def test_labels_are_renumbered_by_name():
    data = assemble(Raw(np.array([[0.5], [2.0]]), np.array(["cat", "bee"])), "x")
    assert data.labels.tolist() == [1, 0]
    known = conform(data, Schema("real", (1,), classes=("ant", "bee", "cat")))
    assert known.labels.tolist() == [2, 1]
    unknown = conform(data, Schema("real", (1,), classes=("ant", "bee")))
    assert unknown.labels is None
    assert "are ignored" in unknown.notes[-1]


def test_describe_is_plain_and_true():
    x = np.array([[0, 1, 7], [2, 1, 7], [0, 1, 7]], dtype=np.uint8)
    description = describe(assemble(Raw(x, np.array(["b", "a", "b"])), "mine"))
    assert json.loads(json.dumps(description)) == description
    assert description["name"] == "mine"
    assert (
        description["n"],
        description["size"],
        description["shape"],
        description["kind"],
        description["levels"],
    ) == (3, 3, [3], "integers", 8)
    assert description["range"] == [0, 7]
    assert description["labels"] == {"a": 1, "b": 2}
    assert description["constant_columns"] == [1, 2]
    assert description["duplicates"] == 1
