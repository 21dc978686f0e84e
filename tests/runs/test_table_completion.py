"""Points, intervals, versions and errors of a mixed table, from draws that are known; no model is trained here."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from jensen.analysis.imputation import Imputation
from jensen.core.errors import UsageError
from jensen.data import Preparation, Selection, from_memory
from jensen.families import Choices, Columns, Gaussian, Ordinal, VonMises
from jensen.runs.evaluation import Part
from jensen.runs.impute import hide
from jensen.runs.table_completion import PointSettings, complete_table
from jensen.runs.table_results import encoded_table, reconstructed_table

SCHEMA = {
    "age": {"kind": "integer"},
    "sex": {"kind": "categorical", "levels": ["F", "M", "X"]},
    "grade": {"kind": "ordinal", "levels": ["low", "middle", "high"]},
    "hour": {"kind": "circular", "low": 0.0, "high": 24.0, "decimals": 1},
}
FAMILY = Columns((Gaussian(1), Choices((3,)), Ordinal((3,)), VonMises(1)), ((0,), (1,), (2,), (3,)))
TURN = 2 * math.pi / 24


@pytest.fixture
def table() -> pd.DataFrame:
    data = {
        "id": ["a", "b", "c", "d"],
        "age": pd.array([31, None, 45, 50], "Int64"),
        "sex": pd.Categorical(["F", None, "M", "X"]),
        "grade": ["low", None, "high", "middle"],
        "hour": [23.0, np.nan, 1.0, 0.5],
    }
    return pd.DataFrame(data, index=[10, 20, 30, 40])


def part_of(table: pd.DataFrame) -> tuple[Part, Preparation]:
    dataset = from_memory(table, table=Selection.of(typed=True, schema=SCHEMA))
    preparation = Preparation.fit(dataset.x, dataset.schema, mask=dataset.mask)
    rows = preparation.rows(dataset.x, dataset.schema, mask=dataset.mask, dtype=torch.float64)
    numbers = np.arange(len(dataset))
    part = Part(rows, dataset.x, None, "rows", mask=dataset.mask, frame=dataset.frame, numbers=numbers)
    assert dataset.schema.columns is not None
    assert [column.kind for column in dataset.schema.columns] == [entry["kind"] for entry in SCHEMA.values()]
    return part, preparation


def completion_of(table: pd.DataFrame, hidden=None, point="mean", level: float | None = 0.8):
    """Row 1 is drawn as ages 38, 40, 45, hours 23, 0 and 2, and each name with a probability of its own."""
    original, preparation = part_of(table)
    part = original if hidden is None else hide(original, hidden, preparation)
    columns = from_memory(table, table=Selection.of(typed=True, schema=SCHEMA)).schema.columns
    settings = PointSettings(columns, FAMILY, point, level)
    own = np.array([[38.0, 0, 0, 23.0], [40.0, 1, 2, 0.0], [45.0, 1, 2, 2.0]])[:, None].repeat(4, 1)
    draws = torch.from_numpy((own - preparation.center) / preparation.scale)
    of_draws = settings.statistics.of_draws(draws)
    mean_age = float(draws[:, 0, 0].mean())
    angles = draws[:, 0, 3]
    summary = torch.tensor([[mean_age, 0.5, 0.3, 0.2, 0.4, 0.25, 0.35, angles.cos().mean(), angles.sin().mean()]])
    holed = torch.from_numpy(~part.mask.all(1))
    ess = torch.where(holed, 99.0, torch.nan)
    missing = torch.full((4, 1), torch.nan)
    drawn = Imputation(
        x=torch.where(torch.from_numpy(part.mask), part.rows.stored, draws),
        z=torch.zeros(3, 4, 1),
        mean=torch.where(holed[:, None], summary.expand(4, -1), missing),
        k=1000,
        ess=ess,
        k_hat=torch.zeros(4).where(holed, torch.nan),
        of_draws=torch.where(holed[:, None], of_draws, missing),
    )
    return complete_table(part, drawn, original, settings, preparation)


@pytest.mark.parametrize(
    ("point", "row"),
    [("mean", [41, "F", "low", 0.3]), ("median", [40, "F", "middle", 0.0]), ("mode", [39, "F", "low", 23.5])],
)
def test_points_by_kind(table, point, row):
    """Means of numbers, also around midnight; the most probable name, or the middle one of those in order."""
    completion = completion_of(table, point=point, level=None)
    result = completion.table().data
    assert (result.dtypes == table.dtypes).all()
    assert result.index.equals(table.index)
    assert result.iloc[1, 1:].tolist() == row
    pd.testing.assert_frame_equal(result.drop(index=20), table.drop(index=20))
    assert completion.probability[1, 1] == pytest.approx(0.5)
    assert completion.probability[1, 2] == pytest.approx(0.25 if point == "median" else 0.4)
    assert np.isnan(completion.probability[:, [0, 3]]).all()


def test_counts_have_their_median_by_default_and_other_numbers_their_mean(table, monkeypatch):
    assert completion_of(table, point="auto", level=None).table().data.iloc[1, 1:].tolist() == [41, "F", "low", 0.3]
    monkeypatch.setitem(SCHEMA, "age", {"kind": "count"})
    assert completion_of(table, point="auto", level=None).table().data.iloc[1, 1:].tolist() == [40, "F", "low", 0.3]


def test_intervals_stand_behind_the_table(table):
    completion = completion_of(table, level=0.4)
    result = completion.table().data
    assert result.columns[5:].tolist() == [
        *("age_low", "age_high", "sex_probability", "grade_probability", "hour_low", "hour_high")
    ]
    low, high = result["age_low"].tolist(), result["age_high"].tolist()
    assert (low[1], high[1]) == (38, 44)  # 0.3 and 0.7 of three draws: 38.4 and 43.0, outwards to whole numbers
    assert np.isnan([low[0], high[0]]).all()
    assert result.iloc[1, 7:9].tolist() == [0.5, 0.4]
    hours = result.iloc[1, 9:].tolist()
    assert hours == [23.2, 1.6]  # from before midnight to after it
    taken = table.assign(age_low=["p", "q", "r", "s"])
    assert "age_low (2)" in completion_of(taken).table().names
    names = [column.name for column in completion.written_columns]
    assert names == ["age", "sex", "grade", "hour", "age_low", "age_high", "hour_low", "hour_high"]


def test_versions_each_hold_a_draw(table):
    completion = completion_of(table)
    versions = [version.data for version in completion.versions()]
    assert [v["age"].tolist()[1] for v in versions] == [38, 40, 45]
    assert [v["sex"].tolist()[1] for v in versions] == ["F", "M", "M"]
    stacked = completion.stacked().data
    assert stacked.columns[0] == "version"
    assert stacked["version"].tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert stacked.index.tolist() == [10, 20, 30, 40] * 3
    for i, version in enumerate(versions):
        pd.testing.assert_frame_equal(stacked.iloc[4 * i : 4 * i + 4, 1:], version)
    one = replace(completion, x=completion.x[:1])
    pd.testing.assert_frame_equal(one.stacked().data, versions[0])


def test_errors_of_hidden_cells(table):
    """Root mean square errors in standard deviations, around the clock; names by the fraction of wrong ones."""
    hidden = np.zeros((4, 4), dtype=bool)
    hidden[[0, 2]] = True
    completion = completion_of(table, hidden)
    age, sex, grade, hour = completion.errors
    assert (age.name, age.n, age.is_levelled) == ("age", 2, False)
    assert age.error == pytest.approx(math.sqrt((10**2 + 4**2) / 2))
    assert age.sd == pytest.approx(np.std([31, 45, 50]))
    assert (age.range, age.relative) == (19.0, age.error / age.sd)
    assert (sex.n, sex.error, grade.error) == (2, 0.5, 0.5)
    assert hour.error == pytest.approx(math.sqrt((1.3**2 + 0.7**2) / 2))  # 0.3 against 23 and 1
    assert str(sex) == "sex: 50.0% of 2 wrong"
    assert grade.to_dict()["measure"] == "error rate"
    assert completion_of(table).errors == ()


def test_nothing_else_is_asked_for():
    with pytest.raises(UsageError, match="--point must be one of auto, mean, median, mode, got middle"):
        PointSettings((), FAMILY, "middle")
    with pytest.raises(UsageError, match="--intervals must be above 0 and below 1, got 90"):
        PointSettings((), FAMILY, "mean", 90)


def test_codes_and_reconstructions_have_the_index(table):
    part, _ = part_of(table)
    columns = from_memory(table, table=Selection.of(typed=True, schema=SCHEMA)).schema.columns
    x = np.array([[40.0, 2.0, 1.0, 12.5]] * 4)
    rebuilt = reconstructed_table(part, columns, x).data
    assert rebuilt.index.equals(table.index)
    assert (rebuilt.dtypes == table.dtypes).all()
    assert rebuilt["id"].tolist() == ["a", "b", "c", "d"]
    assert rebuilt.iloc[2].tolist() == ["c", 40, "X", "middle", 12.5]
    codes = np.arange(8.0).reshape(4, 2)
    plain = encoded_table(part, columns, codes, ["z1", "z2"], identified=False).data
    assert plain.index.equals(table.index)
    assert plain.to_numpy().tolist() == codes.tolist()
    assert encoded_table(part, columns, codes, ["z1", "z2"], identified=True).names == ("row", "id", "z1", "z2")
