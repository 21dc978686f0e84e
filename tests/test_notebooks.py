"""The notebooks of the pages run from top to bottom, and are kept without outputs; a kernel can be interrupted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat and nbclient: pip install -e '.[dev]'")
nbclient = pytest.importorskip("nbclient", reason="notebooks need nbclient and ipykernel: pip install -e '.[dev]'")

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LIMIT = 120  # seconds of a cell
# of the machinery of kernels, not of jensen
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def executed(notebook, folder: Path):
    nbclient.NotebookClient(
        notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} == {"digits", "table"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_html_and_one_line_of_progress(path, tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # of the tests; a kernel has its own
    cells = executed(nbformat.read(path, 4), tmp_path)
    outputs = [output for cell in cells for output in cell.outputs]
    html = [o.data["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    assert sum('<div class="jensen">' in text for text in html) >= 2
    lines = [
        o for o in outputs if o.get("data", {}).get("text/plain", "").split(":")[0] in ("trained", "early stopping")
    ]
    assert len(lines) == 1
    assert "nats per datum" in lines[0].data["text/plain"]
    assert any("image/png" in o.get("data", {}) for o in outputs)
    assert not any(o.output_type == "error" for o in outputs)


@pytest.mark.slow
def test_the_interrupt_of_a_kernel_returns_a_run(tmp_path):
    cell = nbformat.v4.new_code_cell(
        "import jensen\n"
        "run = jensen.train('digits', hidden=(8,), epochs=10**5, patience=None, out='run')\nrun.interrupted"
    )
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(cells=[cell]), timeout=LIMIT, resources={"metadata": {"path": str(tmp_path)}}
    )

    async def press(**kwargs):
        import asyncio

        async def later():
            until = time.monotonic() + 60
            while not (tmp_path / "run" / "metrics.jsonl").exists() and time.monotonic() < until:
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.5)
            await client.km.interrupt_kernel()

        client.pressed = asyncio.ensure_future(later())

    client.on_cell_execute = press
    client.execute()
    outputs = client.nb.cells[0].outputs
    assert any(o.get("data", {}).get("text/plain") == "True" for o in outputs)
    assert any("Go on with jensen.resume('run')" in o.get("text", "") for o in outputs)
