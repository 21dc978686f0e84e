"""Serve the encoder of an export over HTTP: python examples/serve.py FOLDER, where uvicorn is installed.

POST /encode takes JSON, one list of rows for each input of the encoder, and answers with one for each output:

    curl -d '{"x": [[0.1, 0.2, 0.3, 0.4]]}' localhost:8000/encode

Each row is computed by itself, so that it has the same bytes alone and among a thousand. Any number of threads may ask
at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MOST = 10_000  # rows of a request


def application(folder: str | Path) -> Starlette:
    """Return the web application of an exported folder."""
    schema = json.loads((Path(folder) / "schema.json").read_text(encoding="utf-8"))["graphs"]["encoder"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(Path(folder) / schema["file"], options)
    names = [port["name"] for port in schema["outputs"]]

    def compute(given: dict[str, object]) -> dict[str, list[object]]:
        arrays = {port["name"]: np.asarray(given[port["name"]], port["type"]) for port in schema["inputs"]}
        for port in schema["inputs"]:
            if list(arrays[port["name"]].shape[1:]) != port["shape"][1:]:
                raise ValueError(f"{port['name']} must have the shape {port['shape']}")
        sizes = {len(values) for values in arrays.values()}
        if len(sizes) != 1 or max(sizes) > MOST:
            raise ValueError(f"all inputs must have as many rows, at most {MOST}")
        (n,) = sizes
        rows = [session.run(names, {name: v[i : i + 1] for name, v in arrays.items()}) for i in range(n)]
        return {name: [row[k][0].tolist() for row in rows] for k, name in enumerate(names)}

    async def encode(request: Request) -> Response:
        try:
            given = await request.json()
            return JSONResponse(await run_in_threadpool(compute, given))
        except (ValueError, TypeError, KeyError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    return Starlette(routes=[Route("/encode", encode, methods=["POST"])])


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(application(sys.argv[1]), port=8000)
