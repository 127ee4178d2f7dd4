"""What is known of a builder's networks beside their layers, so that no script names a family."""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras_recres.layers.checks import F, takes_numpy

INPUTS = ("image", "points", "grid", "tokens", "sequence", "text")
ANSWERS = ("classes", "numbers", "pixels")
# How far a number may be from the right one.
TOLERANCE = 0.01
WEIGHTS = ("own", "keras", "convert")
# Axes of `Family.layout`: a matrix cut by columns or by rows, and a vector that goes with columns.
MODEL = "model"
COLUMNS, ROWS, BIAS = (None, MODEL), (MODEL, None), (MODEL,)


@dataclasses.dataclass(frozen=True)
class Family:
    """The record of a builder; what depends on its arguments is a function of their dict.

    Attributes:
        inputs: What an example is, one of `INPUTS`. A "grid" is a line or a plane of cells, each of
            which has an answer of its own: the network's logits are (batch, …, classes).
        answers: What the outputs are, one of `ANSWERS`: logits of "classes", "numbers", right
            within `TOLERANCE`, or logits of "pixels", grey values of 0 to 1.
        min_side: Smallest side of an image in pixels.
        max_side: Largest one, or None.
        convolutional: Whether the networks are mostly convolutions, which XLA makes slower on
            processors.
        weights: Where weights come from, out of `WEIGHTS`: trained with this project, downloaded by
            Keras, converted from others' checkpoints; empty where there are none.
        size_bound: Function of the arguments: whether weights depend on the input's size.
        other_size: Function of the arguments: further arguments with which a network for images of
            another size takes the weights of that with these.
        layout: Function of the arguments: {regular expression of a weight's whole path: axes} for
            `keras_recres.distribute`, or None.
        auxiliary: Function of the arguments: the weights in the training's loss of the outputs
            after the first one, which are for training alone.
        maps: Regular expression of whole names of layers that give feature maps; of those of one
            size the last counts. Empty where there are none.
        map_of: Function of the model, such a layer's output and name: the map, channels-last.
    """

    inputs: str = "image"
    answers: str = "classes"
    min_side: int = 1
    max_side: int | None = None
    convolutional: bool = False
    weights: tuple[str, ...] = ("own",)
    size_bound: Callable[[dict], bool] = lambda arguments: False
    other_size: Callable[[dict], dict] = lambda arguments: {}
    layout: Callable[[dict], dict | None] = lambda arguments: None
    auxiliary: Callable[[dict], tuple[float, ...]] = lambda arguments: ()
    maps: str = ""
    map_of: Callable = lambda model, x, name: x

    def __post_init__(self):
        if self.inputs not in INPUTS:
            raise ValueError(f"`inputs` must be one of {INPUTS}, but it is {self.inputs!r}.")
        if self.answers not in ANSWERS:
            raise ValueError(f"`answers` must be one of {ANSWERS}, but it is {self.answers!r}.")
        if not {*self.weights} <= {*WEIGHTS}:
            raise ValueError(f"`weights` must be out of {WEIGHTS}, but they are {self.weights!r}.")

    @property
    def taken(self):
        """What the networks take, for a sentence: "images", "texts", "points"."""
        return f"{self.inputs.removesuffix('s')}s"

    @property
    def holds(self):
        """What a data set for them has: "images", "texts" or "arrays"."""
        return self.taken if self.inputs in ("image", "text") else "arrays"

    def nearest_shape(self, shape):
        """The input shape nearest to one of an image whose network can be built."""
        if self.inputs != "image":
            return tuple(shape)
        *sides, channels = shape
        sides = (max(self.min_side, side) for side in sides)
        return (*(min(side, self.max_side or side) for side in sides), channels)


def family(**record: Any) -> Callable[[F], F]:
    """Gives a builder its record, the attribute `family`: `@family(min_side=32)`."""

    def decorate(builder: F) -> F:
        build = takes_numpy(builder)
        build.family = Family(**record)
        return build

    return decorate


def family_of(builder):
    """The `Family` of a builder, which is named as in `keras_recres.models`."""
    from keras_recres import models

    return getattr(models, builder).family
