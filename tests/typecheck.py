"""Checks of types and shapes while tests run: the first calls of every function in each test, and some of the others.

jaxtyping's import hook decorates every function of a room with `jaxtyping.jaxtyped`. With every call checked, a third
of the suite's time goes into checks, nearly all of them repeats: a training of a hundred epochs calls the same
functions with the same shapes. So a function is checked in its first `FIRST` calls of a test, and in every `EVERY`-th
call after them. Once `ENOUGH` of its calls were checked in this process, it is checked in the first call of one test in
`SPARSE` (of each, where slow tests run) and in every `EVERY`-th. JENSEN_CHECK_CALLS=all checks each call.

A check is built when its function is first called, not when its module is imported: half of the functions are never
called in a given process, and by then every name in the annotations is defined. Functions within functions are made
anew whenever their surroundings run; all that have one code share one check. It is one function that checks the
arguments, calls and checks the result, in one scope of names of dimensions; jaxtyping's own decorator builds two, and
checks the arguments twice.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any, get_type_hints

import jaxtyping
from beartype.roar import BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation
from jaxtyping import TypeCheckError, install_import_hook

__all__ = ["install", "new_test"]

# An int is accepted where a float is declared, as in every type checker (PEP 484).
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
FIRST = 3
EVERY = 512
ENOUGH = 100
SPARSE = 4
CHECK_ALL = os.environ.get("JENSEN_CHECK_CALLS") == "all"

fully_checked = jaxtyping.jaxtyped
test = 0  # the number of the test that runs
known = 1  # calls of it in which a function is checked of which enough were
granted: list[Callable[[], None]] = []  # ends what is left of calls without a check, which are not even counted


def new_test(sparse: bool = False) -> None:
    """Count the calls of every function from zero again; where sparse, most tests check no first call of known ones."""
    global test, known
    test += 1
    known = 0 if sparse and test % SPARSE else 1
    for end in granted:
        end()
    granted.clear()


class Check:
    """The check of one function, and of every closure with its code."""

    __slots__ = ("calls", "checked", "done", "last", "limit", "running", "template", "typechecker")

    def __init__(self, template: Callable[..., Any], typechecker: Callable[..., Any]) -> None:
        self.template, self.typechecker = template, typechecker
        self.calls, self.last, self.done, self.limit = 0, -1, 0, FIRST
        self.checked: Callable[..., Any] | None = None
        self.running: list[Callable[..., Any]] = []

    def begin(self) -> None:
        """Take note of a new test."""
        self.last, self.calls = test, 0
        self.limit = FIRST if self.done < ENOUGH else known

    def __call__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        if self.checked is None:
            self.checked = self.typechecker(self.runner())
        self.done += 1
        depth = len(self.running)
        self.running.append(function)
        try:
            with fully_checked("context"):
                return self.checked(*args, **kwargs)
        except (BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation) as error:
            checked = "the parameters" if isinstance(error, BeartypeCallHintParamViolation) else "the return value"
            name = f"{self.template.__module__}.{self.template.__qualname__}"
            raise TypeCheckError(f"Type-check error whilst checking {checked} of {name}: {error}") from error
        finally:
            del self.running[depth:]  # it still waits there where its arguments were refused

    def runner(self) -> Callable[..., Any]:
        """Return a function with the signature of the template that calls whichever closure is to run."""

        def run(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return self.running.pop()(*args, **kwargs)

        # names in annotations are looked up in the globals of the function
        run = FunctionType(run.__code__, self.template.__globals__, closure=run.__closure__)
        run = functools.update_wrapper(run, self.template)
        run.__annotations__ = {name: hint_of(text, self.template) for name, text in run.__annotations__.items()}
        return run


def hint_of(annotation: Any, template: Callable[..., Any]) -> Any:
    """Return what an annotation means; one that names what the function's module lacks is not checked."""
    if not isinstance(annotation, str):
        return annotation

    def carrier(value: Any) -> None: ...

    carrier.__annotations__ = {"value": annotation}
    try:
        return get_type_hints(carrier, template.__globals__, include_extras=True)["value"]
    except Exception:  # a NameError, or whatever evaluation of the annotation raises
        return Any


CHECKS: dict[tuple[str, CodeType], Check] = {}  # dataclasses with the same fields have equal code


def jaxtyped(typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a decorator in the place of `jaxtyping.jaxtyped(typechecker=...)`."""
    return functools.partial(decorate, typechecker)


def decorate(typechecker: Callable[..., Any], item: Any) -> Any:
    """Return a function or descriptor with checks; of a class, check the arguments of a dataclass."""
    if inspect.isclass(item):
        made_by_dataclass = dataclasses.is_dataclass(item) and "__init__" in vars(item)
        if made_by_dataclass and not getattr(item.__init__, "__wrapped__", None):
            item.__init__ = decorate(typechecker, item.__init__)
        return item
    if isinstance(item, classmethod | staticmethod):
        return type(item)(decorate(typechecker, item.__func__))
    if isinstance(item, property):
        return property(*(f and decorate(typechecker, f) for f in (item.fget, item.fset, item.fdel)))
    if not inspect.isfunction(item):
        return fully_checked(item, typechecker=typechecker)
    key = (f"{item.__module__}.{item.__qualname__}", item.__code__)
    check = CHECKS.get(key)
    if check is None:
        check = CHECKS[key] = Check(item, typechecker)

    left, alone = 0, item.__closure__ is None

    def end() -> None:
        nonlocal left
        left = 0

    @functools.wraps(item)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        nonlocal left
        if left:
            left -= 1
            return item(*args, **kwargs)
        if check.last != test:
            check.begin()
        check.calls = calls = check.calls + 1
        if calls <= check.limit or not calls % EVERY or CHECK_ALL:
            return check(item, args, kwargs)
        if alone:  # no closure counts along
            left = EVERY - 1 - calls % EVERY
            check.calls += left
            granted.append(end)
        return item(*args, **kwargs)

    return call


def install(modules: Iterable[str]) -> None:
    """Check the calls of these modules. Must run before the first of them is imported."""
    install_import_hook(list(modules), CHECKER)
    jaxtyping.jaxtyped = jaxtyped
