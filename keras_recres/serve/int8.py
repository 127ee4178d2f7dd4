"""Integer weights by Keras' own `quantize`, and what they cost in accuracy."""

import pathlib
import warnings
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_recres.backend.keras_private import function_of, sublayers
from keras_recres.backend.types import Data
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.checks import a_kind
from keras_recres.models.copying import copied
from keras_recres.models.graph import keep_facts
from keras_recres.serve import formats


class AccuracyLost(NamedTuple):
    """Accuracies on the same examples, in [0, 1]; `lost` is their difference."""

    before: float
    after: float
    examples: int

    @property
    def lost(self) -> float:
        return self.before - self.after


def quantized(model: keras.Model) -> keras.Model:
    """A copy of a model whose dense layers compute with 8-bit integers.

    Keras' int8 scheme: weights with one scale a channel, activations with one a row, found anew
    for every input. Layers that Keras cannot quantise, convolutions among them, remain as they are,
    and so do those in a wrapper such as TimeDistributed, and those of which each step of a
    `RecurrentResidual` has weights of its own.

    Example:
    >>> model = keras_recres.models.planar()
    >>> copy = quantized(keras.Sequential([model, keras.layers.Dense(10)]))

    Args:
        model: A functional or Sequential model; it stays as it is.

    Returns:
        A model with the attributes of the zoo, if `model` has them.

    Raises:
        ValueError: If the model has no layer that can be quantised, is neither functional nor
            Sequential, or cannot be copied.
    """
    if function_of(model) is None:
        raise ValueError(
            f"`model` must be a built functional or Sequential model, but it is {a_kind(model)}."
        )
    copy = copied(model)
    own = set()
    for part in sublayers(copy):
        if isinstance(part, RecurrentResidual):
            own |= {id(variable) for variable in part.own_variables}
        elif isinstance(part, keras.layers.Wrapper):
            # It calls the layer's float computation, for which 8-bit weights would be numbers.
            own |= _ids(part)
    with warnings.catch_warnings():
        # Of every layer that has no weights to quantise.
        warnings.filterwarnings("ignore", message="Layer .* does not have a `quantize` method")
        copy.quantize("int8", filters=lambda layer: layer.built and not own & _ids(layer))
    if not any(ops.dtype(weight.value) == "int8" for weight in copy.weights):
        dense = keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding
        left = [repr(p.name) for p in sublayers(copy) if isinstance(p, dense) and own & _ids(p)]
        why = f": {', '.join(left)} is in a wrapper, or differs from step to step" if left else ""
        raise ValueError(f"{model.name!r} has no layer that Keras can quantise to int8{why}.")
    return keep_facts(model, copy)


def _ids(layer):
    return {id(weight) for weight in layer.weights}


def accuracy_lost(
    model: keras.Model, other: keras.Model, images: Data, labels: Data, batch_size: int = 128
) -> AccuracyLost:
    """What share of examples each of two models classifies rightly.

    Example:
    >>> int8 = serve.quantized(model)  # doctest: +SKIP
    >>> serve.accuracy_lost(model, int8, images, labels).lost  # doctest: +SKIP
    >>> path = serve.export(
    ...     model, "exported", formats="litert", quantize="int8")  # doctest: +SKIP
    >>> file = path / "assets.extra" / f"{model.name}.tflite"  # doctest: +SKIP
    >>> serve.accuracy_lost(model, file, images, labels).lost  # doctest: +SKIP

    Args:
        model: The model before.
        other: The model after, of the same classes, or a file of `serve.export`: `.onnx`,
            `.tflite` or `.xml`.
        images: Inputs as the models take them, or, where `model.preprocess` is there, as that
            does, array of (examples, …).
        labels: Class of each, integers, (examples,).
        batch_size: How many are computed at a time.

    Returns:
        An `AccuracyLost`.

    Raises:
        ValueError: There are no examples, or another number of labels.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if labels.shape != (len(images),) or not len(labels):
        raise ValueError(
            f"`labels` must be one for each of the {len(images)} examples, at least one, but their "
            f"shape is {labels.shape}."
        )
    right = np.zeros(2, int)
    if not isinstance(other, keras.Model):
        other = FromFile(model, other)
    prepare = getattr(model, "preprocess", lambda x: x)
    for start in range(0, len(images), batch_size):
        x = prepare(images[start : start + batch_size])
        wanted = labels[start : start + batch_size]
        for i, one in enumerate((model, other)):
            logits = ops.convert_to_numpy(one(x, training=False))
            right[i] += np.sum(logits.argmax(axis=1) == wanted)
    before, after = (float(count) / len(labels) for count in right)
    return AccuracyLost(before, after, len(labels))


class FromFile:
    """A model whose logits a file of `serve.export` computes; all else is that of the model.

    Args:
        model: The model.
        path: The file, `.onnx`, `.tflite` or `.xml`.

    Raises:
        ValueError: There is no such file.
        ImportError: The package that runs it is missing.
    """

    def __init__(self, model, path):
        path = pathlib.Path(path)
        kind = next((k for k, suffix in formats.SUFFIXES.items() if suffix == path.suffix), None)
        if kind is None or not path.is_file():
            raise ValueError(
                f"`other` must be a model or a file {', '.join(formats.SUFFIXES.values())}, but it "
                f"is {str(path)!r}."
            )
        self._model, self._run = model, formats.LOADERS[kind](str(path))

    def __getattr__(self, name):
        return getattr(self._model, name)

    def __call__(self, x, training=False):
        return self._run(ops.convert_to_numpy(x))

    predict_on_batch = __call__
