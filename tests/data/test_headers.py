"""Headers and indices, judged by how they differ from rows."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.data.headers import is_index, is_unnamed, judge, leading_indices

REALS = [[f"{v:.3f}" for v in row] for row in np.random.default_rng(0).normal(size=(50, 3))]
WHOLE = [[str(v) for v in row] for row in np.random.default_rng(0).integers(0, 9, size=(50, 3))]


@pytest.mark.parametrize(
    ("first", "body"),
    [
        ("a,b,c", REALS),
        ("a,b,c", [["x", "y", "z"], *WHOLE]),
        ("0,1,2", REALS),
        ("1,2,3", WHOLE),
        ("2019,2020,2021", WHOLE),
        ("2021,2020,2019", REALS),
        ("1990,2000,2005", WHOLE),
        ("400,410,420", REALS),
        ("id,2019,2020", REALS),
        ("5%,50%,95%", REALS),
        ("2020-01,2020-02,2020-03", WHOLE),
        ("0 mg,5 mg,10 mg", REALS),
        ("a,b,c", [["1,5", "2,5", "3"]]),
        (",0,1", [["0", "0", "1"], ["1", "1", "0"], ["2", "0", "1"]]),
        (",a,b", [["17", "1", "2"], ["3", "4", "5"]]),
    ],
)
def test_headers(first, body):
    assert judge(first.split(","), body).is_header


@pytest.mark.parametrize(
    ("first", "body"),
    [
        ("0.5,1,2", REALS),
        ("4,2,7", WHOLE),
        ("0,1,2", [["3", "4", "5"], ["6", "7", "8"]]),
        ("1,2,3", [["3", "2", "1"], ["2", "1", "3"], ["2", "3", "1"]]),
        ("1999,2004,2010", [["1990", "2000", "1980"], ["2005", "2001", "1950"]]),
        ("NA,2,3", WHOLE),
        (",2,3", WHOLE),
        ("?,1,2", REALS),
        ("abc,2,2", WHOLE),
        ("abc,2.5,3.5", REALS),
        ("1;5,2;5,3;5", [["1,5", "2", "3"]]),
        ("x,y,z", [["x", "y", "z"]]),
        ("NA,NA,NA", REALS),
        ("a,b,c", []),
    ],
)
def test_rows(first, body):
    assert not judge([f.replace(";", ",") for f in first.split(",")], body).is_header


def test_doubt_is_told():
    assert judge(["0", "1", "2"], WHOLE).doubt
    assert judge(["0", "1"], [["1", "1"], ["0", "1"]]).doubt
    assert not judge(["a", "b", "c"], WHOLE).doubt
    assert not judge(WHOLE[0], WHOLE[1:]).doubt


def test_indices():
    assert is_index(["0", "1", "2"])
    assert is_index(["1", "2"])
    assert is_index(["x", "y"])
    assert not is_index(["5", "5", "6"])
    assert not is_index(["0.5", "1", "2"])
    assert not is_index(["1", "x"])
    assert not is_index(["", "1", "2"])
    assert [is_unnamed(n) for n in ("", "Unnamed: 0", "Unnamed: 0.1", "Unnamed: 3", "id")] == [True] * 3 + [False] * 2
    counted = ["0", "1"]
    assert leading_indices(["", "Unnamed: 0", "a"], iter([counted, counted, counted])) == 2
    assert leading_indices(["a", "", "b"], iter([counted, counted, counted])) == 0
    assert leading_indices([""], iter([counted])) == 0
