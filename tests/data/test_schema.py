from __future__ import annotations

import json

import pytest

from jensen.core.errors import CorruptRunError, UsageError
from jensen.data import Schema


@pytest.mark.parametrize(
    "schema",
    [
        Schema("binary", (28, 28, 1)),
        Schema("integers", (8, 8, 1), 17, classes=("a", "b")),
        Schema("real", (2,), names=("height", "weight")),
    ],
)
def test_schema_survives_json(schema):
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


def test_schema_sizes():
    assert Schema("binary", (4, 5, 3)).size == 60
    assert Schema("binary", (4, 5, 3)).is_image
    assert not Schema("real", (60,)).is_image


@pytest.mark.parametrize(
    "arguments", [("integers", (3,)), ("real", (3,), 17), ("real", (2, 3)), ("real", (0,)), ("real", ())]
)
def test_schema_refuses_what_does_not_exist(arguments):
    with pytest.raises(UsageError):
        Schema(*arguments)


@pytest.mark.parametrize(
    "plain", [{}, {"kind": "real"}, {"kind": "real", "shape": [2], "colour": 1}, {"kind": "x", "shape": [1]}]
)
def test_damaged_schema_is_a_corrupt_run(plain):
    with pytest.raises(CorruptRunError):
        Schema.from_dict(plain)
