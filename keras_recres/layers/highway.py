"""Highway: a learnt gate between a layer and its input."""

import numbers
from typing import Any, Self

import keras

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class Highway(keras.layers.Layer):
    """What a layer makes of its input, and the input itself, mixed by a learnt gate.

    y = H(x) · T(x) + x · (1 − T(x))

    (arXiv 1505.00387, section 2) with a layer H, dense or convolutional, and a gate T in [0, 1].
    Run again and again it is a recurrent highway network, see the example.

    Example:
    >>> layer = keras_recres.layers.Highway(keras.layers.Dense(50, activation="relu"))
    >>> layer(keras.ops.ones((2, 50))).shape
    (2, 50)
    >>> layer.count_params()
    5100
    >>> deep = keras_recres.layers.RecurrentResidual(layer, shortcut="none", steps=10)
    >>> deep(keras.ops.ones((2, 50))).shape
    (2, 50)

    Args:
        transform: H, a layer that keeps the shape.
        gate: T, a layer that keeps the shape, values in [0, 1]; None for one like `transform` with
            a sigmoid, if that is a Keras layer with an activation and a bias, else for a dense one
            over the last axis.
        gate_bias: Number from which the bias of the gate for None starts; one below 0 lets the
            input pass at first.

    Input shape: any that `transform` keeps, with a known last axis.

    Output shape: that of the input.

    Raises:
        ValueError: If `transform` or `gate` is not a layer or changes the shape, or `gate_bias` is
            not a number.
    """

    @takes_numpy
    def __init__(
        self,
        transform: keras.layers.Layer,
        gate: keras.layers.Layer | None = None,
        gate_bias: float = -2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(transform, keras.layers.Layer):
            raise ValueError(f"`transform` must be a Keras layer, but it is {transform!r}.")
        if gate is not None and not isinstance(gate, keras.layers.Layer):
            raise ValueError(f"`gate` must be a Keras layer or None, but it is {gate!r}.")
        if not isinstance(gate_bias, numbers.Real) or isinstance(gate_bias, bool):
            raise ValueError(f"`gate_bias` must be a number, but it is {gate_bias!r}.")
        self.transform = transform
        self.gate = gate
        self.gate_bias = float(gate_bias)
        self.supports_masking = True

    def build(self, input_shape: ShapeLike) -> None:
        if self.gate is None:
            self.gate = self._default_gate(input_shape[-1])
        for name, layer in (("transform", self.transform), ("gate", self.gate)):
            if not layer.built:
                layer.build(input_shape)
            shape = tuple(layer.compute_output_shape(input_shape))
            if shape != tuple(input_shape):
                raise ValueError(
                    f"`{name}` must keep the shape, but {layer.name!r} makes {shape} of "
                    f"{tuple(input_shape)}."
                )

    def _default_gate(self, features):
        own = {
            "activation": "sigmoid",
            "bias_initializer": keras.initializers.Constant(self.gate_bias),
            "name": "gate",
            "dtype": self.dtype_policy,
        }
        config = self.transform.get_config()
        if {"activation", "use_bias", "bias_initializer"} <= config.keys():
            return type(self.transform).from_config({**config, **own, "use_bias": True})
        return keras.layers.Dense(features, **own)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = keras.ops.cast(inputs, self.compute_dtype)
        gate = self.gate(inputs)
        return self.transform(inputs) * gate + inputs * (1 - gate)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        gate = self.gate
        return {
            **super().get_config(),
            "transform": keras.saving.serialize_keras_object(self.transform),
            "gate": gate if gate is None else keras.saving.serialize_keras_object(gate),
            "gate_bias": self.gate_bias,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(
            **{
                key: keras.saving.deserialize_keras_object(value)
                if key in ("transform", "gate") and value is not None
                else value
                for key, value in config.items()
            }
        )
