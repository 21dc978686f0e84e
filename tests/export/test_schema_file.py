"""schema.json: from the cells of a file to the inputs of the encoder, with nothing of jensen."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from jensen.export.decoding import decoder_graph
from jensen.export.encoding import encoder_graph
from jensen.export.schema_file import described_columns, schema_record
from jensen.runs.export import subject_of
from tests.export.conftest import table_text


def number(column: dict, text: str) -> float:
    """Return the number of a cell, as schema.json says it."""
    if "levels" in column:
        return float(column["levels"].index(text))
    if column["kind"] == "datetime":
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    if ":" in text:
        hours, minutes = text.split(":")
        return int(hours) + int(minutes) / 60
    return float(text)


@pytest.fixture(scope="module")
def subject(trained_run):
    return subject_of(trained_run("table"))


def test_cells_become_the_numbers_that_the_run_reads(subject, trained_run, tmp_path):
    columns = json.loads(json.dumps(schema_record(subject, [encoder_graph(subject)], ".onnx")))["columns"]
    rows = list(csv.DictReader(io.StringIO(table_text())))[:20]
    mask = np.array([[bool(row[c["name"]]) for c in columns] for row in rows])
    x = np.array([[number(c, row[c["name"]]) if row[c["name"]] else 0.0 for c in columns] for row in rows])
    run = trained_run("table")
    data = tmp_path / "people.csv"
    data.write_text("".join(table_text().splitlines(keepends=True)[:21]))
    mean = encoder_graph(subject).expected({"x": x, "mask": mask})["mean"]
    np.testing.assert_allclose(mean, run.encode(str(data)), rtol=1e-4, atol=1e-5)


def test_columns_with_levels_have_places_among_the_probabilities(subject):
    described = {c["name"]: c for c in described_columns(subject)}
    assert described["sex"]["levels"] == ["F", "M"]
    start, stop = described["size"]["probabilities"]
    assert stop - start == len(described["size"]["levels"]) == 3
    assert "probabilities" not in described["income"]
    assert "seconds since 1970" in described["when"]["number"]


def test_groups_have_the_unit_of_the_model(subject):
    record = schema_record(subject, [decoder_graph(subject)], ".onnx")
    columns = [name for group in record["groups"] for name in group["columns"]]
    assert "income" in columns
    assert all(s > 0 for group in record["groups"] for s in group["scale"])
    named = {port["name"] for port in record["graphs"]["decoder"]["outputs"]}
    assert {name for group in record["groups"] for name in group["outputs"]} <= named
