"""A run folder for a model that was trained in a loop of the user's own."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import UsageError
from ..core.modules import joined
from ..core.parts import own_parts, spec_of
from ..core.version import __version__
from ..data import Preparation, Schema
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..storage.files import write_json
from ..storage.migrations import FORMAT
from ..storage.run_folder import SPEC
from ..storage.run_lock import check_target, writing
from ..storage.weights import tie, write_weights
from .rebuilding import check_rebuilds
from .run import Run, load
from .spec import check_readable
from .training_data import DataOptions, Sources

__all__ = ["save"]


def save(model: LatentVariableModel, guide: Guide, path: str | Path, *, like: Any = None, force: bool = False) -> Run:
    """Write model and guide into a run folder, to be loaded, evaluated, sampled and reported as any other.

    The folder holds no data: verbs that need some are given them, `run.evaluate(x)`.

    Args:
        model, guide: trained.
        path: the new run folder.
        like: data of the kind that the model is of, or a `Schema`: for their kind, shape and column names; by default a
            table of as many features as the likelihood has, of the kind that the first draws of the model are.
        force: replace an existing run.

    Returns:
        The run, opened.

    Raises:
        UsageError: there is a run already, the likelihood does not fit the data, or the record would not be enough to
            open the run.

    Example:
        >>> run = save(model, guide, "runs/mine", like=x)  # doctest: +SKIP
    """
    folder, schema = Path(path), _schema_of(model, like)
    if schema.size != model.likelihood.family.dim:
        raise UsageError(
            f"the likelihood is of {model.likelihood.family.dim} features, and the data have {schema.size}",
            "Give like= data of this model.",
        )
    check_target(folder, force)
    check_rebuilds(model, guide)
    spec = _spec(model, guide, schema)
    check_readable(spec)
    with writing(folder, force):
        write_json(folder / SPEC, spec)
        write_weights(folder, joined(model, guide), tie(spec), None)
    return load(folder, own_parts(model, guide))


def _schema_of(model: LatentVariableModel, like: Any) -> Schema:
    if isinstance(like, Schema):
        return like
    if like is None:
        with torch.no_grad():
            like = model.sample(64, torch.Generator().manual_seed(0)).detach().cpu().numpy()
    return Sources(like).read(DataOptions(), missing=True).schema


def _spec(model: LatentVariableModel, guide: Guide, schema: Schema) -> dict[str, Any]:
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    return {
        "format": FORMAT,
        "jensen": __version__,
        "sentence": f"z ~ {model.prior.phrase}, x | z ~ {model.likelihood.phrase}; q(z|x): {guide.phrase}",
        "command": {"data": "", "recipe": None, "seed": 0},
        "model": spec_of(model, guide),
        "players": [],
        "data": {
            "name": "",
            "location": "",
            "beside": "",
            "readable": False,
            "labels_from": None,
            "resize": None,
            "sha256": "",
            "n": 0,
            "missing": 0,
            "schema": schema.to_dict(),
            "classes": None,
        },
        "split": {
            "fractions": [1.0, 0.0, 0.0],
            "seed": 0,
            "sizes": {"train": 0, "valid": 0, "test": 0},
            "test": None,
            "duplicates_of_training_rows": {},
        },
        "preparation": Preparation().to_dict(),
        "choices": {
            "device": "cpu",
            "dtype": str(dtype).removeprefix("torch."),
            "precision": "float32",
            "threads": torch.get_num_threads(),
            "epochs": 1,
            "steps_per_epoch": 0,
            "keep": "last",
        },
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__},
    }
