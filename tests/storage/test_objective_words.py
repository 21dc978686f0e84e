"""What formats 1 and 2 recorded in words is read into trees: sums of plain terms whole, all else by its name."""

from __future__ import annotations

import pytest

from jensen.analysis.compared_objective import compared_objective
from jensen.core.parts import build, spec_of
from jensen.estimators import Corrupted, DetachedSamples, Masking, Pathwise, Stratified
from jensen.objectives import DIP, MMD, Distortion, Elbo, ImportanceWeighted, Ramp, Rate, Renyi
from jensen.storage.objective_words import player_parts, renamed_words


def read(objective: str, estimator: str = "Pathwise(k=1)", **more) -> dict:
    return player_parts({"objective": objective, "estimator": estimator, **more})


@pytest.mark.parametrize(
    "objective",
    [
        *(ImportanceWeighted(), Renyi(-0.5), Renyi(1e-05), Elbo(), Elbo(0.5), -Distortion() - 2.5 * Rate()),
        -Distortion() - 0.5 * Rate() - 100 * MMD(),
        -Distortion() - Rate() - 1e-05 * MMD((0.5, 2.0)),
        -Distortion() - Rate() - DIP("points", 1e06, 0.0),
        -Distortion() - Ramp(4.0, 10, every=20) * Rate(),
        -Distortion() - Ramp(0.5, 10, 1e-5) * Rate() - 2 * MMD(),
    ],
    ids=str,
)
def test_a_sum_of_plain_terms_is_rebuilt_from_its_words(objective):
    [again] = build([read(str(objective))["objective"]])
    assert (again.terms, str(again)) == (objective.terms, str(objective))


def test_what_cannot_be_rebuilt_stands_by_its_name():
    tree = read("0.5 Fool(points) + 0.5 FreeBits(nats=0.25)")["objective"]
    terms = [term for _, term in tree["args"]["weighted"]]
    assert [term["custom"] for term in terms] == ["GeneratorLoss", "FreeBits"]
    assert read("energy, of my own")["objective"]["custom"] == "energy, of my own"
    with pytest.raises(Exception, match="GeneratorLoss needs a critic"):
        compared_objective([{"objective": "GeneratorLoss(points)", "parts": read("Fool(points)")}])


@pytest.mark.parametrize("estimator", [Pathwise(1), Pathwise(50), Stratified(3), DetachedSamples(2)], ids=str)
def test_estimators_of_whole_numbers_are_rebuilt(estimator):
    words = str(estimator).replace("DetachedSamples", "Still")
    assert build([read("Elbo", words)["estimator"]]) == [estimator]


def test_a_corruption_that_was_recorded_beside_the_words_is_within_the_estimator():
    corrupted = Corrupted(Pathwise(3), Masking(0.25))
    parts = read("Elbo", str(corrupted), corruption=spec_of(corrupted.corruption)[0])
    assert build([parts["estimator"]]) == [corrupted]


def test_names_change_as_words_only():
    assert renamed_words("Dream by Dreaming(), DreamCatcher") == "SleepPhase by FromModel(), DreamCatcher"
