"""A device that cannot be used is refused with a remedy, before anything is computed."""

from __future__ import annotations

import pytest
import torch

from jensen.core.device import resolve_device
from jensen.core.errors import UsageError


def test_devices_that_can_be_used():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:99", "cpu0"])
def test_devices_that_cannot(name):
    with pytest.raises(UsageError, match="--device cpu") as raised:
        resolve_device(name)
    assert repr(name) in str(raised.value)
