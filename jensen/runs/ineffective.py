"""Options of a recipe that have no effect in combination with its others: they are refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from ..core.errors import UsageError
from ..recipes import BuiltModel, Recipe, option_flag
from ..recipes.likelihoods import LIKELIHOODS
from .players import record_players

__all__ = ["has_effect", "refuse_ineffective", "untrained_labels"]

UNTRAINED_LABELS = (
    "labels have no effect on the model: {recipe} does not train on labels, which only name classes in the report and "
    "in results; a model of p(x | label), or of some labels, is {others}"
)

Make = Callable[[dict[str, Any]], BuiltModel]

SMALL = 8  # units of a layer, where only its presence matters
WORDS = {"likelihood": tuple(LIKELIHOODS), "activation": ("tanh", "relu")}


def refuse_ineffective(
    recipe: Recipe,
    options: Mapping[str, Any],
    make: Make,
    recorded: Collection[str] = (),
    notice: Callable[[str], None] = lambda text: None,
) -> None:
    """Refuse an option that is not at its default, and that changes nothing about what the recipe makes.

    The recipe is asked, with small networks: where neither the default nor any other value leads to other parts, the
    option is not read.

    Args:
        recipe: of the training.
        options: all of its options.
        make: calls the recipe with options, for the data of the training.
        recorded: names of options that repeat an earlier training: these are noticed instead.
        notice: called with a text for each of them.

    Raises:
        UsageError: naming the option, and the choice with which it would have an effect.
    """
    for name, value in options.items():
        if _plain(value) == _plain(recipe.options[name].default) or _matters(recipe, name, options, make) is not False:
            continue
        flag, choices = option_flag(name), _choices(recipe, name, options)
        others = ((other, word) for other, word in choices if _matters(recipe, name, {**options, other: word}, make))
        option, choice = next(others, (None, None))
        if option is None:
            what, remedy = f"{flag} has no effect on these data with --recipe {recipe.name}", f"Leave {flag} out."
        else:
            what = f"{flag} has no effect with {option_flag(option)} {options[option]}"
            remedy = f"Leave {flag} out, or use {option_flag(option)} {choice}."
        if name not in recorded:
            raise UsageError(what, remedy)
        notice(f"{what}: it is taken as it was recorded")


def has_effect(recipe: Recipe, name: str, options: Mapping[str, Any], make: Make) -> bool:
    """Return whether an option changes what the recipe makes beside its other options; True where it is not known."""
    return options[name] is None or _matters(recipe, name, options, make) is not False


def _matters(recipe: Recipe, name: str, options: Mapping[str, Any], make: Make) -> bool | None:
    """Return whether another value of the option leads to other parts, or to an error; None if these options fail."""
    # sizes of dense networks that are not the default ask for these, where the data would have convolutions
    kept = {name, "hidden"} if _plain(options.get("hidden")) == _default(recipe, "hidden") else {name}
    small = {key: value if key in kept else _small(key, value) for key, value in options.items()}
    value, *others = _values(recipe, name, options[name])
    first = _tree(make, {**small, name: value})
    return None if first is None else any(_tree(make, {**small, name: other}) != first for other in others)


def _default(recipe: Recipe, name: str) -> Any:
    """Return the default of an option; None where the recipe does not have it."""
    return _plain(recipe.options[name].default) if name in recipe.options else None


def _tree(make: Make, options: dict[str, Any]) -> Any:
    """Return what describes the parts that are made of these options; None where the recipe refuses them."""
    try:
        made = make(options)
        return record_players(made.model, made.guide, made.players), [str(critic) for critic in made.critics]
    except Exception:
        return None


def _values(recipe: Recipe, name: str, value: Any) -> Iterator[Any]:
    """Yield values of an option, the given one first; layers are of small ones, and as many."""
    default, hint = recipe.options[name].default, recipe.hints[name]
    if name in ("hidden", "width"):
        yield _small(name, value)
        yield tuple(SMALL + 1 for _ in value) or (SMALL,) if name == "hidden" else 2 * SMALL
        return
    yield value
    yield default
    if get_origin(hint) is Literal:
        yield from (choice for choice in get_args(hint) if choice not in (value, default))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield from (word for word in WORDS.get(name, ()) if word not in (value, default))


def _choices(recipe: Recipe, name: str, options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the other choices of other options; "auto" would say nothing."""
    for option, hint in recipe.hints.items():
        if option != name and get_origin(hint) is Literal:
            yield from ((option, choice) for choice in get_args(hint) if choice not in (options[option], "auto"))


def _small(name: str, value: Any) -> Any:
    """Return the sizes of small networks in the place of theirs, and other values as they are."""
    if name == "hidden" and value is not None:
        return tuple(SMALL for _ in value)
    return SMALL if name == "width" else value


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def untrained_labels(recipe: Recipe, options: Mapping[str, Any]) -> str:
    """Return that labels have no effect on a model, with the options of recipes that learn from them."""
    likelihood = options.get("likelihood", "auto")
    if recipe.name == "count-vae" and likelihood == "auto":
        likelihood = "negative-binomial"
    same = "" if likelihood == "auto" else f" --likelihood {likelihood}"
    others = ", or ".join(f"--recipe {name}{same}" for name in ("conditional", "semi-supervised"))
    return UNTRAINED_LABELS.format(recipe=recipe.name, others=others)
