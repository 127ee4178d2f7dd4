"""MetaDense: a dense layer for many features that needs few weights."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Activation, Initializer, Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, takes_numpy
from keras_recres.layers.grouped_dense import GroupedDense
from keras_recres.layers.meta_layer import MetaLayer
from keras_recres.layers.shared_slope import get_activation, serialize_activation, shared_slope


@keras.saving.register_keras_serializable(package="keras_recres")
class MetaDense(keras.layers.Layer):
    """Dense maps of G slices of the features, and a MetaLayer that lets the slices exchange.

    z[u, g] = dropout(f(Σ_k x[g·K/G + k] w[g, k, u] + b[g, u]))
    y[u·M + m] = f'(Σ_g v[g, m] z[u, g])

    the dense head of K. S. Kondaurova and N. A. Semenov, "Optimisation of the number of
    parameters of a neural network for image classification" (in Russian; no arXiv number),
    section 3.1. With PReLUs it has (K/G)·units·G + units·G + G + G·M + 1 parameters, where a
    dense layer of the same output has K·units·M + units·M. f has a slope for each group, f' one.

    Example:
    >>> head = keras_recres.layers.MetaDense(8, groups=16, dropout=0.1)
    >>> head(keras.ops.ones((2, 1152))).shape
    (2, 128)
    >>> head.count_params()
    9617

    Args:
        units: Integer ≥ 1, features of each group, before and after the mixing.
        groups: Integer G ≥ 1, number of slices; it must divide the number of features.
        meta_groups: Integer M ≥ 1, groups after the mixing, or None for `groups`.
        activation: f, see `GroupedDense`.
        dropout: Number in [0, 1), before the mixing, in training only.
        meta_activation: f', None, "prelu" for a PReLU with one slope, initially 0.25, or whatever
            `keras.activations.get` takes; it gets all units·M features together.
        softmax: Boolean, see `MetaLayer`.
        use_bias: Boolean, whether the dense maps have a bias.
        kernel_initializer: Keras initializer of each group's (K/G, units) matrix.
        bias_initializer: Keras initializer of the biases.
        meta_initializer: Keras initializer of the (G, M) weights; None is N(0, 1).

    Input shape: (batch, …, K).

    Output shape: (batch, …, units·M), ordered (feature, group) as in the paper's networks.

    Raises:
        ValueError: For arguments out of their range, or `groups` that doesn't divide K.
    """

    @takes_numpy
    def __init__(
        self,
        units: int,
        groups: int,
        meta_groups: int | None = None,
        activation: Activation = "prelu",
        dropout: float = 0.0,
        meta_activation: Activation = "prelu",
        softmax: bool = False,
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        meta_initializer: Initializer = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        if meta_groups is not None:
            check_count("meta_groups", meta_groups)
        self.dense = GroupedDense(
            units,
            groups,
            activation=activation,
            dropout=dropout,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            dtype=self.dtype_policy,
            name="dense",
        )
        self.meta = MetaLayer(
            groups if meta_groups is None else meta_groups,
            softmax=softmax,
            kernel_initializer=meta_initializer,
            dtype=self.dtype_policy,
            name="meta",
        )
        self.meta_activation = get_activation(meta_activation)

    def build(self, input_shape: ShapeLike) -> None:
        self.dense.build(input_shape)
        shape = self.dense.compute_output_shape(input_shape)
        self.meta.build(shape)
        if self.meta_activation == "prelu":
            shape = self.meta.compute_output_shape(shape)
            self.meta_prelu = shared_slope(shape, self.dtype_policy, "meta_prelu")
        self.input_spec = self.dense.input_spec

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = self.meta(self.dense(inputs, training=training))
        if self.meta_activation == "prelu":
            x = self.meta_prelu(x)
        x = ops.reshape(x, (-1, *ops.shape(x)[1:-2], x.shape[-2] * x.shape[-1]))
        if self.meta_activation in (None, "prelu"):
            return x
        return self.meta_activation(x)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return (*input_shape[:-1], self.dense.units * self.meta.groups)

    def get_config(self) -> dict[str, Any]:
        dense, meta = self.dense.get_config(), self.meta.get_config()
        shared = ("units", "groups", "activation", "dropout", "use_bias")
        return {
            **super().get_config(),
            **{key: dense[key] for key in (*shared, "kernel_initializer", "bias_initializer")},
            "meta_groups": meta["groups"],
            "meta_activation": serialize_activation(self.meta_activation),
            "softmax": meta["softmax"],
            "meta_initializer": meta["kernel_initializer"],
        }
