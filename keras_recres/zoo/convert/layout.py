"""What a library calls the weights of a network, and how its arrays become Keras' variables."""

import dataclasses
import functools

import keras
import numpy as np

from keras_recres.backend import keras_private
from keras_recres.layers.checks import a_kind
from keras_recres.zoo.preprocessing import Preprocessing

# What torchvision's networks are evaluated with.
IMAGENET = Preprocessing(
    size=(224, 224),
    crop=0.875,
    interpolation="bilinear",
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a library's files name the weights of one network.

    Attributes:
        library: Which one, for a sentence.
        keys: {name of a layer: what the keys of its weights begin with}, for every layer with
            weights; or those beginnings alone, in the order of the layers with weights in
            `model.layers`, for networks whose layers have no names of their own.
        arguments: Arguments of the builder that make the network's function that of the files,
            where the name's own do not.
        preprocessing: What the library feeds the network.
    """

    library: str
    keys: dict | tuple
    arguments: dict = dataclasses.field(default_factory=dict)
    preprocessing: Preprocessing = IMAGENET

    @property
    def beginnings(self):
        """What keys begin with, a set."""
        return {*(self.keys.values() if isinstance(self.keys, dict) else self.keys)}

    def of(self, model):
        """A `Part` of the checkpoint for every weight of a model."""
        layers = [layer for layer in model.layers if layer.weights]
        keys = self.keys
        if not isinstance(keys, dict):
            keys = {layer.name: key for layer, key in zip(layers, keys, strict=True)}
        return [part for layer in layers for part in _parts(layer, keys[layer.name])]


@dataclasses.dataclass(frozen=True)
class Part:
    """One weight.

    Attributes:
        key: Its name in the checkpoint.
        variable: The Keras variable.
        shapes: The shapes that it may have in the checkpoint.
        convert: Function of such an array, the value of the variable.
    """

    key: str
    variable: object
    shapes: tuple
    convert: object = np.asarray


def _parts(layer, key):
    if isinstance(layer, keras.layers.BatchNormalization):
        of_keys = ("weight", layer.gamma), ("bias", layer.beta)
        of_keys += ("running_mean", layer.moving_mean), ("running_var", layer.moving_variance)
        for word, variable in of_keys:
            yield Part(f"{key}.{word}", variable, (tuple(variable.shape),))
        return
    if isinstance(layer, keras.layers.SeparableConv2D):
        yield _kernel(f"{key}.conv1", layer.depthwise_kernel, depthwise=True)
        yield _kernel(f"{key}.pointwise", layer.pointwise_kernel)
    elif isinstance(layer, keras.layers.Dense):
        yield _matrix(key, layer)
    elif isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        yield _kernel(key, layer.kernel, depthwise)
    else:
        raise TypeError(f"{layer.name!r}, {a_kind(layer)}, has no form in PyTorch here.")
    if layer.use_bias:
        yield Part(f"{key}.bias", layer.bias, (tuple(layer.bias.shape),))


def _kernel(key, variable, depthwise=False):
    """(height, width, in, out) of (out, in, height, width), with groups, too."""
    height, width, inputs, outputs = variable.shape
    if depthwise:
        # Filters of a channel stand one after another, each with one channel to read.
        return Part(
            f"{key}.weight",
            variable,
            ((inputs * outputs, 1, height, width),),
            lambda array: array.transpose(2, 3, 0, 1).reshape(variable.shape),
        )
    shape = (outputs, inputs, height, width)
    return Part(f"{key}.weight", variable, (shape,), lambda array: array.transpose(2, 3, 1, 0))


def _matrix(key, layer):
    """(in, out) of (out, in), or of a convolution as large as what was flattened.

    PyTorch flattens (channels, height, width), Keras (height, width, channels).
    """
    inputs, outputs = layer.kernel.shape
    height, width, channels = _flattened(layer) or (1, 1, inputs)
    as_convolution = (outputs, channels, height, width)

    def convert(array):
        return array.reshape(as_convolution).transpose(2, 3, 1, 0).reshape(inputs, outputs)

    return Part(f"{key}.weight", layer.kernel, ((outputs, inputs), as_convolution), convert)


def _flattened(layer):
    """The shape of the maps that a dense layer reads flattened, or None."""
    x = layer.input
    while len(x.shape) == 2:
        operation, inputs = keras_private.producer(x)
        if isinstance(operation, keras.layers.Flatten):
            return inputs[0].shape[1:]
        if len(inputs) != 1 or getattr(operation, "weights", ()):
            return None
        x = inputs[0]
    return None


@functools.cache
def beginnings_of(key):
    """All that a key begins with up to a dot."""
    words = key.split(".")
    return {".".join(words[:i]) for i in range(1, len(words))}
