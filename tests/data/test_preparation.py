"""Preparation: exact frequencies, a true Jacobian, the same bits again."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jensen.core.errors import CorruptRunError, DataError, UsageError
from jensen.data import Preparation, Schema, constant_columns
from jensen.data.preparation import _check_fit

BYTES = Schema("integers", (4,), 256)
DIGITS = Schema("integers", (4,), 17)
REAL = Schema("real", (3,))
RNG = np.random.default_rng(0)
LENGTHS = RNG.normal(3, [1, 10, 0.1], (50, 3))


def bits(preparation, x, schema, seed=0, **options):
    rows = preparation.rows(x, schema, **options)
    return rows.take(torch.arange(len(x)), torch.Generator().manual_seed(seed)).x


@pytest.mark.parametrize("how", ["dynamic", "static"])
@pytest.mark.parametrize("levels", [256, 17, 65536])
def test_binarisation_has_the_right_frequencies(how, levels):
    """P(1) = x / (levels - 1): of n = 40,000 draws of each value the frequency errs by sqrt(p (1 - p) / n)."""
    n, values = 40_000, np.unique(np.linspace(0, levels - 1, 33).astype(int))
    schema = Schema("integers", (len(values),), levels)
    x = np.tile(values, (n, 1)).astype(np.uint8 if levels <= 256 else np.int32)
    p = values / (levels - 1)
    drawn = bits(Preparation(binarize=how), x, schema)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    frequency = drawn.double().mean(0).numpy()
    assert frequency[0] == 0
    assert frequency[-1] == 1
    error = np.sqrt(p * (1 - p) / n)
    z = (frequency[1:-1] - p[1:-1]) / error[1:-1]
    assert abs(z).max() < 4
    assert abs(z.sum()) / np.sqrt(len(z)) < 4


def test_ties_are_decided_like_the_rest():
    """Among pixels whose first random digit ties (1 in 256), ones are as frequent as everywhere."""
    n = 200_000
    x = torch.arange(1, 255, dtype=torch.uint8).repeat(n // 254 + 1)[None]
    prepare = Preparation(binarize="dynamic").rows(x.numpy(), Schema("integers", (x.numel(),), 256)).prepare
    again = torch.Generator().manual_seed(3)
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None, generator=again)
    tie = words.view(torch.uint8)[: x.numel()] == x[0]
    p = x[0, tie].double() / 255
    bits = prepare(x, torch.Generator().manual_seed(3))[0, tie].double()
    assert 600 < tie.sum() < 1000
    assert abs((bits - p).sum()) < 4 * (p * (1 - p)).sum().sqrt()


def test_dynamic_bits_are_independent():
    """Neighbouring pixels of value 128 agree as often as they should: correlation 0 within 4 / sqrt(n)."""
    x = np.full((2000, 64), 128, dtype=np.uint8)
    drawn = bits(Preparation(binarize="dynamic"), x, Schema("integers", (64,), 256)).double().numpy() - 128 / 255
    for lag in (1, 8):
        assert abs((drawn[:, lag:] * drawn[:, :-lag]).mean() * 4) < 4 / np.sqrt(drawn[:, lag:].size)


def test_dynamic_draws_follow_the_generator():
    x = RNG.integers(0, 256, (20, 4), dtype=np.uint8)
    preparation = Preparation(binarize="dynamic")
    rows = preparation.rows(x, BYTES)
    assert rows.stored.dtype == torch.uint8
    assert torch.equal(bits(preparation, x, BYTES), bits(preparation, x, BYTES))
    assert not torch.equal(bits(preparation, x, BYTES), bits(preparation, x, BYTES, seed=1))
    assert rows.take(torch.tensor([3])).x.shape == (1, 4)
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(rows.take(torch.arange(20), generator).x, rows.take(torch.arange(20), generator).x)
    assert bits(preparation, x, BYTES, dtype=torch.float64).dtype == torch.float64


def test_static_draws_follow_seed_and_stream():
    x = RNG.integers(0, 17, (20, 4), dtype=np.uint8)
    first = Preparation(binarize="static").rows(x, DIGITS)
    assert first.stored.dtype == torch.uint8
    assert torch.equal(first.stored, Preparation(binarize="static").rows(x, DIGITS).stored)
    assert not torch.equal(first.stored, Preparation(binarize="static").rows(x, DIGITS, stream=1).stored)
    assert not torch.equal(first.stored, Preparation(binarize="static", seed=1).rows(x, DIGITS).stored)


def test_threshold_is_above_half_the_range():
    x = np.array([[0, 127, 128, 255]], dtype=np.uint8)
    assert bits(Preparation(binarize="threshold"), x, BYTES).tolist() == [[0, 0, 1, 1]]
    x = np.array([[0, 8, 9, 16]], dtype=np.uint8)
    assert bits(Preparation(binarize="threshold"), x, DIGITS).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("how", ["static", "dynamic", "threshold"])
def test_unit_reals_are_binarised(how):
    schema = Schema("real", (3,))
    x = np.tile([0.0, 0.75, 1.0], (10_000, 1))
    frequency = bits(Preparation.fit(x, schema, binarize=how), x, schema).mean(0)
    assert frequency[[0, 2]].tolist() == [0, 1]
    expected = 1.0 if how == "threshold" else 0.75
    assert abs(frequency[1] - expected) < 4 * np.sqrt(0.75 * 0.25 / 10_000)


def test_values_pass_unchanged():
    whole = np.array([[0, 5, 255, 9]], dtype=np.uint8)
    rows = Preparation().rows(whole, BYTES)
    assert rows.stored.dtype == torch.uint8
    assert rows.take(torch.tensor([0])).x.tolist() == [[0.0, 5.0, 255.0, 9.0]]
    binary = Preparation().rows(whole // 255, Schema("binary", (4,)), dtype=torch.float64)
    assert binary.take(torch.tensor([0])).x.dtype == torch.float64
    real = Preparation().rows(LENGTHS, REAL)
    assert real.stored.dtype == torch.float32
    assert real.prepare is None
    exact = Preparation().rows(LENGTHS, REAL, dtype=torch.float64)
    np.testing.assert_array_equal(exact.stored.numpy(), LENGTHS)


def test_read_only_arrays_are_copied():
    x = np.ones((2, 4), dtype=np.uint8)
    x.flags.writeable = False
    assert Preparation().rows(x, BYTES).stored.sum() == 8


def test_dequantised_values_stay_in_their_bins():
    x = RNG.integers(0, 17, (500, 4), dtype=np.uint8)
    preparation = Preparation.fit(x, DIGITS, dequantize=True)
    noisy = preparation.rows(x, DIGITS, dtype=torch.float64).stored.numpy()
    assert (np.floor(noisy) == x).all()
    u = (noisy - x).ravel()
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * u.size)
    np.testing.assert_array_equal(preparation.rows(x, DIGITS, dtype=torch.float64).stored.numpy(), noisy)
    assert (preparation.rows(x, DIGITS, dtype=torch.float64, stream=2).stored.numpy() != noisy).all()


def test_standardised_per_feature():
    preparation = Preparation.fit(LENGTHS, REAL, standardize="feature")
    z = preparation.rows(LENGTHS, REAL, dtype=torch.float64).stored.numpy()
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-12)
    np.testing.assert_allclose(preparation.invert(torch.from_numpy(z)), LENGTHS, rtol=1e-12)


def test_standardised_globally():
    preparation = Preparation.fit(LENGTHS, REAL, standardize="global")
    z = preparation.rows(LENGTHS, REAL, dtype=torch.float64).stored.numpy()
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
    assert (z**2).mean() == pytest.approx(1, rel=1e-12)
    assert z.std(0)[1] / z.std(0)[0] == pytest.approx(LENGTHS.std(0)[1] / LENGTHS.std(0)[0])


def test_constant_columns_keep_their_scale():
    x = LENGTHS.copy()
    x[:, 1] = 0.1  # whose mean over 50 rows is not 0.1 in floating point
    assert constant_columns(x).tolist() == [1]
    preparation = Preparation.fit(x, REAL, standardize="feature", floor=0.5)
    assert preparation.scale[1] == 1
    assert preparation.scale[2] == 0.5
    assert (preparation.rows(x, REAL).stored[:, 1] == 0).all()


def test_dequantised_statistics_are_those_of_the_noisy_values():
    """Mean + 1/2, variance + 1/12: a constant column of integers is no longer constant."""
    x = np.tile(np.array([[3, 0, 5, 16]], dtype=np.uint8), (20_000, 1))
    x[::2, 2] = 7
    preparation = Preparation.fit(x, DIGITS, dequantize=True, standardize="feature")
    assert preparation.scale[:2] == pytest.approx(np.sqrt(1 / 12))
    z = preparation.rows(x, DIGITS).stored.double().numpy()
    assert abs(z.mean(0)).max() < 4 / np.sqrt(len(x))
    assert z.std(0) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("standardize", ["none", "global", "feature"])
def test_jacobian_is_that_of_the_map(standardize):
    """log|det dz/dx| by central differences of the preparation itself, in float64."""
    preparation = Preparation.fit(LENGTHS, REAL, standardize=standardize)

    def z(x):
        return preparation.rows(x[None], REAL, dtype=torch.float64).stored[0].numpy()

    x, h = LENGTHS[0], 1e-5
    jacobian = np.stack([(z(x + h * e) - z(x - h * e)) / (2 * h) for e in np.eye(3)])
    assert preparation.log_jacobian(3) == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-8)


def test_density_in_the_units_of_the_data_integrates_to_one():
    """A standard normal in the model's space, seen in the data's units: the trapezoid rule over x gives 1."""
    schema = Schema("real", (1,))
    preparation = Preparation.fit(LENGTHS[:, 1:2], schema, standardize="feature")
    x = np.linspace(-120, 120, 4001)[:, None]
    z = preparation.rows(x, schema, dtype=torch.float64).stored
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1).numpy() + preparation.log_jacobian(1)
    assert np.trapezoid(np.exp(log_p), x[:, 0]) == pytest.approx(1, abs=1e-6)


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=5), st.integers(0, 2**40), st.booleans())
def test_json_round_trip_is_exact(values, seed, scalar):
    scale = np.asarray(values[0] if scalar else values)
    first = Preparation(None, True, -np.asarray(values), scale, seed)
    again = Preparation.from_dict(json.loads(json.dumps(first.to_dict())))
    assert again.to_dict() == first.to_dict()
    assert again.scale.shape == first.scale.shape
    assert again.scale.tobytes() == first.scale.tobytes()


def test_damaged_record():
    with pytest.raises(CorruptRunError):
        Preparation.from_dict({"binarize": None})
    with pytest.raises(CorruptRunError):
        Preparation.from_dict({**Preparation().to_dict(), "scale": "large"})


@pytest.mark.parametrize(
    ("schema", "options", "message"),
    [
        (Schema("binary", (4,)), {"binarize": "dynamic"}, "already binary"),
        (Schema("binary", (4,)), {"dequantize": True}, "only integers"),
        (Schema("binary", (4,)), {"standardize": "feature"}, "have no density"),
        (Schema("real", (4,)), {"dequantize": True}, "only integers"),
        (DIGITS, {"standardize": "feature"}, "cannot be standardised. Dequantise them first"),
        (DIGITS, {"binarize": "static", "dequantize": True}, "Choose one"),
    ],
)
def test_steps_refused(schema, options, message):
    with pytest.raises(UsageError, match=message):
        Preparation.fit(np.zeros((2, 4)), schema, **options)


def test_names_of_steps_are_told():
    """Called below the type checks of the tests, which a user does not have."""
    with pytest.raises(UsageError, match="static, dynamic, threshold"):
        _check_fit(DIGITS, "sometimes", False, "none")
    with pytest.raises(UsageError, match="none, global, feature"):
        _check_fit(DIGITS, None, False, "always")


def test_reals_outside_the_unit_interval_are_not_grey():
    x = np.array([[0.0, 0.5, 1.5]])
    with pytest.raises(DataError, match=r"0 to 1\.5"):
        Preparation.fit(x, REAL, binarize="dynamic")
    with pytest.raises(DataError, match=r"0 to 1\.5"):
        Preparation(binarize="dynamic").rows(x, REAL)
    with pytest.raises(DataError, match=r"must have the shape \[N, 3\] of the schema, got \(2, 4\)"):
        Preparation().rows(np.zeros((2, 4)), REAL)


def test_outcome_and_description():
    assert Preparation(binarize="static").outcome(DIGITS) == Schema("binary", (4,))
    assert Preparation(dequantize=True).outcome(DIGITS) == Schema("real", (4,))
    assert Preparation().outcome(DIGITS) == DIGITS
    assert Preparation().describe(BYTES) == "8-bit values, no binarisation"
    assert Preparation(binarize="dynamic").describe(BYTES) == "binarised dynamically"
    assert Preparation(binarize="static", seed=3).describe(BYTES) == "binarised once (seed 3)"
    full = Preparation(dequantize=True, center=np.zeros(4), scale=np.ones(4))
    assert full.describe(DIGITS) == "17 levels dequantised by uniform noise (seed 0), standardised per feature"
    assert Preparation(scale=np.asarray(2.0)).describe(REAL) == "real values, standardised by one scale"
    assert Preparation().describe(Schema("binary", (4,))) == "binary values"


def test_identity_has_no_jacobian_and_inverts_to_itself():
    x = np.array([[0, 1]], dtype=np.uint8)
    assert Preparation().log_jacobian(2) == 0
    assert Preparation().invert(x) is x


def test_reading_needs_no_torch():
    program = "import sys, jensen.data as d; d.split(5); d.Schema('real', (1,)); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_row_has_the_jacobian_of_its_observed_entries():
    from jensen.data import Preparation

    preparation = Preparation(center=np.zeros(2), scale=np.array([2.0, 4.0]))
    mask = np.array([[True, True], [True, False], [False, True], [False, False]])
    np.testing.assert_allclose(preparation.log_jacobians(mask), -np.log([8.0, 2.0, 4.0, 1.0]))
    assert preparation.log_jacobians(mask)[0] == pytest.approx(preparation.log_jacobian(2))
