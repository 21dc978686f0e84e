"""Features of columns: by kind, nothing of what is missing; a decoder that starts affine."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.errors import CompositionError
from jensen.core.parts import build, spec_of
from jensen.nets import EncodeColumns, SkipMLP

CODES = ("number", "log", "logit", "counts", "angle", "levels", "order")
SIZES = (0, 0, 0, 0, 0, 3, 4)
X = torch.tensor([[1.0, math.e, 0.5, 3.0, math.pi / 2, 1.0, 2.0]])


def test_features_of_each_kind():
    net = EncodeColumns(CODES, SIZES)
    features = net(X)[0]
    numbers = [3 * math.asinh(v / 3) for v in (1.0, 1.0, 0.0, math.log(4))]
    expected = [*numbers, 1.0, 0.0, 0, 1, 0, 1, 1, 0, *[1] * 7]
    torch.testing.assert_close(features, torch.tensor(expected), atol=1e-6, rtol=1e-6)
    assert net.outputs == len(features)


def test_a_missing_entry_leaves_zeros_whatever_its_value():
    net = EncodeColumns(CODES, SIZES)
    away = torch.full_like(X, -1.0)
    for x in (X, torch.zeros_like(X), torch.full_like(X, -3.0)):
        assert net(torch.cat([x, away], -1)).eq(0).all()


def test_rows_alone_count_as_observed():
    net = EncodeColumns(CODES, SIZES)
    torch.testing.assert_close(net(X), net(torch.cat([X, torch.zeros_like(X)], -1)))


def test_numbers_are_standardised_by_what_is_observed():
    x = torch.tensor([[1.0, 1.0], [3.0, math.e**2], [99.0, 1.0]])
    mask = torch.tensor([[True, True], [True, True], [False, False]])
    net = EncodeColumns(("number", "log"), (0, 0)).set(x, mask)
    assert net.mean.tolist() == pytest.approx([2, 1])
    assert net.scale.tolist() == pytest.approx([1, 1])


def test_it_is_rebuilt_with_its_places():
    net = EncodeColumns(CODES, SIZES).set(X.repeat(3, 1) + torch.arange(3.0)[:, None])
    [again] = build(spec_of(net))
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again(X), net(X))


@pytest.mark.parametrize(("codes", "sizes"), [(("levels",), (0,)), (("number",), (3,)), (("number",), (0, 0))])
def test_codes_and_sizes_that_do_not_belong_together_are_refused(codes, sizes):
    with pytest.raises(CompositionError, match="number"):
        EncodeColumns(codes, sizes)


def test_a_skip_starts_affine():
    net = SkipMLP(3, 2, (8,))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x), net.affine(x))
    with torch.no_grad():
        net.bent.layers[-1].weight.add_(1.0)
    assert not torch.allclose(net(x), net.affine(x))
