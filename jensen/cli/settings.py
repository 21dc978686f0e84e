"""The flags of `jensen train`; what is not given is left to the defaults of the function `train`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from .flags import parse_size, switch

__all__ = ["Settings"]

DATA = Group("Data", sort_key=1)
MODEL = Group("Training", sort_key=2)


def _data(text: str) -> Parameter:
    return Parameter(help=text, group=DATA, negative="")


def _training(text: str) -> Parameter:
    return Parameter(help=text, group=MODEL, negative="")


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """What `train` takes beside the data, the recipe and its options; the defaults are in brackets."""

    test: Annotated[str | None, _data("a second file, as test rows")] = None
    labels: Annotated[str | None, _data("a file of labels, or a column or key of DATA")] = None
    test_labels: Annotated[str | None, _data("labels of the test rows, likewise")] = None
    labelled: Annotated[
        int | None, _data("keep the labels of so many training rows, as many of each class [all; semi-supervised]")
    ] = None
    split: Annotated[
        str | None, _data("fractions of train, validation and test [0.8,0.1,0.1; with --test 0.9,0.1,0]")
    ] = None
    split_seed: Annotated[
        int | None, _data("of the split, and of bits or noise drawn once; the same for every seed [0]")
    ] = None
    size: Annotated[str | None, _data("H,W: resize the images of a folder")] = None
    binarize: Annotated[
        Literal["static", "dynamic", "threshold"] | None, _data("how grey values become 0 and 1; never unless named")
    ] = None
    dequantize: Annotated[
        bool | None, Parameter(help="spread integers by uniform noise [where the recipe models a density]", group=DATA)
    ] = None
    standardize: Annotated[
        Literal["auto", "none", "global", "feature"] | None, _data("how reals are scaled [auto: as the recipe needs]")
    ] = None
    floor: Annotated[float | None, _data("accept constant columns under a learned scale, which stays above this")] = (
        None
    )

    epochs: Annotated[int | None, _training("passes over the data [the recipe's, or about 20,000 steps]")] = None
    batch: Annotated[int | None, _training("data per step [128]")] = None
    lr: Annotated[float | None, _training("learning rate [0.001]")] = None
    optimizer: Annotated[str | None, _training("an optimiser of torch.optim [Adam]")] = None
    schedule: Annotated[Literal["cosine", "constant", "linear"] | None, _training("of the learning rate [cosine]")] = (
        None
    )
    clip: Annotated[float | None, _training("largest norm of the gradient")] = None
    spikes: Annotated[float | None, _training("shorten gradients longer than this many times their usual norm")] = None
    average: Annotated[float | None, _training("also keep averaged weights, with this decay, such as 0.999")] = None
    patience: Annotated[int | None, _training("stop when validation has not improved for this many epochs")] = None
    keep: Annotated[Literal["auto", "best", "last"] | None, _training("which weights [auto: as the recipe needs]")] = (
        None
    )
    precision: Annotated[
        Literal["auto", "fast", "float32", "medium", "bfloat16"] | None,
        _training("of products; fast: bfloat16 where known [auto: fast where accurate]"),
    ] = None
    init_from: Annotated[str | None, _training("a run whose weights to start from")] = None
    checkpoints: Annotated[int | None, _training("weights to keep along training, at most; 0: none [8]")] = None
    save_every: Annotated[float | None, _training("seconds between states to resume from; 0: every step [60]")] = None
    tensorboard: Annotated[bool | None, switch("also write TensorBoard's event files")] = None
    seed: Annotated[int | None, _training("of initial weights, order and noise [0]")] = None
    device: Annotated[str | None, _training("auto, cpu, cuda, ... [auto]")] = None

    def given(self) -> dict[str, Any]:
        """What was given, as `train` takes it."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return {**found, "size": parse_size(found["size"])} if "size" in found else found
