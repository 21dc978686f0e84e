"""Records compared leaf by leaf."""

from __future__ import annotations

from jensen.core.records import differences, leaf_pairs


def test_differences() -> None:
    assert list(differences({"a": {"b": 1}, "c": [1]}, {"a": {"b": 2}, "c": [1, 2]})) == [
        ("a.b", 1, 2),
        ("c", [1], [1, 2]),
    ]


def test_places_in_lists() -> None:
    old, new = {"curve": [{"k": 1}, {"k": 2}]}, {"curve": [{"k": 1}, {"k": 3}]}
    assert list(differences(old, new)) == [("curve[1].k", 2, 3)]
    assert list(leaf_pairs(old, new)) == [("curve[0].k", 1, 1), ("curve[1].k", 2, 3)]


def test_a_key_that_is_missing_or_left_out() -> None:
    old, new = {"a": 1, "seconds": 2.0}, {"b": None, "seconds": 3.0}
    assert list(differences(old, new)) == [("a", 1, None), ("seconds", 2.0, 3.0)]
    assert list(leaf_pairs(old, new, left_out={"seconds"})) == [("a", 1, None), ("b", None, None)]


def test_another_type_is_one_difference() -> None:
    assert list(differences({"a": [1]}, {"a": {"b": 1}})) == [("a", [1], {"b": 1})]
