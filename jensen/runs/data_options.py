"""Options of `train` for reading, splitting and preparing data; importing them needs neither torch nor NumPy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..data.selection import Fit, Header, Selection

__all__ = ["DataOptions"]


@dataclass(frozen=True)
class DataOptions:
    """Options for reading, splitting and preparing data.

    Attributes:
        test: a file of test rows.
        labels: labels of the data: a file, or a column or key of theirs; or columns that conditional is given: a,b.
        test_labels: labels of the test rows: a file, or a column or key of theirs.
        labelled: number of training rows that keep their label, for a recipe that learns from some; by default all that
            have one.
        split: fractions of train, validation and test; by default 0.8,0.1,0.1, or 0.9,0.1,0 with a test file.
        split_seed: seed of the split, and of bits and noise that are drawn once; independent of `seed`, so that several
            seeds are compared on the same rows.
        header: yes if the first line of a table holds names, no if it is a row of data; auto judges it.
        columns: the columns of a table to read, in this order, by name, or without a header by number from 1: a,b,c.
        drop: columns of a table to leave out: id,name.
        schema: a TOML file on the kinds of the columns of a table, of which `jensen data DATA --schema-out FILE` writes
            a start, or the same as JSON: {"age": "integer"}; what it does not say is guessed.
        layer: the layer of an .h5ad file to read, in place of its X.
        batch_key: the column of the batches of an experiment (obs of an .h5ad file), which the model is conditioned on:
            its numbers are log p(x | batch). It takes the place of labels.
        size: height and width, H,W, that the images of a folder are resized to; by default those of different sizes
            become squares of at most 32 pixels.
        resize: of images to a size of other proportions: crop (by default) scales each until it covers the size, and
            keeps the centre; stretch keeps all of each, without its proportions.
        strict: refuse a folder with a broken image, instead of skipping it.
        stream: leave the rows of .npy files, shards and images in their files, and read them by blocks; by default if
            three times their size is more than half of the available memory.
        binarize: conversion of grey values to 0 and 1; by default none.
        augment: random changes of images in training batches, of which validation and test rows are spared: flip (left
            to right), shift (by an eighth of the side at most), crop (80 % of the side at least, enlarged): flip,shift.
        dequantize: add uniform noise to integers; by default if the recipe models a density.
        standardize: scaling of reals; "auto" is what the recipe needs.
        floor: accept constant columns under a learned scale, which stays above this number.
        seed: seed of initial weights, order and noise.
        device: "auto", "cpu", "cuda", ...
    """

    test: str | Path | None = None
    labels: str | Path | None = None
    test_labels: str | Path | None = None
    labelled: int | None = None
    split: str | Sequence[float] | None = None
    split_seed: int = 0
    header: Header = "auto"
    columns: str | Sequence[str] | None = None
    drop: str | Sequence[str] | None = None
    schema: str | Path | Mapping[str, Any] | None = None
    layer: str | None = None
    batch_key: str | None = None
    size: tuple[int, int] | None = None
    resize: Fit | None = None
    strict: bool | None = None
    stream: bool | None = None
    binarize: Literal["static", "dynamic", "threshold"] | None = None
    augment: str | Sequence[str] | None = None
    dequantize: bool | None = None
    standardize: Literal["auto", "none", "global", "feature"] = "auto"
    floor: float | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.schema, Mapping):  # as text, which the run records, and can be given again
            object.__setattr__(self, "schema", json.dumps(self.schema))
        if self.batch_key is not None and self.labels is None:
            object.__setattr__(self, "labels", self.batch_key)

    @property
    def table(self) -> Selection:
        """The columns of tables that are data.

        Raises:
            UsageError: these options contradict each other.
            DataError: the schema cannot be read.
        """
        how: Any = {"stream": self.stream, "schema": self.schema, "layer": self.layer, "resize": self.resize}
        return Selection.of(self.header, self.columns, self.drop, **how)
