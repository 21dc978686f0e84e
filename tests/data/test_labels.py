"""Labels as a model sees them: classes by number and name, unknown ones, and which are kept."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import CorruptRunError, DataError, UsageError
from jensen.data import Labels, Schema, hide_labels

PLAIN = Schema("binary", (2,))


def test_classes_by_their_numbers_or_names():
    numbered = Labels.of(np.array([7, 3, 3, -1]), PLAIN, "partial", np.array([3, -1]))
    assert (numbered.values, numbered.names, numbered.counts) == ((3, 7), ("3", "7"), (1, 0))
    assert numbered.one_hot(np.array([7, -1, 3])).tolist() == [[0, 1], [0, 0], [1, 0]]
    named = Labels.of(np.array([0, 1, 2]), Schema("binary", (2,), classes=("ant", "bee", "cat")), "context")
    assert named.values == (0, 1, 2)
    assert named.find("bee") == 1
    assert Labels.from_dict(named.to_dict()) == named


def test_what_is_no_class_is_refused():
    labels = Labels.of(np.array([0, 1]), PLAIN, "context")
    with pytest.raises(DataError, match="does not occur"):
        labels.one_hot(np.array([0, 5]))
    with pytest.raises(DataError, match="--labels"):
        labels.one_hot(None)
    with pytest.raises(DataError, match="row 1 of the data has none"):
        labels.one_hot(np.array([0, -1]))
    with pytest.raises(UsageError, match=r"--label must be a class of this run, got 9\. Choose from 0, 1"):
        labels.find(9)
    with pytest.raises(DataError, match=r"a single batch, which tells none apart\. Name .*--batch-key COLUMN"):
        Labels.of(np.array([4, 4, -1]), PLAIN, "context", called="batch")
    with pytest.raises(DataError, match="all labels are of a single class"):
        Labels.of(np.array([4, 4, -1]), PLAIN, "context")
    with pytest.raises(CorruptRunError, match="labels"):
        Labels.from_dict({**labels.to_dict(), "names": ["0"]})


def test_as_many_labels_of_each_class_are_kept():
    labels = np.concatenate([np.repeat(np.arange(3), 20), [-1] * 5])
    hidden = hide_labels(labels, 7, seed=1)
    assert sorted(np.bincount(hidden[hidden >= 0])) == [2, 2, 3]
    assert (hidden[hidden >= 0] == labels[hidden >= 0]).all()
    assert np.array_equal(hidden, hide_labels(labels, 7, seed=1))
    assert not np.array_equal(hidden, hide_labels(labels, 7, seed=2))
    for keep in (2, 61):
        with pytest.raises(UsageError, match="3 to 60"):
            hide_labels(labels, keep, seed=0)
