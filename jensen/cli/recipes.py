"""`jensen recipes`: the models that come ready."""

from __future__ import annotations

from ..recipes import RECIPES
from .flags import Json
from .options import flag
from .output import emit

__all__ = ["recipes"]


def recipes(*, json: Json = False) -> None:
    """The models that come ready: what each is, where it was published, and its options."""
    if json:
        emit({"recipes": [_record(name) for name in RECIPES]})
        return
    width = 2 + max(map(len, RECIPES))
    for name, recipe in RECIPES.items():
        print(f"{name:<{width}}{recipe.summary}")
        print(f"{'':<{width}}{recipe.paper}")
        print(f"{'':<{width}}{' '.join(map(flag, recipe.options)) or 'no options'}")
    print("\nnext: jensen train DATA --recipe NAME; the defaults are in jensen train --help")


def _record(name: str) -> dict[str, object]:
    recipe = RECIPES[name]
    options = {flag(k): p.default for k, p in recipe.options.items()}
    return {"name": name, "summary": recipe.summary, "paper": recipe.paper, "options": options}
