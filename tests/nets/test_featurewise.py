"""A map of each feature by itself."""

from __future__ import annotations

import torch

from jensen.nets import Featurewise


def test_it_is_affine_in_each_feature_alone():
    net = Featurewise(3, planes=2).double()
    assert not net(torch.randn(4, 3, dtype=torch.float64)).any()
    torch.manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    expected = torch.cat([net.weight[p] * x + net.bias[p] for p in range(2)], -1)
    torch.testing.assert_close(net(x), expected)


def test_all_first_numbers_come_before_all_second_ones():
    net = Featurewise(2, planes=2)
    with torch.no_grad():
        net.bias.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert net(torch.zeros(2)).tolist() == [1, 2, 3, 4]
    assert net.phrase == "2 numbers of each of 2 features"
