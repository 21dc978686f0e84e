"""Renamed options: old names are accepted, and never together with the current one."""

from __future__ import annotations

import pytest

from jensen.core.errors import UsageError
from jensen.core.renames import RENAMED_OPTIONS, with_current_names


@pytest.mark.parametrize("old", RENAMED_OPTIONS)
def test_old_names_become_current_ones(old):
    current = RENAMED_OPTIONS[old]
    assert with_current_names({"other": 1, old: 2}) == {"other": 1, current: 2}
    assert with_current_names({current: 2}) == {current: 2}
    assert current not in RENAMED_OPTIONS


@pytest.mark.parametrize("old", RENAMED_OPTIONS)
def test_both_names_are_refused(old):
    with pytest.raises(UsageError, match=f"^{old} is the old name of {RENAMED_OPTIONS[old]}, and both are given"):
        with_current_names({old: 1, RENAMED_OPTIONS[old]: 1})
