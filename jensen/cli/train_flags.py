"""The flags of `jensen train`: names, types, choices, defaults and help come from the option dataclasses."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import Field, field, fields, make_dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from ..core.wording import option_flag
from ..runs.data_options import DataOptions
from ..runs.training_options import TrainingOptions
from .docstrings import attribute_texts
from .flags import parse_size

__all__ = ["COMMON", "NOT_GIVEN", "UNCOMMON", "TrainFlags", "with_option_fields"]

DATA, TRAINING = Group("Data", sort_key=1), Group("Training", sort_key=2)
OF_TRAINING = {"seed", "device"}  # options of data that a reader looks for under training

COMMON = {
    *("test", "labels", "split", "columns", "drop", "size", "resize", "binarize", "augment"),
    *("epochs", "batch", "lr", "patience", "seed", "device"),
}  # the flags that most trainings need
NONE = "none"
NEGATIVES = {"stream": "--in-memory"}  # flags of "no" by another name than --no-OPTION
UNCOMMON = {
    flag
    for options in (DataOptions, TrainingOptions)
    for option in fields(options)
    if option.name not in COMMON
    for flag in (option_flag(option.name), NEGATIVES.get(option.name, option_flag(f"no_{option.name}")))
}

T = TypeVar("T")


class _NotGiven:
    """The default of every flag; None is a value: `--patience none` overrides a replayed command."""


NOT_GIVEN = _NotGiven()


def with_option_fields(*options: type) -> Callable[[type[T]], type[T]]:
    """Return a decorator that makes a class a dataclass with a field, and so a flag, for each option.

    Args:
        options: dataclasses whose docstring describes each field under `Attributes:`.
    """

    def decorate(flags: type[T]) -> type[T]:
        made = make_dataclass(flags.__name__, _flag_fields(options), bases=(flags,), frozen=True)
        made.__module__, made.__doc__ = flags.__module__, flags.__doc__
        return made

    return decorate


def _flag_fields(options: tuple[type, ...]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default of each flag."""
    for kind in options:
        hints, texts = get_type_hints(kind), attribute_texts(kind)
        for option in fields(kind):
            in_data = kind is DataOptions and option.name not in OF_TRAINING
            flag_type = _flag_type(hints[option.name])
            parameter = _parameter(option, flag_type, texts[option.name], DATA if in_data else TRAINING)
            yield option.name, Annotated[flag_type | None, parameter], field(default=NOT_GIVEN)


def _parameter(option: Field[Any], flag_type: Any, text: str, group: Group) -> Parameter:
    """Return the help of an option; only a truth value that is undecided by default has a negative flag."""
    undecided = option.default is None
    return Parameter(
        help=text,
        group=group,
        negative=NEGATIVES.get(option.name) if undecided and flag_type is bool else "",
        show_default=False if undecided or flag_type is bool else lambda _: f"{option.default}",
    )


def _flag_type(hint: Any) -> Any:
    """Return the type that words are converted to: the first of a union, and its words; text for no plain value."""
    if get_origin(hint) in (Union, types.UnionType):
        words = [a for a in get_args(hint) if get_origin(a) is Literal]
        if words and int in get_args(hint):
            chosen = (*get_args(words[0]), *((NONE,) if _takes_none(hint) else ()))
            return int | Literal[chosen]  # pyright: ignore[reportInvalidTypeForm, reportReturnType]
        return _flag_type(next(a for a in get_args(hint) if a is not type(None)))
    return hint if hint in (int, float, bool, str) or get_origin(hint) is Literal else str


def _takes_none(hint: Any) -> bool:
    """Return whether an option is a whole number, a word or None, for which the parser has to know none as a word."""
    parts = get_args(hint)
    return int in parts and type(None) in parts and any(get_origin(part) is Literal for part in parts)


NONE_AS_A_WORD = {
    name for kind in (DataOptions, TrainingOptions) for name, hint in get_type_hints(kind).items() if _takes_none(hint)
}


@Parameter(name="*")
@with_option_fields(TrainingOptions, DataOptions)
class TrainFlags:
    """The options of `jensen train` that do not depend on the recipe."""

    def given(self) -> dict[str, Any]:
        """Return the options that were given, as `jensen.runs.train.train` takes them.

        Raises:
            UsageError: the size is not a height and a width.
        """
        values = {name: value for name, value in vars(self).items() if value is not NOT_GIVEN}
        values |= dict.fromkeys(name for name in NONE_AS_A_WORD if values.get(name) == NONE)
        if isinstance(values.get("size"), str):
            values["size"] = parse_size(values["size"])
        return values
