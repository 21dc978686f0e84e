"""Bounds by the number of levels and evaluations by the flow, as a report shows them."""

from __future__ import annotations

import json
from types import SimpleNamespace

from jensen.report.chain_bounds import bound_by_levels, flow_table, levels_table
from jensen.storage.files import digest


def facts(path=None, **evaluation):
    known = {"log_px": -2.0, "bits_per_dim": None, **evaluation}
    return SimpleNamespace(
        evaluation=known, log_px="log p(x)", run=SimpleNamespace(path=path, schema=SimpleNamespace(size=2))
    )


def levels(*bounds, error=0.001):
    return [{"levels": t, "log_px": value, "stderr": 0.04, "stderr_mc": error} for t, value in bounds]


def test_the_table_has_every_number_of_levels():
    of = facts(by_levels=levels((1, -1000.5), (256, -2.125)))
    table = levels_table(of)
    assert [row[:2] for row in table.rows] == [("1", "-1000.500"), ("256", "-2.125")]
    assert "bits per dimension" not in table.head
    assert levels_table(facts(by_levels=None)) is None
    assert bound_by_levels(facts()) is None


def test_integers_have_bits():
    of = facts(by_levels=levels((4, -4.0)), bits_per_dim=1.443)
    table = levels_table(of)
    assert table.head[-1] == "bits per dimension"
    assert table.rows[0][-1] == "2.885"  # 4 nats of 2 features, over log 2


def test_the_figure_is_of_what_levels_lose():
    panel = bound_by_levels(facts(by_levels=levels((1, -12.0), (4, -4.0), (16, -2.5))))
    assert "10.00 nats with T = 1, 0.50 nats with T = 16" in str(panel.bodies[0])
    assert bound_by_levels(facts(by_levels=levels((64, -2.0005), (256, -2.0004)))) is None  # within the error


def test_flows_of_other_weights_are_left_out(tmp_path):
    (tmp_path / "evaluations").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    record = {"log_px": -2.1, "kind": "stochastic lower bound", "k": 5, "stderr": 0.04, "n": 500}
    record["settings"] = {"points": 5, "solver_error": 0.0123}
    for name, sha256 in (("flow-k5", digest(tmp_path / "model.safetensors")), ("flow-k9", "other")):
        text = json.dumps({**record, "replay": {"weights_sha256": sha256}})
        (tmp_path / "evaluations" / f"{name}.json").write_text(text)
    table = flow_table(facts(tmp_path))
    assert table.rows == (("500", "-2.100", "0.040", "5", "0.012", "stochastic lower bound"),)
    assert "another density" in table.caption
    assert flow_table(facts(tmp_path / "none")) is None
