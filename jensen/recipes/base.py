"""Recipes: what they are given, what they build, and the registry of all of them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, get_type_hints

import torch
from torch import Tensor, nn

from ..core.batch import Rows
from ..core.errors import DataError, UsageError
from ..core.renames import with_current_names
from ..core.shown import Shown
from ..core.validation import LARGEST, require_finite, require_integer
from ..core.wording import option_flag
from ..data import Conditions, Labels, Role, Schema
from ..families import Family
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..training import Optimizer, Player
from .floors import relative_floor
from .likelihoods import likelihood_of

__all__ = ["RECIPES", "BuiltModel", "Nets", "Recipe", "RecipeContext", "find", "option_flag", "option_names", "recipe"]


@dataclass(frozen=True)
class RecipeContext:
    """The data and the training that a recipe builds a model for.

    Attributes:
        schema: of the data as the model sees them.
        mean, scale: [D], mean and standard deviation of the training rows as the model sees them (in expectation over a
            dynamic binarisation).
        rows: the training rows; with the labels as their context, if the recipe learns from labels.
        steps_per_epoch: optimiser steps per pass over the data.
        epochs: passes over the data.
        optimizer: for the players.
        constant: number of constant columns.
        floor: the user's lower limit of learned scales; None if none was given.
        seed: for initialisations that need one (k-means).
        labels: the classes, if the recipe learns from them.
        conditions: several labels, in the place of classes.
        number: returns the number in its file of a training row.
    """

    schema: Schema
    mean: Tensor
    scale: Tensor
    rows: Rows
    steps_per_epoch: int
    optimizer: Optimizer
    epochs: int = 0
    constant: int = 0
    floor: float | None = None
    seed: int = 0
    labels: Labels | None = None
    conditions: Conditions | None = None
    number: Callable[[int], int] = int

    @property
    def classes(self) -> int:
        """C, the number of classes, or of features of several labels; 0 if the recipe does not learn from labels."""
        return len(self.labels or self.conditions or ())

    @property
    def dim(self) -> int:
        """D, the number of features of a datum."""
        return self.schema.size

    def learned_floor(self) -> float:
        """Return the lower limit of a learned scale.

        Raises:
            DataError: a column is constant, so that its density is unbounded, and no floor was given.
        """
        if self.constant and self.floor is None:
            raise DataError(
                f"{self.constant} columns are constant, so under a learned scale their density is unbounded",
                "Drop them, or set a lower limit of the scale: --floor 0.01.",
            )
        return self.shared_floor()

    def shared_floor(self) -> float:
        """Return the lower limit of a scale that is learned for all columns together, constant ones included."""
        return relative_floor(self.rows) if self.floor is None else self.floor

    def likelihood(self, name: str) -> Family:
        """Return the family of p(x | z) by name.

        "auto" is Bernoulli for binary data, discretised logistic for integers, and Gaussian for reals.

        Raises:
            DataError: the data are outside the family's support.
            UsageError: there is no such family.
        """
        return likelihood_of(name, self.schema, self.rows, self.learned_floor, self.number)


@dataclass(frozen=True)
class Nets:
    """The options of every recipe with networks; each is a flag.

    Attributes:
        hidden: sizes of the hidden layers of dense networks.
        net: dense networks (mlp) or convolutions (conv); auto is convolutions for images that are in colour or have at
            least 16 pixels a side, unless --hidden is given, and dense networks for all other data.
        width: channels of convolutions at the finest level.
        blocks: residual blocks, of a dense network of width `hidden[0]` or at each level of convolutions; 0 for none;
            by default none in dense networks, and one at each level of convolutions.
        norm: group normalisation in the residual blocks of convolutions; none is without, with a finest level as large
            as the image, no blocks by default, and a random start, as earlier versions made them.
        activation: nonlinearity, by name.
        likelihood: family of p(x | z), by name; auto is bernoulli for bits, discretized-logistic for integers, gaussian
            for reals, columns for mixed tables, and, with convolutions, a mixture over the channels of each pixel for
            photographs in colour.
    """

    hidden: Sequence[int] = (200, 200)
    net: Literal["auto", "mlp", "conv"] = "auto"
    width: int = 32
    blocks: int | None = None
    norm: Literal["group", "none"] = "group"
    activation: str = "silu"
    likelihood: str = "auto"


@dataclass(frozen=True)
class BuiltModel:
    """Model, guide and players, as a recipe builds them.

    Attributes:
        model: prior and likelihood.
        guide: q(z | x).
        players: the optimisers of training, each with its objective and parameters.
        critics: networks of players that belong neither to the model nor to the guide, and are used in training only.
    """

    model: LatentVariableModel
    guide: Guide
    players: Sequence[Player]
    critics: Sequence[nn.Module] = ()


@dataclass(frozen=True)
class Recipe(Shown):
    """A model of the literature: a function from a context and options to model, guide and players.

    Attributes:
        name: on the command line.
        make: (context, **options) -> `BuiltModel`.
        paper: authors and year.
        density: True if it models a density over reals, so that integers are dequantised first.
        standardize: scaling of reals: "feature", "global" if the model is equivariant to that alone, or "none".
        keep: the weights that are kept: the "best" by the validation bound, or the "last" (if training maximises
            something else than the bound, or the optimum is exact).
        epochs: default number of passes over the data; None: about 20,000 steps, in at most `most` passes.
        most: see `epochs`.
        lr: learning rate where none is asked for; None for that of all recipes.
        missing: True if it learns from data with missing entries.
        columns: True if it reads tables of mixed kinds alone, with a family of its own for each column; "auto" if it
            reads them so where they are mixed, and other data too.
        labels: None if it ignores labels; "context" if every row needs one, "partial" if some rows do.
        batches: True if it can be conditioned on the batches of an experiment; see `of_batches`.
        title: name of the model in a report.
        built: the parts themselves, of a model that the user composed; None for a recipe that builds them.
    """

    name: str
    make: Callable[..., BuiltModel]
    paper: str
    density: bool = False
    standardize: Literal["none", "global", "feature"] = "feature"
    keep: Literal["best", "last"] = "best"
    epochs: int | None = None
    most: int = 300
    lr: float | None = None
    missing: bool = False
    columns: bool | Literal["auto"] = False
    labels: Role | None = None
    batches: bool = False
    title: str = ""
    built: BuiltModel | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its parameters: float64 for exact models, which are cheap, float32 for networks."""
        if self.built is not None:
            return next((p.dtype for p in self.built.model.parameters()), torch.float32)
        return torch.float64 if self.density and not self.has_nets else torch.float32

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.make) or "").split("\n")[0]

    @cached_property
    def has_nets(self) -> bool:
        """True if the function takes the options of networks."""
        return "nets" in inspect.signature(self.make).parameters

    @cached_property
    def options(self) -> dict[str, inspect.Parameter]:
        """The options and their defaults: all parameters but the context, and those of networks if it has some."""
        _, *parameters = inspect.signature(self.make).parameters.items()
        own = {k: p for k, p in parameters if k != "nets"}
        if not self.has_nets:
            return own
        shared = inspect.signature(Nets).parameters
        return own | {k: p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for k, p in shared.items()}

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of the options."""
        hints = get_type_hints(self.make) | (get_type_hints(Nets) if self.has_nets else {})
        return {name: hints[name] for name in self.options}

    @property
    def of_batches(self) -> Recipe:
        """The recipe of p(x | batch): batches are classes that it is conditioned on.

        Raises:
            UsageError: it has no place for them.
        """
        if not self.batches:
            able = ", ".join(name for name, recipe in RECIPES.items() if recipe.batches)
            what = f"recipe {self.name} cannot be conditioned on batches"
            raise UsageError(what, f"Leave out --batch-key, or use --recipe {able}.")
        return replace(self, labels="context")

    def __repr__(self) -> str:
        return f"Recipe({self.name!r}: {self.summary} {self.paper})"

    def __call__(self, context: RecipeContext, **options: Any) -> BuiltModel:
        chosen = self.checked(options)
        if not self.has_nets:
            return self.make(context, **chosen)
        nets = Nets(**{f.name: chosen.pop(f.name) for f in fields(Nets)})
        return self.make(context, nets, **chosen)

    def checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return all options, with defaults for those that are not given.

        Raises:
            UsageError: the recipe has no option of that name, or a value is outside its range.
        """
        options = with_current_names(options)
        for name in options:
            if name not in self.options:
                raise UsageError(f"recipe {self.name} has no option {option_flag(name)}", self._nearest_option(name))
        # None, where it is the default, leaves a size to the recipe
        given = {k for k, v in options.items() if v is not None or self.options[k].default is not None}
        for name in sorted(AT_LEAST_ONE & given):
            require_integer(1, MOST.get(name, LARGEST), **{option_flag(name): options[name]})
        if options.get("blocks") is not None:
            require_integer(0, MOST["blocks"], **{option_flag("blocks"): options["blocks"]})
        for name in sorted(AT_LEAST_ZERO & options.keys()):
            if options[name] is not None:
                require_finite(0, **{option_flag(name): options[name]})
        for name in sorted({"hidden", "groups"} & given):
            sizes = tuple(options[name])
            require_integer(1, LARGEST_LIST, **{f"number of --{name}": len(sizes) or 1})
            if any(size < 1 for size in sizes) or (name == "groups" and not sizes):
                raise UsageError(
                    f"--{name} must hold sizes of at least 1, got {','.join(map(str, sizes)) or 'none'}",
                    f"Give sizes such as --{name} 200,200.",
                )
        return {name: options.get(name, p.default) for name, p in self.options.items()}

    def _nearest_option(self, name: str) -> str:
        """Return the remedy for an option that the recipe does not have."""
        nearest = difflib.get_close_matches(name, self.options, 1)
        if nearest:
            return f"Did you mean {option_flag(nearest[0])}?"
        return f"It has {', '.join(map(option_flag, self.options))}."


AT_LEAST_ONE = {
    "classes",
    "code_size",
    "codes",
    "components",
    "depth",
    "flows",
    "latent",
    "leapfrog_steps",
    "local_steps",
    "planes",
    "points",
    "rank",
    "state",
    "steps",
    "width",
}
# of what is made or done one by one; other sizes are limited by memory
MOST = {
    "blocks": 1000,
    "depth": 1000,
    "flows": 1000,
    "leapfrog_steps": 100_000,
    "local_steps": 100_000,
    "points": 100_000,
    "steps": 100_000,
}
LARGEST_LIST = 1000  # sizes, one by one
AT_LEAST_ZERO = {
    "commitment",
    "warmup",
    "beta",
    "blocks",
    "nats",
    "gamma",
    "weight",
    "off",
    "diagonal",
    "amount",
    "penalty",
}

RECIPES: dict[str, Recipe] = {}


def recipe(
    name: str, paper: str = "", *, title: str = "", **facts: Any
) -> Callable[[Callable[..., BuiltModel]], Callable[..., BuiltModel]]:
    """Register a function (context, **options) -> `BuiltModel` as a recipe, with a command line of its own.

    Args:
        name: on the command line.
        paper: authors and year.
        title: name of the model in a report, such as "VAE"; by default `name`.
        **facts: further attributes of `Recipe`.

    Raises:
        UsageError: another module has registered this name already.
    """

    def register(make: Callable[..., BuiltModel]) -> Callable[..., BuiltModel]:
        existing = RECIPES.get(name)
        if existing is not None and existing.make.__module__ != make.__module__:
            raise UsageError(f"there is a recipe {name!r} already", "Give yours another name.")
        RECIPES[name] = Recipe(name, make, paper, title=title or name, **facts)
        return make

    return register


def find(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        nearest = difflib.get_close_matches(name, RECIPES, 1)
        remedy = f"Did you mean {nearest[0]}?" if nearest else "See jensen recipes."
        raise UsageError(f"there is no recipe {name!r}", remedy)
    return RECIPES[name]


def option_names() -> set[str]:
    """Return the names of all options of all recipes."""
    return {name for r in RECIPES.values() for name in r.options}


def start_from_mean(bias: Tensor, family: Family, mean: Tensor) -> None:
    """Set a decoder's last bias to the mean of the data, so that training starts from the best constant."""
    with torch.no_grad():
        start = family.start(mean)
        bias[: len(start)].copy_(start)
