"""The layers with fewer parameters as one would write them of Keras' own layers, to compare with.

Each takes and gives what the layer of `keras_recres` takes and gives.
"""

import keras
from keras import layers, ops

from keras_recres.layers import Conv3dSubstitute, GroupedDense, MetaConv2D, MetaLayer

LAST = {"data_format": "channels_last"}


def prelu(rank):
    """PReLU with one slope."""
    alpha = keras.initializers.Constant(0.25)
    return layers.PReLU(alpha_initializer=alpha, shared_axes=[*range(1, rank)])


def norm():
    """Batch normalisation with the ε and the momentum of the paper's networks."""
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9)


class Scale(layers.Layer):
    """A trainable factor before a layer, so that a training step needs its inputs' gradient."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        return inputs * self.factor


class SeparateDense(layers.Layer):
    """`GroupedDense` as a slice, a Dense, a PReLU and a dropout for each group, and a stack."""

    def __init__(self, units, groups, activation=None, dropout=0.0):
        super().__init__()
        self.maps = [
            [
                layers.Dense(units),
                *([prelu(2)] if activation else []),
                *([layers.Dropout(dropout)] if dropout else []),
            ]
            for _ in range(groups)
        ]

    def call(self, inputs):
        width = inputs.shape[-1] // len(self.maps)
        outputs = []
        for group, chain in enumerate(self.maps):
            x = inputs[:, group * width : (group + 1) * width]
            for layer in chain:
                x = layer(x)
            outputs.append(x)
        return ops.stack(outputs, axis=-1)


class SeparateConv2D(layers.Layer):
    """`MetaConv2D` as a slice, a Conv2D, a PReLU and a batch norm for each group, and a mixing."""

    def __init__(self, filters, groups):
        super().__init__()
        self.maps = [
            [layers.Conv2D(filters // groups, 3, padding="same", **LAST), prelu(4), norm()]
            for _ in range(groups)
        ]
        self.meta = MetaLayer(groups, axis=-2)
        self.meta_prelu = prelu(5)

    def call(self, inputs):
        width = inputs.shape[-1] // len(self.maps)
        outputs = []
        for group, chain in enumerate(self.maps):
            x = inputs[..., group * width : (group + 1) * width]
            for layer in chain:
                x = layer(x)
            outputs.append(x)
        x = self.meta_prelu(self.meta(outputs))
        return ops.reshape(x, (-1, *x.shape[1:3], x.shape[3] * x.shape[4]))


class PlainConv3D(layers.Layer):
    """`Conv3dSubstitute` as the authors wrote it: reshape, Conv3D, reshape."""

    def __init__(self, filters, volume_channels):
        super().__init__()
        self.volume_channels = volume_channels
        self.convolution = layers.Conv3D(filters, 3, padding="same", **LAST)

    def call(self, inputs):
        height, width, channels = inputs.shape[1:]
        depth = channels // self.volume_channels
        x = ops.reshape(inputs, (-1, height, width, self.volume_channels, depth))
        x = self.convolution(ops.transpose(x, (0, 4, 1, 2, 3)))
        x = ops.transpose(x, (0, 2, 3, 4, 1))
        return ops.reshape(x, (-1, height, width, x.shape[3] * depth))


def dense_forms(groups, units, **options):
    """Both forms of a grouped dense layer, by name."""
    return {
        "ours": GroupedDense(units, groups, **options),
        "separate": SeparateDense(units, groups, **options),
        # What a call costs that computes next to nothing.
        "empty": layers.Dense(1, use_bias=False),
    }


def meta_forms(filters, groups):
    """Both forms of convolutions in groups with a MetaLayer, by name."""
    return {
        "ours": MetaConv2D(filters, 3, groups),
        "separate": SeparateConv2D(filters, groups),
    }


def conv3d_forms(filters, volume_channels):
    """Keras' Conv3D and the forms of Conv3dSubstitute, by name."""
    return {
        "Conv3D": PlainConv3D(filters, volume_channels),
        **{
            form: Conv3dSubstitute(filters, 3, volume_channels, form=form)
            for form in ("auto", "banded", "planes")
        },
    }


def with_separate_groups(model):
    """A copy of a network, its weights anew, each MetaConv2D as layers for each group."""

    def own(layer):
        if isinstance(layer, MetaConv2D):
            return SeparateConv2D(layer.filters, layer.groups)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=own)
