"""Kinds of columns are guessed from names and cells, with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data.column_kinds import infer
from jensen.data.frames import TextCells, TypedCells
from jensen.data.hints import hinted
from jensen.data.number_kinds import number_column
from jensen.data.scales import in_order, is_scale

RNG = np.random.default_rng(0)
REAL, WHOLE = RNG.normal(size=300), RNG.integers(17, 91, 300)


FIRST, LAST = (
    ["Anna", "Ben", "Carl", "Dora", "Emil", "Fay", "Gus", "Hal"],
    "Smith Jones Brown Lee Khan Diaz Roy Ito Moore Hill Li Bo",
)
PEOPLE = [f"{first} {last}" for first in FIRST for last in LAST.split()]


def texts(values) -> TextCells:
    return TextCells.of([str(v) for v in values])


KINDS = {
    "real": ("x", texts(REAL.round(3))),
    "positive": ("fare", texts(np.exp(REAL).round(3) + 0.001)),
    "bounded": ("share", texts(RNG.uniform(0.01, 0.99, 300).round(3))),
    "integer": ("age", texts(WHOLE)),
    "count": ("visits", texts(RNG.poisson(0.8, 300) ** 2)),
    "ordinal": ("quality", texts(RNG.integers(3, 9, 300))),
    "ordinal, of names": ("risk", texts(["low", "high", "medium"] * 10)),
    "boolean": ("dead", texts(RNG.integers(0, 2, 300))),
    "boolean, of names": ("sex", texts(["M", "F"] * 10)),
    "categorical": ("color", texts(["red", "blue", "green"] * 10)),
    "categorical, constant": ("v", texts([7] * 30)),
    "categorical, codes": ("zip", texts(["01234", "98765", "00001"] * 10)),
    "circular": ("month", texts(RNG.integers(1, 13, 300))),
    "circular, hours": ("hour", texts(RNG.integers(0, 24, 300))),
    "circular, angles": ("wind_direction", texts(RNG.uniform(0, 360, 300).round(1))),
    "datetime": ("day", texts(np.datetime64("2020-01-01") + np.arange(30))),
    "datetime, in eight digits": ("birth_date", texts([20200101 + i for i in range(30)])),
    "integer, no circle": ("hours-per-week", texts(RNG.integers(1, 24, 300))),
    "integer, large": ("n", texts(RNG.integers(-(2**40), 2**40, 300))),
    "integer, large with zeros": ("revenue", texts([0] * 100 + RNG.integers(1, 2**40, 200).tolist())),
    "positive, large and whole": ("population", texts(np.floor(np.exp(15 + 2 * REAL)).astype(int))),
    "real, whole and not exact": ("n", TypedCells(RNG.integers(-(2**60), 2**60, 300), np.ones(300, bool), "int64")),
}


@pytest.mark.parametrize("case", KINDS)
def test_the_kind_of_a_column(case):
    guess = infer(*KINDS[case])
    assert guess.column is not None, guess.reason
    assert guess.column.kind == case.partition(",")[0]
    assert guess.reason


def test_whole_numbers_of_which_none_is_negative_stay_so():
    ages, degrees = infer("age", texts(WHOLE)).column, infer("degrees", texts(WHOLE - 40)).column
    assert ages is not None
    assert degrees is not None
    assert (ages.kind, ages.low, degrees.kind, degrees.low) == ("integer", 0, "integer", None)


LEFT_OUT = {
    "names": ("who", texts([f"Mr {i:x}" for i in range(30)]), "differs in every row"),
    "numbers that count rows": ("n", texts(range(1, 31)), "identifier"),
    "numbers of a name that says so": ("patient_id", texts(RNG.permutation(1000)[:30]), "identifier"),
    "long numbers": ("card", texts([10**17 + i for i in range(30)]), "differs in every row"),
    "free text": ("remark", texts([f"a longer remark {i // 2}" for i in range(31)]), "free text"),
    "names of persons": (
        "who",
        texts([PEOPLE[i % 96] for i in range(600)]),
        "96 names in 600 rows, fewer than 10 rows",
    ),
    "codes of a name that says so": ("patient", texts([f"P{i % 40:x}" for i in range(200)]), "identify persons"),
    "nothing": ("spare", texts(["", "NA"] * 10), "no cell is observed"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_column_is_left_out_with_its_reason(case):
    name, cells, reason = LEFT_OUT[case]
    guess = infer(name, cells)
    assert guess.column is None
    assert reason in guess.reason


@pytest.mark.parametrize(
    ("name", "levels", "n"),
    [
        ("who", PEOPLE, 960),  # ten rows each
        ("who", PEOPLE[:10], 40),
        ("city", ["New York", *[f"Ville{chr(97 + i)}" for i in range(25)]], 200),
        ("job", [f"{kind} {what}" for kind in ("chief", "junior", "machine") for what in LAST.split()], 200),
    ],
)
def test_names_that_repeat_are_levels_and_so_are_kinds_of_things(name, levels, n):
    column = infer(name, texts([levels[i % len(levels)] for i in range(n)])).column
    assert column is not None
    assert (column.kind, len(column.levels)) == ("categorical", len(levels))


def test_a_schema_takes_names_for_levels():
    cells = texts([PEOPLE[i % 96] for i in range(600)])
    column = hinted("who", cells, {"kind": "categorical"}, str, None).column
    assert column is not None
    assert len(column.levels) == 96


def test_typed_columns_are_judged_as_texts_are():
    for name, values in (("x", REAL), ("age", WHOLE), ("dead", RNG.integers(0, 2, 300)), ("id", np.arange(300))):
        typed = infer(name, TypedCells(values, np.ones(300, bool), str(values.dtype))).column
        text = infer(name, texts(values)).column
        assert (typed is None) == (text is None)
        assert typed is None or text is None or (typed.kind, typed.levels) == (text.kind, text.levels)
    for values, decimals in ((REAL, None), (REAL.round(2), 2), (REAL.round(3).astype(np.float32), 3), (WHOLE * 1.0, 0)):
        column = infer("x", TypedCells(values, np.ones(300, bool), str(values.dtype))).column
        assert column is not None
        assert column.decimals == decimals
    days = np.arange(30).astype("datetime64[D]").astype("datetime64[us]")
    column = infer("d", TypedCells(days, np.ones(30, bool), "datetime64[us]")).column
    assert column is not None
    assert (column.kind, column.format) == ("datetime", "%Y-%m-%d")
    declared = TextCells(np.array(["S", "M", "L"], object), np.array([0, 2, 1]), "category", ("S", "M", "L"), True)
    column = infer("size", declared).column
    assert column is not None
    assert (column.kind, column.levels) == ("ordinal", ("S", "M", "L"))


def test_levels_of_whole_numbers_have_no_gaps_and_are_written_as_they_were():
    column = infer("grade", texts([f"{v}.0" for v in (1, 2, 4, 5)] * 20)).column
    assert column is not None
    assert column.levels == ("1.0", "2.0", "3", "4.0", "5.0")
    twice = infer("flag", texts(["0", "0.0", "1"] * 10)).column
    assert twice is not None
    assert (twice.kind, len(twice.levels)) == ("boolean", 2)


def test_doubts_are_said():
    doubt = infer("x", texts([*WHOLE, -999, -999])).doubt or ""
    assert "-999 may stand for missing entries (2): then name it in a schema" in doubt
    assert doubt.endswith("--schema FILE.toml with missing = ['-999'] for this column")
    assert "other way round" in (infer("d", texts([f"{d:02d}/03/2021" for d in range(1, 13)])).doubt or "")
    assert "--drop patient_id" in (infer("patient_id", texts([*WHOLE, *WHOLE])).doubt or "")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([*map(str, WHOLE), "7l"], "row 300 .*'7l', a number with a unit"),
        ([*(f"{v:.2f}" for v in REAL), "1,5"], "row 300 .*'1,5'"),
        ([*(f"2021-01-{d:02d}" for d in range(1, 29)), "2021-02-30"], "row 28 .*'2021-02-30', a date"),
    ],
)
def test_an_odd_cell_among_numbers_or_times_is_refused(cells, says):
    with pytest.raises(DataError, match=says):
        infer("x", texts(cells))


def test_marks_of_missing_entries_are_found():
    guess = infer("x", texts([*WHOLE, "unknown", "unknown", "refused", "refused"]))
    assert guess.column is not None
    assert (guess.column.kind, guess.column.missing) == ("integer", ("unknown", "refused"))


def test_a_positive_column_spans_a_ratio():
    wide, narrow = np.array([1.0, 2.5, 9.5]), np.array([2.7, 3.1, 4.05])
    assert number_column("ph", narrow, np.ones(3)).kind == "real"
    assert number_column("ph", wide, np.ones(3)).kind == "positive"


def test_known_orders():
    assert in_order(["Strongly agree", "Disagree", "Neutral"]) == ("Disagree", "Neutral", "Strongly agree")
    assert in_order(["36+", "<18", "18-35"]) == ("<18", "18-35", "36+")
    assert in_order(["May", "Jan", "Dec"]) == ("Jan", "May", "Dec")
    assert not is_scale(["01", "02", "03"])
    assert not is_scale(["10-20", "10-30", "40-50"])


def test_a_tail_that_comes_near_one_is_no_proportion():
    """Volatile acidity of wine is below 1 in most rows, and above it in some."""
    tail = RNG.gamma(9.0, 0.04, 3000)
    below = np.clip(tail, 0.05, 0.97)
    assert infer("acidity", texts(below.round(3))).column.kind == "positive"
    few = RNG.uniform(0.01, 0.99, 40)
    assert infer("share", texts(few.round(3))).column.kind == "positive"
    share = infer("share", texts(RNG.beta(0.7, 0.9, 3000).clip(0.001, 0.999).round(3)))
    assert share.column.kind == "bounded"
