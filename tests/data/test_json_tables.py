"""JSON, in the forms that pandas writes and others."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from jensen.core.errors import DataError
from jensen.data import read

X = np.random.default_rng(0).normal(size=(30, 3)).round(6)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


@pytest.mark.parametrize("orient", ["columns", "records", "split", "index", "values", "table", "lines"])
@pytest.mark.parametrize("missing", [False, True])
def test_what_pandas_writes(tmp_path, orient, missing):
    frame = FRAME.mask(FRAME > 1) if missing else FRAME
    options = {"orient": "records", "lines": True} if orient == "lines" else {"orient": orient}
    path = tmp_path / ("x.jsonl" if orient == "lines" else "x.json")
    frame.to_json(path, double_precision=15, **options)
    held = read(path, missing=missing)
    np.testing.assert_allclose(held.x, frame.fillna(0), rtol=1e-14)
    assert held.schema.names == (None if orient == "values" else ("a", "b", "c"))
    assert (held.mask is not None) == missing
    if orient != "values":
        np.testing.assert_allclose(read(path, missing=missing, columns="c,a").x, frame[["c", "a"]].fillna(0))


def test_arrays_and_labels(tmp_path):
    path = tmp_path / "x.json"
    images = np.arange(5 * 4 * 4).reshape(5, 4, 4)
    path.write_text(json.dumps(images.tolist()))
    assert read(path).schema.shape == (4, 4, 1)
    path.write_text(json.dumps({"x": X.tolist(), "y": [0, 1, 2] * 10}))
    assert read(path).labels.tolist() == [0, 1, 2] * 10
    FRAME.assign(kind=["u", "v"] * 15).to_json(path, orient="records", lines=True)
    assert read(path, labels="kind").schema.classes == ("u", "v")
    np.testing.assert_array_equal(read(path, drop="kind").x.shape, X.shape)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1,2", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[[1,2],[3]]", "cannot be read as numbers"),
        ('{"a": ["b", "c"]}', "column 'a' holds 'b'"),
        ('[{"a":1},{"b":2}]', "row 1 of .* differ in 'a'"),
        ('{"a":{"0":1},"b":{"1":2}}', "column 'b' of .* has other rows"),
        ("[]", "no rows"),
        ("{}", "no columns of data"),
        ('{"columns":["a"],"data":[1]}', "no table"),
        ('{"schema":{},"data":[1]}', "no table"),
    ],
)
def test_other_json_is_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / "x.json")
    assert caught.value.remedy
