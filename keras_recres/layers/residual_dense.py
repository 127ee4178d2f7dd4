"""What `FRN` and `RRN` share: h = W x + b, with the initial variances of mean-field theory."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Activation, Initializer, Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, check_variance, takes_numpy


def weight_initializer(variance):
    """Initialises a (fan-in, units) matrix from N(0, variance / fan-in), not truncated."""
    if variance == 0:
        return keras.initializers.Zeros()
    return keras.initializers.VarianceScaling(
        scale=variance, mode="fan_in", distribution="untruncated_normal"
    )


def bias_initializer(variance):
    """Initialises a vector from N(0, variance)."""
    if variance == 0:
        return keras.initializers.Zeros()
    return keras.initializers.RandomNormal(stddev=variance**0.5)


def get_initializer(initializer):
    """A Keras initializer, or None, which stands for the one that the variance gives."""
    return None if initializer is None else keras.initializers.get(initializer)


def serialize_initializer(initializer):
    """What `get_initializer` gave, as get_config wants it."""
    return None if initializer is None else keras.initializers.serialize(initializer)


class ResidualDense(keras.layers.Layer):
    """A layer x ← x + F(φ(h)) with h = W x + b; subclasses say what F is.

    Args: see `RRN`; `hidden_units` is the number of features of h.
    """

    @takes_numpy
    def __init__(
        self,
        units: int,
        hidden_units: int | None,
        activation: Activation,
        sigma_w_sq: float,
        sigma_b_sq: float,
        kernel_initializer: Initializer,
        bias_initializer: Initializer,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        check_count("units", units)
        check_variance("sigma_w_sq", sigma_w_sq)
        check_variance("sigma_b_sq", sigma_b_sq)
        self.units = units
        self.hidden_units = hidden_units
        self.activation = keras.activations.get(activation)
        self.sigma_w_sq = sigma_w_sq
        self.sigma_b_sq = sigma_b_sq
        self.kernel_initializer = get_initializer(kernel_initializer)
        self.bias_initializer = get_initializer(bias_initializer)
        self.use_bias = bool(use_bias)

    def build(self, input_shape: ShapeLike) -> None:
        if len(input_shape) < 2 or input_shape[-1] != self.units:
            raise ValueError(
                f"`units` of {self.name!r} must be the number of its input's features, since the "
                f"input is added to the output, but it is {self.units} and the input has the "
                f"shape {tuple(input_shape)}."
            )
        self.kernel = self.add_weight(
            shape=(self.units, self.hidden_units),
            initializer=self.kernel_initializer or weight_initializer(self.sigma_w_sq),
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.hidden_units,),
                initializer=self.bias_initializer or bias_initializer(self.sigma_b_sq),
                name="bias",
            )
        if isinstance(self.activation, keras.layers.Layer) and not self.activation.built:
            self.activation.build((*input_shape[:-1], self.hidden_units))

    def preactivation(self, inputs: Tensor) -> Tensor:
        """The h = W x + b of which the theory's q and λ are."""
        inputs = ops.convert_to_tensor(inputs, dtype=self.compute_dtype)
        return self._affine(inputs, self.kernel, self.bias)

    def activated(self, inputs: Tensor) -> Tensor:
        """The φ(h) of the input."""
        h = self.preactivation(inputs)
        # An activation that is a layer has a dtype of its own.
        return ops.cast(self.activation(h), h.dtype)

    def _affine(self, x, kernel, bias):
        # Keras on PyTorch gives the product of float64 matrices as float32.
        y = ops.cast(ops.matmul(x, ops.cast(kernel, x.dtype)), x.dtype)
        return y if bias is None else y + ops.cast(bias, x.dtype)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "sigma_w_sq": self.sigma_w_sq,
            "sigma_b_sq": self.sigma_b_sq,
            "kernel_initializer": serialize_initializer(self.kernel_initializer),
            "bias_initializer": serialize_initializer(self.bias_initializer),
            "use_bias": self.use_bias,
        }
