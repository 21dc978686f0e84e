"""Estimators out of folders: pickled, copied, saved without pickle, and made of runs that were trained otherwise."""

from __future__ import annotations

import copy
import gc
import pickle  # as a user may; the package never does

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import jensen
from jensen.core.errors import CompositionError, CorruptRunError, RunExistsError, UsageError
from jensen.sklearn import LatentAnomalyDetector, LatentImputer, LatentMixture, LatentModel, load

FAST = {"threads": 1, "device": "cpu"}


def unpickled(state: bytes) -> object:
    return pickle.loads(state)  # noqa: S301


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(scope="module")
def model(x) -> LatentModel:
    return LatentModel("ppca", latent=2, epochs=1, options={**FAST, "split": (0.8, 0.1, 0.1)}, random_state=0).fit(x)


def test_a_temporary_folder_goes_with_its_estimator(x, model):
    own = clone(model).fit(x)
    twin, path = copy.copy(own), own.run_.path
    assert path.exists()
    del own
    gc.collect()
    assert not path.parent.exists()
    assert twin.transform(x).shape == (60, 2)


def test_a_failed_fit_leaves_no_folder_and_the_fitted_run(x, model, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = clone(model).fit(x)
    before = own.run_
    with pytest.raises(UsageError):
        own.set_params(latent=3).fit(x)
    gc.collect()
    assert own.run_ is before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("how", [lambda e: unpickled(pickle.dumps(e)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_copies_have_a_run_of_their_own(model, x, how):
    twin = how(model)
    np.testing.assert_array_equal(twin.transform(x), model.transform(x))
    np.testing.assert_array_equal(twin.score_samples(x), model.score_samples(x))
    assert twin.run_.path != model.run_.path
    assert unpickled(pickle.dumps(clone(model))).get_params() == model.get_params()


def test_a_run_that_was_kept_is_opened_again(x, tmp_path):
    own = LatentModel("ppca", latent=1, epochs=1, options=FAST, out=tmp_path / "run", random_state=0).fit(x)
    twin = unpickled(pickle.dumps(own))
    assert twin.run_.path == tmp_path / "run"
    with pytest.raises(RunExistsError):
        own.fit(x)
    own.set_params(force=True).fit(x)
    state = pickle.dumps(own)
    del own, twin
    gc.collect()
    assert (tmp_path / "run" / "spec.json").exists()
    (tmp_path / "run").rename(tmp_path / "gone")
    with pytest.raises(UsageError, match="there is no run"):
        unpickled(state)


def test_saving_needs_no_pickle_and_keeps_all(model, x, tmp_path):
    path = model.save(tmp_path / "saved")
    twin = load(path)
    assert twin.get_params() == model.get_params()
    np.testing.assert_array_equal(twin.transform(x), model.transform(x))
    np.testing.assert_array_equal(jensen.load(path).encode(x), model.run_.encode(x))
    with pytest.raises(RunExistsError):
        model.save(path)
    model.save(path, force=True)
    (tmp_path / "notes").mkdir()
    with pytest.raises(RunExistsError):
        model.save(tmp_path / "notes", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes", "saved"]
    record = path / "estimator.json"
    record.write_text(record.read_text().replace("LatentModel", "LatentOther"))
    with pytest.raises(CorruptRunError, match="changed since"):
        load(path)
    record.unlink()
    with pytest.raises(UsageError, match="as_estimator"):
        load(path)


def test_other_estimators_are_saved_with_their_attributes(x, tmp_path):
    holed = pd.DataFrame(np.where(x > 1.2, np.nan, x), columns=["a", "b", "c"])
    small = {**FAST, "components": 2}
    imputer = LatentImputer(recipe="table-gmm", epochs=1, options=small, add_indicator=True).fit(holed)
    detector = LatentAnomalyDetector(recipe="gmm", epochs=1, options=small, contamination=0.1).fit(x)
    mixture = LatentMixture(2, max_iter=2, options=FAST).fit(x)
    again = [load(e.save(tmp_path / type(e).__name__)) for e in (imputer, detector, mixture)]
    np.testing.assert_array_equal(again[0].transform(holed), imputer.transform(holed))
    assert again[0].get_feature_names_out().tolist() == imputer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(again[1].p_values(x), detector.p_values(x))
    assert again[1].offset_ == detector.offset_
    np.testing.assert_array_equal(again[2].means_, mixture.means_)


def test_what_cannot_be_saved_is_refused(model, tmp_path):
    twin = copy.copy(model).set_params(options={"split": object()})
    with pytest.raises(UsageError, match="options is a object"):
        twin.save(tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_a_run_becomes_an_estimator(x, tmp_path):
    run = jensen.train(x, recipe="gmm", components=2, epochs=2, seed=5, out=tmp_path / "run", **FAST)
    detector, mixture, model = (run.as_estimator(kind) for kind in ("anomaly", "mixture", "model"))
    np.testing.assert_allclose(model.score_samples(x), run.score(x, columns=False).log_px)
    np.testing.assert_allclose(detector.p_values(x), run.score(x, columns=False).p_value)
    assert (mixture.n_components, mixture.max_iter, mixture.weights_.shape) == (2, 2, (2,))
    assert model.get_params()["options"] == {"components": 2, **FAST}
    again = clone(model).fit(x)
    np.testing.assert_array_equal(again.score_samples(x), model.score_samples(x))
    with pytest.raises(UsageError, match="no kind"):
        run.as_estimator("regressor")
    linear = jensen.train(x, recipe="ppca", latent=1, epochs=1, out=tmp_path / "linear", **FAST)
    with pytest.raises(CompositionError, match="no gmm"):
        linear.as_estimator("mixture")
