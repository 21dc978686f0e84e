"""Seals: a record without its digest, or with another content, is told from a whole one and from one of old."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from jensen.storage.seals import BrokenSeal, opened_seal, seal_of, sealed

RECORD = {"b": [1, 2.5, None, "é"], "a": {"y": 1e-7, "x": True}}


def test_the_digest_is_that_of_the_canonical_form() -> None:
    canonical = '{"a":{"x":true,"y":1e-7},"b":[1,2.5,null,"é"],"format":2}'
    assert sealed(RECORD) == {"format": 2, **RECORD, "sha256": hashlib.sha256(canonical.encode()).hexdigest()}
    after = hashlib.sha256(("previous" + canonical).encode()).hexdigest()
    assert sealed(RECORD, "previous")["sha256"] == after


def test_a_record_is_sealed_anew_and_keeps_its_own_format() -> None:
    once = sealed({"format": 7, **RECORD})
    assert once["format"] == 7
    assert sealed(once) == once
    assert sealed(once | {"b": 1})["sha256"] != once["sha256"]


def test_what_is_no_plain_value_is_sealed_as_it_will_be_read() -> None:
    record = sealed({"n": np.int64(3), "x": np.float32(0.5), "t": (1, 2), "bad": float("nan"), 5: "key"})
    again = json.loads(json.dumps(record))
    assert opened_seal(again, demanded=True) == {"format": 2, "n": 3, "x": 0.5, "t": [1, 2], "bad": None, "5": "key"}
    with pytest.raises(TypeError, match="a object cannot be written"):
        sealed({"a": object()})


@pytest.mark.parametrize("demanded", [True, False])
@pytest.mark.parametrize(
    "change",
    [{"b": 1}, {"more": None}, {"format": 3}, {"sha256": "0" * 64}, {"sha256": None}, {"a": {"y": 1e-7, "x": 1}}],
)
def test_a_changed_record_is_refused(change: dict[str, Any], demanded: bool) -> None:
    with pytest.raises(BrokenSeal, match="changed since it was written"):
        opened_seal(sealed(RECORD) | change, demanded=demanded)
    with pytest.raises(BrokenSeal):
        opened_seal(sealed(RECORD), demanded=demanded, before="another")


def test_a_record_without_a_digest() -> None:
    assert opened_seal(RECORD, demanded=False) == RECORD
    with pytest.raises(BrokenSeal):
        opened_seal(RECORD, demanded=True)


def test_a_record_that_is_nested_too_deeply() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(BrokenSeal, match="nested too deeply"):
        seal_of(deep)
    while deep:  # it would overflow the stack when it is forgotten
        deep = deep.pop("a", {})
