"""`--sweep OPTION=VALUE,VALUE,...`: the values of an option, checked as those of its own flag are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..core.errors import UsageError
from ..core.wording import option_flag
from ..runs.data_options import DataOptions
from ..runs.training_options import TrainingOptions
from .flags import parse_size
from .options import parse_value, possible_recipes, unknown_option_remedy

__all__ = ["parse_sweep"]

EXAMPLE = "Write it as --sweep beta=0.5,1,2."


def parse_sweep(recipe: str | None, words: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values of each swept option, of its type.

    Values are separated by commas; or by semicolons, where a value has commas itself: hidden=64,64;200,200.

    Args:
        recipe: whose options may be swept, beside those of training and of data; None where the data choose it.
        words: OPTION=VALUES each.

    Raises:
        UsageError: there is no such option, it is swept twice, or a value is not of its type.

    Example:
        >>> parse_sweep("beta-vae", ["beta=0.5,1", "hidden=64,64;200"])
        {'beta': (0.5, 1.0), 'hidden': ((64, 64), (200,))}
    """
    hints = {**get_type_hints(DataOptions), **get_type_hints(TrainingOptions)}
    recipes = possible_recipes(recipe)
    for entry in reversed(recipes):
        hints |= {name: option.hint for name, option in entry.options.items()}
    sweep: dict[str, tuple[Any, ...]] = {}
    for word in words:
        flag, equals, text = word.partition("=")
        name = flag.strip().removeprefix("--").replace("-", "_")
        if not equals or not text:
            raise UsageError(f"--sweep {word} names no values", EXAMPLE)
        if name not in hints:
            what = f"neither training nor recipe {recipes[0].name} has an option {option_flag(name)} to sweep"
            raise UsageError(what, unknown_option_remedy(recipes[0], name))
        if name in sweep:
            raise UsageError(f"--sweep {name} is given twice", f"Give all values at once. {EXAMPLE}")
        values = text.split(";" if ";" in text else ",")
        sweep[name] = tuple(_value(name, value.strip(), hints[name]) for value in values)
    return sweep


def _value(name: str, text: str, hint: Any) -> Any:
    """Return one value of an option.

    Raises:
        UsageError: it is not of the option's type.
    """
    flag = option_flag(name)
    if not text:
        raise UsageError(f"--sweep {name} has an empty value", EXAMPLE)
    if name == "size":
        return parse_size(text)
    words = [word for part in get_args(hint) if get_origin(part) is Literal for word in get_args(part)]
    return text if text in words else parse_value(flag, text, hint)
