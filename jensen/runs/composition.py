"""Models that a user puts together from parts, as recipes: from parts to a run, and back from its specification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import CompositionError, UsageError
from ..core.random import drawing_from, stream
from ..estimators import GradientEstimator, Pathwise
from ..guides import Exact
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..models.posteriors import has_posterior
from ..objectives import Elbo, Objective
from ..recipes import BuiltModel, Recipe
from ..storage.run_folder import INITIAL
from ..storage.weights import read_weights, tie, write_weights
from ..training import Optimizer, Player
from .players import canonical, critics_of, players_from

__all__ = ["composed", "initial_modules", "recomposed", "write_initial"]


def composed(
    model: LatentVariableModel,
    guide: Guide | None = None,
    objective: Objective | None = None,
    estimator: GradientEstimator | None = None,
    players: Sequence[Player] | None = None,
    optimizer: Optimizer | None = None,
) -> Recipe:
    """Return a recipe that makes these parts, whatever the data.

    Args:
        model: prior and likelihood.
        guide: by default the exact posterior, where it is known.
        objective: of one player that trains model and guide; the ELBO by default.
        estimator: of its gradient; one reparameterised point per datum by default.
        players: in the place of the three; each has its own optimiser.
        optimizer: of the one player.

    Raises:
        CompositionError: there is no guide and no exact posterior.
        UsageError: players beside an objective, an estimator or an optimiser.
    """
    if guide is None:
        if not has_posterior(model.prior, model.likelihood):
            raise CompositionError("this model has no exact posterior, and no guide was given", "Give guide=.")
        guide = Exact(model)
    if players is None:
        how = Pathwise() if estimator is None else estimator
        players = [Player(objective or Elbo(), [model, guide], how, optimizer or Optimizer())]
    elif objective is not None or estimator is not None or optimizer is not None:
        raise UsageError(
            "players have objectives, estimators and optimisers of their own", "Leave out those beside players=."
        )
    players = canonical(model, guide, players)
    return _recipe(BuiltModel(model, guide, players, critics_of(model, guide, players)))


def _recipe(built: BuiltModel) -> Recipe:
    """Return the recipe that makes what is there already.

    Data are taken as they are, unless the user asks for a preparation. Where several players pull at the weights, no
    number tells the best epoch, and the last weights are kept.
    """
    single = len(built.players) == 1 and built.model.likelihood.has_density
    sees = built.model.likelihood.sees_context or bool(getattr(built.guide, "context", False))
    return Recipe(
        name="composed",
        make=lambda setting: built,
        paper="",
        standardize="none",
        keep="best" if single else "last",
        missing=True,
        labels="context" if sees else None,
        batches=sees,
        built=built,
    )


def initial_modules(built: BuiltModel) -> nn.ModuleDict:
    """Return model, guide and critics under one roof."""
    critics = {f"critic {i}": critic for i, critic in enumerate(built.critics)}
    return nn.ModuleDict({"model": built.model, "guide": built.guide, **critics})


def write_initial(folder: Path, spec: Mapping[str, Any], built: BuiltModel) -> None:
    """Write the weights before the first step; those that come of a recipe follow from its seed, and need no file."""
    write_weights(folder, initial_modules(built), tie(spec), None, INITIAL)


def recomposed(folder: Path, spec: Mapping[str, Any], parts: Mapping[str, Callable[..., Any]] | None = None) -> Recipe:
    """Return the recipe of a run that was made from parts: everything as it was before the first step.

    Raises:
        UsageError: a part of the user's own was not given back.
        CorruptRunError: the specification or the initial weights are damaged.
    """
    with drawing_from(stream(0, "rebuilt")):
        model, guide, players = players_from(spec, parts)
    built = BuiltModel(model, guide, players, critics_of(model, guide, players))
    dtype = getattr(torch, spec["choices"]["dtype"])
    modules = initial_modules(built).to(dtype)
    read_weights(folder, modules, tie(spec), INITIAL)
    return _recipe(built)
