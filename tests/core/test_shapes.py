"""Shapes that go together: as torch has it, without what its own function imports."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
import torch

from jensen.core.shapes import broadcast_shapes

SHAPES = [(), (1,), (3,), (5, 1), (5, 3), (1, 1, 3), (2, 1, 1), (0,), (4, 0)]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(SHAPES, SHAPES)))
def test_shapes_are_those_of_torch(a, b):
    try:
        expected = torch.broadcast_shapes(a, b)
    except RuntimeError:
        with pytest.raises(RuntimeError, match="do not go together"):
            broadcast_shapes(a, b)
    else:
        assert broadcast_shapes(a, b) == expected
        assert isinstance(broadcast_shapes(a, b), torch.Size)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")  # of tracing itself
def test_a_traced_shape_stays_that_of_its_input():
    def wide(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.expand(broadcast_shapes(x.shape, y.shape)) + 0

    traced = torch.jit.trace(wide, (torch.ones(1), torch.ones(2)))
    assert traced(torch.ones(1), torch.ones(7)).shape == (7,)


@pytest.mark.slow
def test_sympy_is_not_imported():
    program = "import sys, torch; from jensen.core.shapes import broadcast_shapes as b; b((2, 1), (3,)); "
    done = subprocess.run([sys.executable, "-c", program + "print('sympy' in sys.modules)"], capture_output=True)
    assert done.stdout.strip() == b"False"
