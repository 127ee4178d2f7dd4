"""Models that transformations have got wrong somewhere: each a function, with inputs for it.

A model that is added here is tested with every transformation of `test_transformations`.
"""

import keras
import numpy as np
from keras import layers

from keras_recres.layers import GroupedDense, RecurrentResidual

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4)).astype("float32")
SEQUENCES = RNG.normal(size=(5, 3, 4)).astype("float32")
TOKENS = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1], [2, 3, 0]], "int32")


def recurrent(units=4, steps=3, **kwargs):
    return RecurrentResidual(layers.Dense(units, activation="tanh"), steps=steps, **kwargs)


def shared_layer():
    """One layer in two places."""
    dense = layers.Dense(4, activation="tanh", name="shared")
    x = inputs = keras.Input((4,))
    x = recurrent(name="block")(dense(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(dense(x))), X


def shared_branch():
    """One branch in two recurrent layers, as ALBERT has it."""
    branch = layers.Dense(4, activation="tanh", name="branch")
    x = inputs = keras.Input((4,))
    x = RecurrentResidual(branch, steps=2, name="first")(x)
    x = RecurrentResidual(branch, steps=3, name="second")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x)), X


def nested():
    """Recurrent layers two models deep."""
    inner = keras.Sequential([keras.Input((4,)), recurrent(name="block")], name="inner")
    middle = keras.Sequential([keras.Input((4,)), inner, layers.Dense(4)], name="middle")
    return keras.Sequential([keras.Input((4,)), middle, layers.Dense(3, name="head")]), X


def partly_nested():
    """One recurrent layer outside, one in a nested model."""
    inner = keras.Sequential([keras.Input((4,)), recurrent(name="inside")], name="inner")
    x = inputs = keras.Input((4,))
    x = inner(recurrent(name="outside")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(x)), X


def masking():
    """A mask that a layer computes of its inputs."""
    model = keras.Sequential(
        [keras.Input((3, 4)), layers.Masking(), layers.LSTM(4), layers.Dense(3, name="head")]
    )
    x = SEQUENCES.copy()
    x[1, 1:] = x[2, 2:] = 0
    return model, x


def masked_tokens():
    """Tokens, with 0 for padding."""
    x = inputs = keras.Input((3,), dtype="int32")
    x = layers.Embedding(4, 4, mask_zero=True, name="embedding")(x)
    x = layers.GlobalAveragePooling1D()(layers.Dense(4, activation="tanh")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(recurrent(name="block")(x))), TOKENS


def masked_nested():
    """A mask that comes from outside of a nested model."""
    inner = keras.Sequential(
        [keras.Input((3, 4)), recurrent(name="block"), layers.LSTM(4, name="lstm")], name="inner"
    )
    x = inputs = keras.Input((3,), dtype="int32")
    x = inner(layers.Embedding(4, 4, mask_zero=True, name="embedding")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(x)), TOKENS


def adapted():
    """A layer that keeps what it learnt outside of its weights."""
    norm = layers.Normalization(name="adapted")
    norm.adapt(50 + 10 * X)
    model = keras.Sequential(
        [keras.Input((4,)), norm, recurrent(name="block"), layers.Dense(3, name="head")]
    )
    return model, 50 + 10 * X


def integers():
    """Integers into a recurrent layer."""
    inputs = keras.Input((4,), dtype="int32")
    x = recurrent(name="block")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="head")(x)), np.arange(20).reshape(5, 4) % 3


def mixed_precision():
    """Computed in half precision, kept in single."""
    x = inputs = keras.Input((4,))
    branch = layers.Dense(4, activation="tanh", dtype="mixed_bfloat16")
    x = RecurrentResidual(branch, steps=3, dtype="mixed_bfloat16", name="block")(x)
    return keras.Model(inputs, layers.Dense(3, dtype="float32", name="head")(x)), X


def two_ways():
    """Two inputs and two outputs."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    x = recurrent(name="block")(layers.Add(name="sum")([a, b]))
    heads = [layers.Dense(3, name="head")(x), layers.Dense(2, name="other")(b)]
    return keras.Model([a, b], heads), [X, X[::-1].copy()]


def steps_in_the_call():
    """Another number of steps than the layer's own."""
    inputs = keras.Input((4,))
    x = recurrent(steps=2, name="block")(inputs, steps=5)
    return keras.Model(inputs, layers.Dense(3, name="head")(x)), X


def states():
    """All states as an output."""
    inputs = keras.Input((4,))
    x = recurrent(steps=2, name="block")(inputs, return_states=True)
    return keras.Model(inputs, layers.Dense(3, name="head")(x)), X


def low_rank():
    """A kernel with an adapter beside it."""
    x = inputs = keras.Input((4,))
    x = recurrent(name="block")(x)
    head = layers.Dense(3, name="head")
    model = keras.Model(inputs, head(x))
    head.enable_lora(2)
    head.lora_kernel_b.assign(RNG.normal(size=head.lora_kernel_b.shape))
    return model, X


def low_rank_steps():
    """The same within a branch whose steps have kernels of their own."""
    x = inputs = keras.Input((4,))
    dense = layers.Dense(4, activation="tanh", name="dense")
    x = RecurrentResidual(dense, steps=2, unshare=("dense",), name="block")(x)
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    for weight in model.weights:
        weight.assign(RNG.normal(size=weight.shape))
    return model, X


def quantized():
    """A layer of 8-bit integers."""
    x = inputs = keras.Input((4,))
    x = recurrent(name="block")(x)
    head = layers.Dense(3, name="head")
    model = keras.Model(inputs, head(x))
    head.quantize("int8")
    return model, X


def time_distributed():
    """A layer for every element of a sequence."""
    x = inputs = keras.Input((3, 4))
    x = recurrent(name="block")(layers.TimeDistributed(layers.Dense(4), name="each")(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x))), SEQUENCES


def own_norms():
    """Statistics that every step keeps of its own."""
    branch = keras.Sequential(
        [layers.BatchNormalization(name="norm"), layers.Dense(4, activation="tanh")], name="branch"
    )
    x = inputs = keras.Input((4,))
    x = RecurrentResidual(branch, steps=2, unshare=("norm",), name="block")(x)
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    for weight in model.weights:
        weight.assign(0.5 + RNG.random(weight.shape))
    return model, X


def spectral_norm():
    """A wrapper with a state of its own as the branch."""
    branch = layers.SpectralNormalization(layers.Dense(4, activation="tanh"), name="spectral")
    x = inputs = keras.Input((4,))
    x = RecurrentResidual(branch, steps=2, name="block")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x)), X


def probabilities():
    """A softmax at the end of a nested model, and nothing after it but another dtype."""
    head = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="softmax", name="dense")], name="head"
    )
    x = inputs = keras.Input((4,))
    x = head(recurrent(name="block")(x))
    return keras.Model(inputs, layers.Activation("linear", dtype="float32", name="end")(x)), X


def grouped():
    """Layers of this library's own."""
    x = inputs = keras.Input((4,))
    x = GroupedDense(2, 2, activation="tanh", name="grouped")(x)
    x = layers.Reshape((4,))(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(recurrent(name="block")(x))), X


def evaluated():
    """Metrics and a loss that hold what the last evaluation counted."""
    model = keras.Sequential([keras.Input((4,)), recurrent(name="block"), layers.Dense(3)])
    model.compile(loss="mse", metrics=["mae", keras.metrics.CategoricalAccuracy(name="right")])
    model.evaluate(X, np.eye(3)[[0, 1, 2, 0, 1]], verbose=0)
    return model, X


def convolutions():
    """Kernels of rank one, in two places, under a stride, in a nested model and in a branch."""
    rng = np.random.default_rng(1)
    conv = layers.Conv2D(4, 3, padding="same", activation="tanh", name="twice")
    inner = layers.Conv2D(4, (2, 3), strides=2, use_bias=False, name="inner")
    branch = layers.Conv2D(4, 3, padding="same", dilation_rate=2, name="branch")
    inner = keras.Sequential([keras.Input((6, 5, 4)), inner], name="nested")
    x = inputs = keras.Input((6, 5, 4))
    x = inner(conv(conv(x)))
    x = RecurrentResidual(branch, steps=2, name="block")(x)
    model = keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x)))
    for kernel in (weight for weight in model.weights if len(weight.shape) == 4):
        height, width, *ends = kernel.shape
        down, right = rng.normal(size=(height, ends[0])), rng.normal(size=(width, ends[1]))
        kernel.assign(0.3 * np.einsum("hc,wf->hwcf", down, right))
    return model, rng.normal(size=(3, 6, 5, 4)).astype("float32")


MODELS = (
    *(shared_layer, shared_branch, nested, partly_nested, masking, masked_tokens, masked_nested),
    *(adapted, integers, mixed_precision, two_ways, steps_in_the_call, states, low_rank),
    *(low_rank_steps, quantized, time_distributed, own_norms, spectral_norm, probabilities),
    *(grouped, evaluated, convolutions),
)
