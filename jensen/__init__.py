"""jensen trains latent-variable models through the evidence lower bound, and says how tight the bound is.

The front door is cheap: torch is imported when something is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .core.shown import Shown, show_by
from .core.version import __version__

if TYPE_CHECKING:
    from . import plot, sklearn
    from .core.batch import Batch, Rows
    from .core.errors import JensenError
    from .core.parts import part
    from .estimators import Corrupted, DoublyReparameterized, Enumerate, Pathwise, Quadrature, Score, StickTheLanding
    from .evaluate import Estimate, Importance
    from .families import Bernoulli, Categorical, DiscretizedLogistic, Gaussian, Mixture
    from .guides import Amortized, Deterministic, Exact, Flowing, Masked, Shared
    from .models import (
        Conditional,
        Draw,
        FlowPrior,
        Given,
        LatentVariableModel,
        Linear,
        Table,
        Unconditional,
        VampPrior,
        register_posterior,
    )
    from .nets import MLP
    from .objectives import CustomObjective, Distortion, Elbo, FreeBits, ImportanceWeighted, Ramp, Rate
    from .objectives import CustomObjective as Of
    from .recipes import BuiltModel, RecipeContext, recipe
    from .runs.compare import compare
    from .runs.group import RunGroup, open_group
    from .runs.interactive import resume, train
    from .runs.listing import list_runs as runs
    from .runs.resume_group import resume_group
    from .runs.run import Run, load
    from .runs.save import save
    from .training import Budget, Optimizer, Player, Trainer

_WHERE = {
    "core.batch": (
        "Batch",
        "Rows",
    ),
    "core.errors": ("JensenError",),
    "core.parts": ("part",),
    "estimators": (
        "Corrupted",
        "DoublyReparameterized",
        "Enumerate",
        "Pathwise",
        "Quadrature",
        "Score",
        "StickTheLanding",
    ),
    "evaluate": (
        "Estimate",
        "Importance",
    ),
    "families": (
        "Bernoulli",
        "Categorical",
        "DiscretizedLogistic",
        "Gaussian",
        "Mixture",
    ),
    "guides": (
        "Amortized",
        "Deterministic",
        "Exact",
        "Flowing",
        "Masked",
        "Shared",
    ),
    "models": (
        "Conditional",
        "Draw",
        "FlowPrior",
        "Given",
        "LatentVariableModel",
        "Linear",
        "Table",
        "Unconditional",
        "VampPrior",
        "register_posterior",
    ),
    "nets": ("MLP",),
    "objectives": (
        "CustomObjective",
        "Distortion",
        "Elbo",
        "FreeBits",
        "ImportanceWeighted",
        "Ramp",
        "Rate",
    ),
    "recipes": (
        "BuiltModel",
        "RecipeContext",
        "recipe",
    ),
    "runs.compare": ("compare",),
    "runs.group": (
        "RunGroup",
        "open_group",
    ),
    "runs.interactive": (
        "resume",
        "train",
    ),
    "runs.resume_group": ("resume_group",),
    "runs.run": (
        "Run",
        "load",
    ),
    "runs.save": ("save",),
    "training": (
        "Budget",
        "Optimizer",
        "Player",
        "Trainer",
    ),
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names}
_ROOMS = ("plot", "runs", "sklearn")  # `runs` can be called
_RENAMED = {"Of": "CustomObjective"}  # earlier names, which keep working

__all__ = [
    "MLP",
    "Amortized",
    "Batch",
    "Bernoulli",
    "Budget",
    "BuiltModel",
    "Categorical",
    "Conditional",
    "Corrupted",
    "CustomObjective",
    "Deterministic",
    "DiscretizedLogistic",
    "Distortion",
    "DoublyReparameterized",
    "Draw",
    "Elbo",
    "Enumerate",
    "Estimate",
    "Exact",
    "FlowPrior",
    "Flowing",
    "FreeBits",
    "Gaussian",
    "Given",
    "Importance",
    "ImportanceWeighted",
    "JensenError",
    "LatentVariableModel",
    "Linear",
    "Masked",
    "Mixture",
    "Of",
    "Optimizer",
    "Pathwise",
    "Player",
    "Quadrature",
    "Ramp",
    "Rate",
    "RecipeContext",
    "Rows",
    "Run",
    "RunGroup",
    "Score",
    "Shared",
    "StickTheLanding",
    "Table",
    "Trainer",
    "Unconditional",
    "VampPrior",
    "__version__",
    "compare",
    "load",
    "open_group",
    "part",
    "plot",
    "recipe",
    "register_posterior",
    "resume",
    "resume_group",
    "runs",
    "save",
    "sklearn",
    "train",
]


def __getattr__(name: str) -> Any:
    # `jensen.train` is the function; the room of that name is reached as `from jensen.training import ...`
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    known = _RENAMED.get(name, name)
    if known not in _MODULE:
        raise AttributeError(f"module 'jensen' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE[known]}", __name__), known)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


def _as_html(value: Shown) -> str | None:
    # rooms below cannot import the one that draws them
    from .notebook import as_html

    return as_html(value)


show_by(_as_html)
