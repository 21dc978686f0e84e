"""jensen trains latent-variable models through the evidence lower bound, and says how tight the bound is.

The door is cheap: torch is imported when something is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .core.version import __version__

if TYPE_CHECKING:
    from .core.batch import Batch, Rows
    from .core.errors import JensenError
    from .estimators.denoising import Corrupted
    from .estimators.enumeration import Enumerate
    from .estimators.quadrature import Quadrature
    from .estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
    from .estimators.score import Score
    from .evaluate import Estimate, Importance
    from .families import Bernoulli, Categorical, DiscretizedLogistic, Gaussian, Mixture
    from .guides import Amortized, Deterministic, Exact, Flowing, Masked, Shared
    from .models.conditionals import Conditional, Given, Linear, Table, Unconditional
    from .models.draw import Draw
    from .models.model import LatentVariableModel
    from .models.posteriors import register_posterior
    from .models.priors import FlowPrior, VampPrior
    from .objectives import Distortion, Elbo, FreeBits, ImportanceWeighted, Of, Rate
    from .runs.run import Run, load
    from .runs.train import train
    from .training import Budget, Player, Trainer

_WHERE = {
    "batch": ("Batch", "Rows"),
    "conditionals": ("Conditional", "Given", "Linear", "Table", "Unconditional"),
    "corruption": ("Corrupted",),
    "draw": ("Draw",),
    "errors": ("JensenError",),
    "estimators": ("Enumerate", "Pathwise", "Quadrature"),
    "evaluate": ("Estimate", "Importance"),
    "families": ("Bernoulli", "Categorical", "DiscretizedLogistic", "Gaussian", "Mixture"),
    "guides": ("Amortized", "Deterministic", "Exact", "Flowing", "Masked", "Shared"),
    "model": ("LatentVariableModel",),
    "objectives": ("Distortion", "Elbo", "FreeBits", "ImportanceWeighted", "Of", "Rate"),
    "posteriors": ("register_posterior",),
    "priors": ("FlowPrior", "VampPrior"),
    "runs": ("Run", "load"),
    "surrogates": ("DoublyReparameterized", "Score", "StickTheLanding"),
    "training": ("Budget", "Player", "Trainer"),
    "workflow": ("train",),
}
_ROOM = {name: room for room, names in _WHERE.items() for name in names}

__all__ = [
    "Amortized",
    "Batch",
    "Bernoulli",
    "Budget",
    "Categorical",
    "Conditional",
    "Corrupted",
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
    "Pathwise",
    "Player",
    "Quadrature",
    "Rate",
    "Rows",
    "Run",
    "Score",
    "Shared",
    "StickTheLanding",
    "Table",
    "Trainer",
    "Unconditional",
    "VampPrior",
    "__version__",
    "load",
    "register_posterior",
    "train",
]


def __getattr__(name: str) -> Any:
    # `jensen.train` is the function; the room of that name is reached as `from jensen.training import ...`
    if name not in _ROOM:
        raise AttributeError(f"module 'jensen' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOM[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
