"""The oddest rows: those that the score of a run calls so, with the entries as they are written in the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import jensen
from jensen.plot.shades import Shades
from jensen.report.facts import Facts, gather
from jensen.report.oddest import oddest_images, oddest_rows
from jensen.runs.run import Run
from tests.report.test_pictures import whole

PLAIN = 7  # a row of ordinary values, but for one that the others contradict


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 200)
    table = pd.DataFrame(
        {
            "name": [f"p{i}" for i in range(200)],
            "age": np.rint(np.array([25, 70])[group] + 2 * rng.normal(size=200)).astype(int),
            "job": np.array(["student", "retired"])[group],
            "hours": np.array(["06:30", "18:45"])[rng.integers(0, 2, 200)],
        }
    )
    return table


@pytest.fixture(scope="module")
def mixed(rows, tmp_path_factory) -> Run:
    """A mixture of two groups, of whose test rows one is a student of 69 years."""
    folder = tmp_path_factory.mktemp("oddest")
    test, train = rows.iloc[:40].copy(), rows.iloc[40:]
    test.loc[PLAIN, ["age", "job"]] = [69, "student"]
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    words = {"recipe": "table-gmm", "components": 2, "epochs": 15, "families": "age=integer"}
    return jensen.train(folder / "train.csv", test=folder / "test.csv", out=folder / "run", **words)


def facts_of(run: Run) -> Facts:
    """What the sections need of a run, without the doctor."""
    return replace(gather(run, examples=True, quick=True), quick=False)


def test_a_row_that_contradicts_itself_is_first_with_the_reasons(mixed):
    numbers = {}
    section = oddest_rows(facts_of(mixed), numbers)
    (text,), (table,) = section.text, section.tables
    assert text.startswith(f"Row {PLAIN} (name = p{PLAIN}) is the least likely of 40 held-out rows: log p(x) = -")
    assert "age = 69" in text
    assert "job = student" in text
    assert len(table.rows) == len(numbers["oddest"]) == 5
    assert table.rows[0][0] == f"row {PLAIN} (name = p{PLAIN})"
    assert table.head == ("row", "log p(x) =", "p-value", "least likely entries")
    assert "exact" in table.caption


def test_numbers_are_those_of_the_score(mixed):
    """Of all test rows, which are no more than are scored."""
    numbers, scores = {}, mixed.score()
    oddest_rows(facts_of(mixed), numbers)
    least = scores.least_likely(5)
    assert [o["row"] for o in numbers["oddest"]] == [scores.place(i) for i in least]
    np.testing.assert_allclose([o["log_px"] for o in numbers["oddest"]], scores.log_px[least])
    np.testing.assert_allclose([o["p_value"] for o in numbers["oddest"]], scores.p_value[least])
    for row, record in zip(least, numbers["oddest"], strict=True):
        why = scores.why(row)[: len(record["entries"])]
        assert len(why) in (2, 3)
        assert [(e["column"], e["value"], e["p_value"]) for e in record["entries"]] == [
            (w.column, w.value, w.p_value) for w in why
        ]


def test_few_of_many_rows_are_scored_and_said(mixed, monkeypatch):
    from jensen.report import oddest

    monkeypatch.setattr(oddest, "MOST", oddest.Effort(20, 100))
    (table,) = oddest_rows(facts_of(mixed), {}).tables
    assert "The 5 least likely of 20 of 40 held-out rows, in nats per datum" in table.caption
    assert table.caption.endswith("jensen score scores all 40.")


def test_nothing_of_the_data_where_it_may_not_be_shown(mixed):
    facts, numbers = facts_of(mixed), {}
    assert oddest_rows(replace(facts, examples=False), numbers).is_empty
    assert oddest_rows(replace(facts, quick=True), numbers).is_empty
    assert oddest_rows(replace(facts, part=None), numbers).is_empty
    assert numbers == {}


def test_numbers_alone_have_columns_by_their_names(table, tmp_path):
    run = jensen.train(table, recipe="ppca", latent=1, epochs=3, out=tmp_path / "run")
    section = oddest_rows(facts_of(run), {})
    assert any(name in section.tables[0].rows[0][3] for name in ("width = ", "$cost$ = "))


def test_entries_of_wide_closed_forms_are_left_out(table, tmp_path, monkeypatch):
    from jensen.report import oddest

    run = jensen.train(table, recipe="ppca", latent=1, epochs=3, out=tmp_path / "run")
    monkeypatch.setattr(oddest, "WIDEST_FORM", 2)
    section = oddest_rows(facts_of(run), {})
    assert section.tables[0].head == ("row", "log p(x) =", "p-value")
    assert "given its other entries" not in section.text[0]


def test_the_oddest_images_stand_above_their_reconstructions(run):
    facts, numbers = facts_of(run), {}
    shades = Shades.of(facts)
    (panel,) = oddest_images(facts, shades, numbers).panels
    assert len(panel.key) == len(numbers["oddest"]) == 10
    values = [o["log_px"] for o in numbers["oddest"]]
    assert values == sorted(values)
    rows = [int(o["row"].removeprefix("row ")) for o in numbers["oddest"]]
    picture, numbered = whole(panel.bodies), facts.part.row_numbers.tolist()
    assert picture.shape[0] == 2 * 64 + 2
    for j, row in enumerate(rows):
        x = facts.part.x[numbered.index(row)]
        assert np.array_equal(picture[:64:8, 66 * j : 66 * j + 64 : 8, 0], shades(x[None])[0, ..., 0])
    assert panel.key[0][1].startswith(f"row {rows[0]} (class ")
    assert f"log p {values[0]:.1f}, p = " in panel.key[0][1]
