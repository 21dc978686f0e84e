"""Numbers in a notebook have their kinds and errors beside them."""

from __future__ import annotations

import math

import pytest

import jensen
from jensen.notebook.numbers import estimate_table, key_numbers, of_comparison, of_estimate, of_evaluation, of_recipe
from jensen.recipes import RECIPES, find


@pytest.fixture(scope="module")
def evaluation(run):
    return run.evaluate(k=20)


def test_a_number_has_its_kind_and_its_error(evaluation):
    record = evaluation.to_dict()
    number, bits = key_numbers(record, "log p(x)", evaluation.size)
    assert number.name == "log p(x) ≥"
    assert number.kind == "nats per datum, stochastic lower bound; ± over data"
    assert " ± " in number.value
    assert bits.kind == "stochastic upper bound"
    assert float(bits.value.split(" ± ")[1]) == pytest.approx(record["stderr"] / (64 * math.log(2)), rel=0.1)
    assert key_numbers({**record, "log_px": None}, "log p(x)") == ()


def test_the_table_has_a_kind_in_every_row(evaluation):
    table = estimate_table(evaluation.to_dict(), "log p(x)")
    assert [row[0] for row in table.rows] == ["log p(x) ≥", "ELBO", "rate", "distortion"]
    assert all(row[-1] for row in table.rows)
    assert table.rows[0][4] == "20"


def test_evaluations_and_estimates_show_the_bound_over_k(evaluation):
    card = of_evaluation(evaluation)
    assert "test rows" in card.sentence
    assert "The bound rises" in card.panels[0].bodies[0]
    assert of_estimate(evaluation.estimate).tables[0].rows == card.tables[0].rows
    assert repr(evaluation).startswith("Evaluation(log p(x) >= -")
    assert "stochastic lower bound" in repr(evaluation.estimate)


def test_a_comparison_shows_both_sides_and_the_difference(run):
    comparison = jensen.compare(run, run, k=10)
    card = of_comparison(comparison)
    assert card.sentence.lower().startswith(comparison.verdict[:20].lower())
    a, b, difference = card.tables[0].rows
    assert a[1] == b[1]
    assert "stochastic lower bound" in a[3]
    assert difference[0] == "A - B"
    assert float(difference[1]) == 0
    assert "PairedComparison" in repr(comparison)


@pytest.mark.parametrize("name", ["vae", "gmm", "table"])
def test_a_recipe_shows_its_options_and_whose_it_is(name):
    card, recipe = of_recipe(find(name)), RECIPES[name]
    assert recipe.paper in card.sentence
    assert [row[0] for row in card.tables[0].rows] == list(recipe.options)
    assert name in repr(recipe)
