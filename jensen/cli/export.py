"""`jensen export`: write encoder and decoder for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..core.errors import UsageError
from ..storage.export_folder import check_export_target
from .flags import Force, Json, Place, Quiet, Run, Seed, TestPlace
from .output import print_json, print_lines

__all__ = ["export"]


def export(
    run: Run,
    /,
    *,
    onnx: Annotated[str | None, Parameter(help="folder for ONNX graphs, which onnxruntime runs")] = None,
    torch: Annotated[str | None, Parameter(help="folder for programs of torch.export (.pt2)")] = None,
    place: Place = None,
    test: TestPlace = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,  # of what libraries say, see `output.library_notes`
) -> None:
    """Write encoder and decoder into a folder that opens without jensen, with a model card.

    The encoder takes data in their own units and gives mean and scale of q(z | x), the decoder z and gives mean and
    parameters of p(x | z). Each graph is compared with the run on 1, 7 and 64 rows before anything is written.
    """
    if (onnx is None) == (torch is None):
        raise UsageError(
            "one of --onnx and --torch must be given", f"Give a folder: jensen export {run} --onnx FOLDER."
        )
    kind, folder = ("torch", torch) if onnx is None else ("onnx", onnx)
    check_export_target(Path(str(folder)), force)
    from ..runs.run import load

    opened = load(run, device="cpu", data=place, test=test)
    exported = opened.export(str(folder), kind, force=force, seed=seed)
    if json:
        print_json(exported.to_dict())
        return
    worst = exported.worst
    print_lines(
        [
            f"export: {folder} ({', '.join(exported.files)})",
            f"largest relative error {worst.largest:.1e} (of {worst.worst} in the {worst.graph}), on"
            f" {', '.join(map(str, worst.batches))} rows",
        ]
    )
