"""Tables whose cells are missing by their own values: trained, evaluated, imputed, resumed, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import jensen
from jensen.core.errors import DataError, InterruptedRun, UsageError
from jensen.models.masking import SelfMasked
from jensen.models.mechanisms import Mechanism
from jensen.recipes.patterns import with_missing_model
from jensen.runs.compare import compare
from jensen.runs.row_values import value_name

SMALL = {"latent": 2, "hidden": (8,), "points": 2, "epochs": 2, "batch": 64}


def frames(n: int = 160, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a table whose lengths above their mean are missing half the time, and the complete one."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    whole = pd.DataFrame(
        {
            "width": (z + 0.5 * rng.normal(size=n)).round(6),
            "length": (z + 0.7 * rng.normal(size=n)).round(6),
            "visits": rng.negative_binomial(1, 0.05, n),
            "city": rng.choice(["north", "south", "west"], n),
        }
    )
    holed = whole.copy()
    holed["visits"] = holed["visits"].astype("Int64")
    holed.loc[(whole["length"] > whole["length"].mean()) & (rng.random(n) < 0.5), "length"] = np.nan
    holed.loc[rng.random(n) < 0.1, "visits"] = pd.NA
    holed.loc[rng.random(n) < 0.1, "city"] = None
    return holed, whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("patterns")


@pytest.fixture(scope="module")
def run(folder):
    holed, _ = frames()
    return jensen.train(holed, recipe="table-gmm", components=3, epochs=3, missing_model="self", out=folder / "self")


def test_columns_with_holes_have_a_mechanism_and_the_number_says_so(run):
    likelihood = run.model.likelihood
    assert isinstance(likelihood, SelfMasked)
    assert likelihood.columns == (1, 2, 3)
    assert any(float(m.slope.detach().abs().max()) > 0 for m in likelihood.mechanisms)
    evaluation = run.evaluate(budget=0.0)
    assert str(evaluation.estimate.kind) == "quadrature"  # over the values of the missing numbers
    assert evaluation.estimate.error < 1e-3
    assert "log p(x_o, s) = " in str(evaluation)
    assert evaluation.to_dict()["quantity"] == "log p(x_o, s)"
    assert value_name(evaluation.estimate.kind, run.quantity) == "log_pxs"


def test_the_run_is_read_again_and_imputes(run):
    holed, _ = frames()
    again = jensen.load(run.path, data=holed)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), run.model.parameters(), strict=True))
    some = holed.head(16)
    filled = again.impute(some)
    assert some.isna().any().any()
    assert not filled.isna().any().any()
    assert np.array_equal(filled["width"], some["width"])


def test_it_is_not_compared_with_log_px(run, folder):
    plain = jensen.train(frames()[0], recipe="table-gmm", components=3, epochs=1, out=folder / "plain")
    with pytest.raises(DataError, match=r"log p\(x_o, s\)") as refused:
        compare(plain, run)
    assert "same --missing-model" in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["table", "miwae"])
def test_networks_take_it(recipe, folder):
    options = SMALL if recipe == "table" else {**SMALL, "likelihood": "columns"}
    run = jensen.train(frames()[0], recipe=recipe, missing_model="self", out=folder / recipe, **options)
    phrases = [family.phrase for family in run.model.likelihood.family.families]
    assert isinstance(run.model.likelihood, SelfMasked)
    assert not any("NegativeBinomial" in phrase for phrase in phrases)
    assert "log p(x_o, s) >= " in str(run.evaluate(k=5))


@pytest.mark.slow
def test_resumed_to_the_byte(folder):
    steps = iter(range(100))
    options = {"recipe": "table", "missing_model": "self", **SMALL, "epochs": 3}
    whole = jensen.train(frames()[0], out=folder / "whole", **options)
    with pytest.raises(InterruptedRun):
        jensen.train(frames()[0], out=folder / "part", should_stop=lambda: next(steps) > 2, **options)
    jensen.resume(folder / "part", data=frames()[0])
    name = "model.safetensors"
    assert (folder / "part" / name).read_bytes() == (whole.path / name).read_bytes()


def test_what_cannot_be_modelled_is_refused(folder):
    holed, whole = frames()
    with pytest.raises(UsageError, match="no entry of the training rows is missing"):
        jensen.train(whole, recipe="table-gmm", missing_model="self", out=folder / "whole table")
    with pytest.raises(UsageError, match=r"visits") as refused:
        jensen.train(holed, recipe="table", missing_model="self", families="visits=zinb", out=folder / "zinb", **SMALL)
    assert "--families visits=integer-mixture" in str(refused.value)
    without_type_checks = getattr(with_missing_model, "__wrapped__", with_missing_model)
    with pytest.raises(UsageError, match="must be random or self, got other"):
        without_type_checks(None, None, "other")
    with pytest.raises(UsageError, match="has no option --missing-model"):
        jensen.train(holed, recipe="beta-vae", missing_model="self", out=folder / "other")


@pytest.mark.slow
def test_hidden_cells_are_imputed_nearer_the_truth_than_at_random(folder):
    """Cells above the mean are missing half the time: at random, the imputed mean of these is too low."""
    holed, whole = frames(1500)
    holed, whole = holed[["width", "length"]], whole[["width", "length"]]
    at = holed["length"].isna().to_numpy()
    errors = {}
    for model in ("random", "self"):
        run = jensen.train(
            holed,
            recipe="table",
            latent=2,
            hidden=(16,),
            points=10,
            epochs=60,
            missing_model=model,
            out=folder / f"by {model}",
        )
        filled = run.impute(holed)["length"].to_numpy()
        errors[model] = filled[at] - whole["length"].to_numpy()[at]
    stderr = errors["random"].std() / at.sum() ** 0.5
    assert abs(errors["random"].mean()) - abs(errors["self"].mean()) > 2 * stderr


def test_cells_that_are_hidden_on_purpose_are_imputed_as_observed_ones(folder):
    """With one component p(city | s) is p(city) P(s | city), normalised: s = 1 where hidden, s = 0 where missing."""
    holed = frames()[0].drop(columns="visits").head(60)
    run = jensen.train(holed, recipe="table-gmm", components=1, epochs=1, missing_model="self", out=folder / "one")
    hidden = np.array([False, False, True])
    likelihood, place = run.model.likelihood, run.model.likelihood.family.summary_slices[2]
    params = likelihood.likelihood.table.detach()
    plain = likelihood.family.summary(params)[0][place].double()
    group = next(m for m in likelihood.mechanisms if isinstance(m, Mechanism) and 2 in m.columns)
    i = group.columns.index(2)
    with torch.no_grad():
        group.slope[i, :3] = torch.tensor([-1.0, 0.5, 2.0])
    completion = run.completion(holed, m=1, hidden=hidden)
    seen = torch.sigmoid(group.bias[i] - group.weights[i]).detach().double()
    was_seen = holed["city"].notna().to_numpy()
    for is_seen, share in ((True, plain * seen), (False, plain * (1 - seen))):
        expected = float(share.max() / share.sum())
        point = completion.probability[was_seen == is_seen, 2]
        assert point == pytest.approx(expected, abs=1e-6)
        assert (completion.point[was_seen == is_seen, 2] == int(share.argmax())).all()
