"""What a recipe is given, what it makes, and the list of all of them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_type_hints

import torch
from torch import Tensor, nn

from ..core.batch import Rows
from ..core.errors import DataError, UsageError
from ..core.validation import require_finite, require_integer
from ..data import Labels, Role, Schema
from ..families import FLOOR, Family
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..training import Optimizer, Player
from .likelihoods import likelihood_of

__all__ = ["RECIPES", "BuiltModel", "Nets", "Recipe", "RecipeContext", "find", "option_names"]


@dataclass(frozen=True)
class RecipeContext:
    """What a recipe may know of the data and of the training that is to come.

    Attributes:
        schema: of the data as the model sees them.
        mean, scale: [D] of the training rows as the model sees them (expected over a dynamic binarisation).
        rows: the training rows; with a context, where the recipe learns from labels.
        steps_per_epoch: optimiser steps per pass.
        epochs: passes to come.
        optimizer: for the players.
        constant: how many columns are constant.
        floor: the user's floor for learned scales; None where none was given.
        seed: for starts that need one (k-means).
        labels: the classes, where the recipe learns from them.
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

    @property
    def classes(self) -> int:
        """C, the number of classes; 0 where the recipe does not learn from labels."""
        return 0 if self.labels is None else len(self.labels)

    @property
    def dim(self) -> int:
        return self.schema.size

    def learned_floor(self) -> float:
        """The floor of a learned scale.

        Raises:
            DataError: a column is constant, so that its density has no bound, and no floor was given.
        """
        if self.constant and self.floor is None:
            raise DataError(
                f"{self.constant} columns are constant, and under a learned scale their density has no bound",
                "Drop them, or accept a smallest scale: --floor 0.01.",
            )
        return FLOOR if self.floor is None else self.floor

    def likelihood(self, name: str) -> Family:
        """The family of p(x | z) by name; "auto": Bernoulli for {0, 1}, logistic bins for integers, else Gaussian.

        Raises:
            DataError: the data are not in the family's support.
            UsageError: there is no such family.
        """
        return likelihood_of(name, self.schema, self.rows, self.learned_floor)


@dataclass(frozen=True)
class Nets:
    """The options of every recipe with networks; each is a flag.

    Attributes:
        hidden: sizes of the hidden layers of dense nets.
        net: dense or convolutional.
        width: channels of convolutions at the finest level.
        blocks: residual blocks: of a dense net of width `hidden[0]`, or at each level of convolutions; 0 for none.
        activation: by name.
        likelihood: the family of p(x | z) by name.
    """

    hidden: Sequence[int] = (200, 200)
    net: Literal["mlp", "conv"] = "mlp"
    width: int = 32
    blocks: int = 0
    activation: str = "silu"
    likelihood: str = "auto"


@dataclass(frozen=True)
class BuiltModel:
    """What a recipe makes.

    Attributes:
        critics: networks that players hold beside model and guide, which are used in training alone.
    """

    model: LatentVariableModel
    guide: Guide
    players: Sequence[Player]
    critics: Sequence[nn.Module] = ()


@dataclass(frozen=True)
class Recipe:
    """A model of the literature: a function from a setting and options to parts.

    Attributes:
        name: on the command line.
        make: (setting, **options) -> Made.
        paper: authors and year.
        density: whether it models a density over reals, so that integers are dequantised first.
        standardize: how reals are scaled: "feature", "global" where the model is equivariant to that alone, or "none".
        keep: which weights are kept, the "best" by the validation bound, or the "last" (where the bound is not what is
            climbed, or the optimum is exact).
        epochs: passes over the data unless told otherwise; None: about 20,000 steps, in at most `most` passes.
        missing: whether it learns from data with missing entries.
        labels: whether it learns from labels: as a "context" that every row has, or "partial", known of some rows.
        title: what a report calls the model.
        built: the parts themselves, of a model that the user put together; None of a recipe that makes them.
    """

    name: str
    make: Callable[..., BuiltModel]
    paper: str
    density: bool = False
    standardize: Literal["none", "global", "feature"] = "feature"
    keep: Literal["best", "last"] = "best"
    epochs: int | None = None
    most: int = 300
    missing: bool = False
    labels: Role | None = None
    title: str = ""
    built: BuiltModel | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its numbers: exact models are cheap and proven to many digits, networks train in float32."""
        if self.built is not None:
            return next((p.dtype for p in self.built.model.parameters()), torch.float32)
        return torch.float64 if self.density and not self.has_nets else torch.float32

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.make) or "").split("\n")[0]

    @property
    def has_nets(self) -> bool:
        """Whether the function takes the options of networks."""
        return "nets" in inspect.signature(self.make).parameters

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The options and their defaults: all parameters but the setting, and the networks' where it has some."""
        _, *parameters = inspect.signature(self.make).parameters.items()
        own = {k: p for k, p in parameters if k != "nets"}
        if not self.has_nets:
            return own
        shared = inspect.signature(Nets).parameters
        return own | {k: p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for k, p in shared.items()}

    @property
    def hints(self) -> dict[str, Any]:
        """The types of the options."""
        found = get_type_hints(self.make) | (get_type_hints(Nets) if self.has_nets else {})
        return {k: found[k] for k in self.options}

    def __call__(self, setting: RecipeContext, **options: Any) -> BuiltModel:
        chosen = self.checked(options)
        if not self.has_nets:
            return self.make(setting, **chosen)
        nets = Nets(**{f.name: chosen.pop(f.name) for f in fields(Nets)})
        return self.make(setting, nets, **chosen)

    def checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """All options with the defaults filled in.

        Raises:
            UsageError: the recipe has no option of that name, or a size is not positive.
        """
        for name in options:
            if name not in self.options:
                near = difflib.get_close_matches(name, self.options, 1)
                hint = f"Did you mean --{near[0]}?" if near else f"It has {', '.join('--' + o for o in self.options)}."
                raise UsageError(f"recipe {self.name} has no option --{name}", hint.replace("_", "-"))
        for name in AT_LEAST_ONE & set(options):
            require_integer(1, **{f"--{name}": options[name]})
        for name in AT_LEAST_ZERO & set(options):
            if options[name] is not None:
                require_finite(0, **{f"--{name}": options[name]})
        for name in {"hidden", "groups"} & set(options):
            sizes = options[name]
            if any(h < 1 for h in sizes) or (name == "groups" and not sizes):
                raise UsageError(
                    f"--{name} {','.join(map(str, sizes))} cannot work", f"Give sizes such as --{name} 200,200."
                )
        return {k: options.get(k, p.default) for k, p in self.options.items()}


AT_LEAST_ONE = {
    "classes",
    "code_size",
    "codes",
    "components",
    "depth",
    "flows",
    "latent",
    "leaps",
    "local_steps",
    "planes",
    "points",
    "rank",
    "state",
    "steps",
    "width",
}
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
        title: what a report calls the model, such as "VAE"; by default the name.
        **facts: further attributes of `Recipe`.

    Raises:
        UsageError: another function has this name already.
    """

    def register(make: Callable[..., BuiltModel]) -> Callable[..., BuiltModel]:
        held = RECIPES.get(name)
        if held is not None and held.make.__module__ != make.__module__:
            raise UsageError(f"there is a recipe {name!r} already", "Give yours another name.")
        RECIPES[name] = Recipe(name, make, paper, title=title or name, **facts)
        return make

    return register


def find(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, 1)
        raise UsageError(f"there is no recipe {name!r}", f"Did you mean {near[0]}?" if near else "See jensen recipes.")
    return RECIPES[name]


def option_names() -> set[str]:
    """Every option of any recipe."""
    return {name for r in RECIPES.values() for name in r.options}


def start_from_mean(bias: Tensor, family: Family, mean: Tensor) -> None:
    """Let a decoder's last bias say the data's average, so that training starts from the best constant."""
    with torch.no_grad():
        start = family.start(mean)
        bias[: len(start)].copy_(start)
