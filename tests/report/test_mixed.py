"""The sections of a mixed table: what the pictures say, what is left out, and every number in the page's JSON."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import jensen
from jensen.data.cells import decode
from jensen.data.columns import Column
from jensen.report.column_pictures import _bins, _cut, _short, agreement_table, agreements, column_pictures
from jensen.report.facts import gather
from jensen.report.missing_cells import _runs, missing_cells
from jensen.report.mixed_rows import MixedRows, gather_rows
from jensen.report.pair_pictures import pair_pictures
from jensen.report.row_checks import rows_apart
from jensen.report.table_findings import table_findings
from jensen.report.table_schema import table_schema
from tests.report.pages import Page, page_of

COLUMNS = (
    Column("age", "integer"),
    Column("<price>", "positive", decimals=2),
    Column("share", "bounded", low=0, high=1),
    Column("visits", "count"),
    Column("grade", "ordinal", levels=("low", "middle", "high")),
    Column("country", "categorical", levels=tuple(f"country {i}" for i in range(12))),
    Column("paid", "boolean", levels=("no", "yes")),
    Column("day", "datetime", format="%Y-%m-%d"),
    Column("hour", "circular", low=0, high=24),
    Column("score", "real"),
)


def table(rng: np.random.Generator, n: int) -> np.ndarray:
    z = rng.normal(size=n)
    return np.stack(
        [
            np.rint(40 + 10 * z),
            np.exp(z + rng.normal(size=n)),
            1 / (1 + np.exp(-z)),
            rng.poisson(0.3, n) * rng.poisson(20, n),
            np.digitize(z, [-1, 1]),
            np.minimum(rng.geometric(0.4, n) - 1, 11),
            (z > 0.5).astype(float),
            1.6e9 + 86_400 * rng.integers(0, 500, n),
            (8 + 2 * z) % 24,
            z + 0.1 * rng.normal(size=n),
        ],
        -1,
    ).astype(float)


def made(data: np.ndarray, drawn: np.ndarray | None, columns: tuple[Column, ...] = COLUMNS) -> MixedRows:
    return MixedRows(columns, data, f"{len(data)} held-out rows", drawn, data, data, np.isnan(data), "all rows")


@pytest.fixture(scope="module")
def rows() -> MixedRows:
    rng = np.random.default_rng(0)
    drawn = table(rng, 400)
    drawn[:, 0] += 5
    return made(table(rng, 400), drawn)


@pytest.fixture(scope="module")
def holed(rows) -> MixedRows:
    data = rows.data.copy()
    data[:100, 2] = data[:100, 5] = np.nan
    data[300:, 0] = np.nan
    return made(data, rows.drawn)


def test_each_column_has_a_picture_with_its_distance(rows):
    some = [0, 1, 5]
    few = made(rows.data[:, some], rows.drawn[:, some], tuple(COLUMNS[i] for i in some))
    compared = agreements(few, {})
    age, price, country = column_pictures(few, compared).bodies
    for body, a in zip((age, price, country), compared, strict=True):
        assert f"{a.distance:.3f} {a.measure}, halves {a.noise:.3f}" in body
        assert "currentColor" in body
    assert "differs: " in age
    assert "&lt;price&gt;" in price
    assert "6 others" in country  # the rarest levels together


def test_a_column_that_was_not_learned_is_named(rows):
    numbers = {}
    compared = agreements(rows, numbers)
    assert len(numbers["columns"]) == len(COLUMNS)
    assert [c["name"] for c in numbers["columns"] if c["beyond_noise"]] == ["age"]
    assert agreement_table(rows, compared) is None


def test_every_column_of_a_wide_table_is_in_a_table(rows):
    wide = made(np.tile(rows.data, 3), np.tile(rows.drawn, 3), COLUMNS * 3)
    compared = agreements(wide, {})
    table = agreement_table(wide, compared)
    assert [row[0] for row in table.rows] == [c.name for c in COLUMNS * 3]
    assert table.rows[0][3] == f"{compared[0].distance:.3f}"


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered")
def test_a_wide_table_has_pictures_of_the_columns_that_differ_most(rows):
    wide = made(np.tile(rows.data, 3), np.tile(rows.drawn, 3), COLUMNS * 3)
    panel = column_pictures(wide, agreements(wide, {}))
    assert len(panel.bodies) == 24
    assert "The 24 of 30 columns that differ most" in panel.caption


def test_no_sample_no_comparison(rows):
    silent = made(rows.data, None)
    assert agreements(silent, {}) == ()
    assert column_pictures(silent, ()) is None
    assert pair_pictures(silent, {}) is None


def test_a_spike_does_not_hide_the_rest():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    edges = np.arange(5.0)
    _cut(axes, edges, np.array([[0.92, 0.05, 0.02, 0.01], [0.9, 0.04, 0.04, 0.02]]))
    assert axes.get_ylim()[1] < 0.1
    assert [t.get_text() for t in axes.texts] == ["92% of data\n90% of the model"]


@pytest.mark.parametrize("column", [c for c in COLUMNS if not c.is_levelled], ids=lambda c: c.kind)
def test_bins_hold_nearly_all_values(rows, column):
    i = COLUMNS.index(column)
    forward, edges = _bins(column, rows.data[:, i])
    placed = forward(rows.data[:, i])
    assert (np.diff(edges) > 0).all()
    assert ((placed >= edges[0]) & (placed <= edges[-1])).mean() > 0.98


def test_whole_numbers_have_whole_bins():
    _, edges = _bins(COLUMNS[0], np.array([3.0, 4.0, 9.0, 20.0]))
    assert (edges % 1 == 0.5).all()


@pytest.mark.parametrize(("value", "text"), [(0.25, "0.25"), (1500, "1500"), (20000, "20k"), (2.5e6, "2.5M")])
def test_numbers_of_an_axis(value, text):
    assert _short(value) == text


@pytest.mark.usefixtures("unrendered")
def test_pairs(rows):
    numbers = {}
    panel = pair_pictures(rows, numbers)
    assert len(panel.bodies) == 3
    values = numbers["associations"]
    assert values["names"] == rows.names
    assert values["data"][0][9] == pytest.approx(np.corrcoef(rows.data[:, 0], rows.data[:, 9])[0, 1], abs=1e-6)
    assert f"{values['difference']:.3f} ±" in panel.caption
    assert f"{values['halves']:.3f} ±" in panel.caption


def test_missing_cells(holed, rows):
    numbers = {}
    section = missing_cells(holed, numbers)
    assert numbers["missing"]["share"] == pytest.approx(300 / 4000)
    assert numbers["missing"]["by_column"]["share"] == 0.25
    assert section.expert_tables[0].rows == (
        ("nothing", "200", "50.0%"),
        ("share, country", "100", "25.0%"),
        ("age", "100", "25.0%"),
    )
    assert "7 columns without missing cells left out" in section.panels[0].caption
    assert missing_cells(rows, {}).is_empty


def test_runs():
    values = np.random.default_rng(0).random(50) < 0.5
    again = np.zeros(50, bool)
    for start, length in _runs(values):
        again[int(start) : int(start + length)] = True
    assert np.array_equal(values, again)


@pytest.mark.slow
def test_no_nan_is_drawn(holed):
    numbers = {}
    panels = (column_pictures(holed, agreements(holed, numbers)), pair_pictures(holed, numbers))
    assert all(not re.search(r"\bnan\b", body) for panel in panels for body in (*panel.bodies, panel.caption))
    assert "Missing cells (7.5%) are left out" in panels[0].caption


def test_rows_that_copy_the_training_are_said_to(rows):
    numbers = {}
    training = np.concatenate([rows.data, table(np.random.default_rng(3), 100)])
    held_out = table(np.random.default_rng(4), 120)
    copied = replace(rows, drawn=rows.data, held_out=held_out, training=training)
    section = rows_apart(copied, numbers, lambda done: None)
    told, near = numbers["real_or_drawn"], numbers["nearest_training_row"]
    assert abs(told["auc"] - 0.5) < 3 * told["stderr"]  # copies are real rows
    assert "cannot tell them apart" in section.text[0]
    assert near["drawn_copies"] == 1.0
    assert "nearer to the training rows than new rows of the data are" in section.text[1]
    assert section.tables[0].rows[2] == ("equal to one", "100.0%", "0.0%")


def near(**other: float) -> dict[str, dict[str, float]]:
    plain = {"drawn": 0.1, "held_out": 0.1, "drawn_copies": 0.0, "held_out_copies": 0.0, "nearer": 0.5, "stderr": 0.02}
    return {"nearest_training_row": plain | {"n": 400} | other}


def cells(coverage: float) -> dict[str, dict[str, list[dict[str, float | None]]]]:
    scores = [{"n": 300, "coverage": coverage, "coverage_stderr": 0.02}, {"n": 300, "coverage": None}]
    return {"hidden_cells": {"columns": scores}}


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({}, []),
        (near(), []),
        (near(nearer=0.9, drawn=0.04), ["rows like those of the training"]),
        (near(nearer=0.9, drawn=0.06), []),
        (near(drawn_copies=0.3), ["rows like those of the training"]),
        (near(drawn_copies=0.3, held_out_copies=0.3), []),
        (cells(0.9), []),
        (cells(0.7), ["intervals that are too narrow"]),
        ({"real_or_drawn": {"auc": 0.9, "stderr": 0.02}}, ["rows that are told from data"]),
        ({"real_or_drawn": {"auc": 0.78, "stderr": 0.02}}, []),
        ({"nearest_training_row": {"samples": 1.0}}, []),  # of images
    ],
)
def test_findings(numbers, said):
    assert [remark.short for remark in table_findings(numbers)] == said


def test_columns_that_were_not_learned_are_findings(rows):
    numbers = {}
    agreements(rows, numbers)
    (remark,) = table_findings(numbers)
    assert "In 1 column of 10" in remark.text
    assert "each other: age." in remark.text


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory, holed):
    """A small VAE of columns, trained for one epoch on a file with missing cells."""
    folder = tmp_path_factory.mktemp("mixed")
    rng = np.random.default_rng(1)
    x = table(rng, 600)
    cells = [decode(column, x[:, i]).tolist() for i, column in enumerate(COLUMNS)]
    with (folder / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in COLUMNS])
        writer.writerows(
            ["" if i % 5 == 0 and j % 3 == 0 else text for j, text in enumerate(row)]
            for i, row in enumerate(zip(*cells, strict=True))
        )
    return jensen.train(folder / "people.csv", epochs=1, out=folder / "run")


@pytest.fixture(scope="module")
def mixed_page(mixed_run, tmp_path_factory) -> Page:
    return page_of(mixed_run, tmp_path_factory.mktemp("page") / "page.html")


@pytest.mark.slow
def test_the_page_has_the_sections_of_a_mixed_table(mixed_page):
    titles = [title for level, title in mixed_page.headings if level == 2]
    assert titles[:6] == [
        "The table as it was read",
        "Columns of the data and of the model",
        "Pairs of columns",
        "Missing cells",
        "Cells hidden on purpose",
        "Rows of the model beside held-out rows",
    ]
    assert "Reconstructions" not in titles
    assert not re.search(r"\bnan\b", mixed_page.said)
    assert all(len(p.get("aria-label") or "") > 20 for p in mixed_page.all("svg"))


@pytest.mark.slow
def test_the_schema_says_what_was_read(mixed_run):
    facts = gather(mixed_run, examples=True, quick=True)
    gathered = gather_rows(facts)
    section = table_schema(facts, gathered, {})
    cells = {row[0]: row for row in section.expert_tables[0].rows}
    assert cells["paid"][1:3] == ("boolean", "2 levels: no, yes")
    assert cells["day"][1] == "datetime"
    assert cells["age"][4] == f"{np.isnan(np.concatenate([gathered.training, gathered.held_out])[:, 0]).mean():.1%}"
    assert "discrete and" in section.text[0]
    assert gathered.drawn.shape == gathered.data.shape
    assert gathered.missing[:, 0].tolist() == [j % 5 == 0 for j in range(600)]  # in the order of the file
    assert (gathered.drawn[:, 1] > 0).all()


@pytest.mark.slow
def test_every_number_is_in_the_json(mixed_page, mixed_run):
    numbers = mixed_page.numbers
    assert {"schema", "columns", "associations", "missing", "hidden_cells", "nearest_training_row"} <= numbers.keys()
    assert [c["name"] for c in numbers["schema"]] == list(mixed_run.schema.names)
    assert len(numbers["columns"]) == mixed_run.schema.size
    scores = numbers["hidden_cells"]["columns"]
    assert numbers["hidden_cells"]["seed"] == 0
    assert all(s["stderr"] > 0 and s["n"] > 1 for s in scores)
    assert {s["measure"] for s in scores} == {"RMSE", "wrong"}
    assert "correlation_error" not in numbers
    assert "explained_by_column" not in numbers


@pytest.mark.slow
def test_a_quick_page_says_what_it_left_out(mixed_run, tmp_path):
    quick = page_of(mixed_run, tmp_path / "quick.html", quick=True)
    assert "the imputation of hidden cells" in quick.said
    assert not {"hidden_cells", "real_or_drawn", "nearest_training_row"} & quick.numbers.keys()
    assert "Cells hidden on purpose" not in [title for _, title in quick.headings]


@pytest.mark.slow
def test_a_page_without_its_data(mixed_run, tmp_path):
    run = jensen.load(shutil.copytree(mixed_run.path, tmp_path / "run"))
    data = mixed_run.path.parent / "people.csv"
    data.rename(tmp_path / "elsewhere.txt")
    try:
        page = page_of(run, tmp_path / "page.html", quick=True)
    finally:
        (tmp_path / "elsewhere.txt").rename(data)
    assert "no data" in page.said
    assert not {"columns", "associations", "schema"} & page.numbers.keys()


@pytest.mark.slow
def test_components_are_typical_rows(tmp_path, rows):
    """A mixture over components: means of numbers, and names with their shares."""
    cells = [decode(column, rows.data[:, i]).tolist() for i, column in enumerate(COLUMNS)]
    with (tmp_path / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in COLUMNS])
        writer.writerows(zip(*cells, strict=True))
    run = jensen.train(tmp_path / "people.csv", recipe="table-gmm", components=2, epochs=2, out=tmp_path / "run")
    page = page_of(run, tmp_path / "page.html", quick=True)
    assert "Components" in [title for _, title in page.headings]
    assert re.search(r"(low|middle|high) \(\d+%\)", page.said)
