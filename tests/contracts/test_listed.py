"""Every final class of an axis has a member in the lists, since parts are tested by being listed."""

from __future__ import annotations

import inspect

import pytest

from jensen.estimators.base import GradientEstimator
from jensen.families import Family
from jensen.flows import Flow
from jensen.models.conditionals import Conditional
from jensen.models.guide import Guide
from jensen.nets import Net
from jensen.objectives import Objective
from tests.contracts.members import (
    ALL_CONDITIONALS,
    ALL_COUPLED,
    ALL_ESTIMATORS,
    ALL_FAMILIES,
    ALL_FLOWS,
    ALL_GUIDES,
    ALL_NETS,
    ALL_OBJECTIVES,
    CHAIN_GUIDES,
    CHAINS,
    GAMES,
    OF_CHAINS_ALONE,
    OF_CODES_ALONE,
    OF_LABELS_ALONE,
    SAMPLERS,
)

AXES = {
    Family: ALL_FAMILIES + SAMPLERS,
    Flow: ALL_FLOWS,
    Net: ALL_NETS,
    Conditional: ALL_CONDITIONALS + CHAINS,
    Guide: [guide for guide, _ in ALL_GUIDES] + CHAIN_GUIDES,
    GradientEstimator: ALL_ESTIMATORS,
    Objective: ALL_OBJECTIVES + ALL_COUPLED + GAMES + OF_CODES_ALONE + OF_LABELS_ALONE + OF_CHAINS_ALONE,
}


def final(abstraction: type) -> set[str]:
    """Names of the package's own classes of this kind that are not abstract."""
    classes = {abstraction}
    for _ in range(5):
        classes |= {sub for cls in classes for sub in cls.__subclasses__()}
    return {c.__name__ for c in classes if c.__module__.startswith("jensen.") and not inspect.isabstract(c)}


@pytest.mark.parametrize("abstraction", AXES, ids=lambda c: c.__name__)
def test_every_member_is_listed(abstraction):
    assert final(abstraction) - {type(member).__name__ for member in AXES[abstraction]} == set()


@pytest.mark.parametrize("abstraction", AXES, ids=lambda c: c.__name__)
def test_classes_are_abstract_or_final(abstraction):
    """Depth two: no listed class inherits from another one that can be instantiated."""
    for member in AXES[abstraction]:
        concrete = [c for c in type(member).__mro__[1:] if issubclass(c, abstraction) and not inspect.isabstract(c)]
        assert concrete == [], f"{type(member).__name__} inherits from {concrete}"


def test_a_class_without_a_member_is_seen():
    class Forgotten(Objective):
        __module__ = "jensen.objectives"

        def __call__(self, draw):
            return draw.log_lik[0]

        def __str__(self):
            return "Forgotten"

    assert "Forgotten" in final(Objective)
    Forgotten.__module__ = __name__  # or the other tests would see it
