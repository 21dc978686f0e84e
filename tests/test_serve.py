"""examples/serve.py: one record and a thousand, from eight threads, have the same bytes."""

from __future__ import annotations

import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks import serving
from jensen.runs.train import train

pytest.importorskip("onnxruntime", reason="ONNX is an extra: pip install 'jensen[onnx]'")
pytest.importorskip("httpx", reason="the test client of starlette needs httpx")
testclient = pytest.importorskip("starlette.testclient", reason="the example needs starlette")

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "serve.py"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    np.save(folder / "real.npy", np.random.default_rng(0).normal(size=(60, 4)))
    options = {"epochs": 1, "latent": 2, "hidden": (8,)}
    train(str(folder / "real.npy"), recipe="vae", out=folder / "run", **options).export(folder / "out")
    spec = importlib.util.spec_from_file_location("serve", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return testclient.TestClient(module.application(folder / "out"))


def test_one_record_and_a_thousand_have_the_same_bytes(client):
    rows = np.random.default_rng(1).normal(size=(1000, 4)).tolist()
    many = client.post("/encode", json={"x": rows})
    assert many.status_code == 200
    one = client.post("/encode", json={"x": rows[7:8]})
    assert json.dumps(one.json()["mean"][0]) == json.dumps(many.json()["mean"][7])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/encode", json={"x": rows[:100]}).content, range(8)))
    assert len(set(answers)) == 1
    assert json.loads(answers[0])["scale"] == many.json()["scale"][:100]


@pytest.mark.slow
def test_eight_threads_are_answered_as_one_is(client):
    rows = np.random.default_rng(2).normal(size=(1000, 4)).tolist()
    asked = [rows, rows[3:4], rows[:20], rows, rows[999:], rows[500:], rows[:1], rows]
    alone = [client.post("/encode", json={"x": x}).content for x in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda x: client.post("/encode", json={"x": x}).content, asked))
    assert together == alone


def test_the_benchmark_measures_answers_that_are_all_the_same(client):
    times = iter(range(100))
    result = serving.measured(lambda: b"codes", records=10, threads=2, seconds=0.0)
    assert (result["requests"], set(result)) == (2, {"records_per_second", "requests", "p50", "p95", "p99"})
    with pytest.raises(ValueError, match="other bytes"):
        serving.measured(lambda: next(times), records=1, threads=1, seconds=0.0)
    served = serving.served(client.app, np.zeros((2, 4)), threads=1, seconds=0.0)
    assert served["requests"] == 1
    with pytest.raises(ValueError, match="must have the shape"):
        serving.served(client.app, np.zeros((2, 3)), threads=1, seconds=0.0)


@pytest.mark.parametrize("body", ['{"x": [[1, 2]]}', '{"y": 1}', "no json", '{"x": [["a", 1, 1, 1]]}'])
def test_what_does_not_fit_is_refused(client, body):
    answer = client.post("/encode", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
