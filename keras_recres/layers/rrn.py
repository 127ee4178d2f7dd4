"""RRN: the reduced residual layer of mean-field theory."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Activation, Initializer, Tensor
from keras_recres.layers.checks import takes_numpy
from keras_recres.layers.residual_dense import ResidualDense


@keras.saving.register_keras_serializable(package="keras_recres")
class RRN(ResidualDense):
    """A reduced residual layer: one dense map, whose activation is added to the input.

    x ← x + φ(h),  h = W x + b

    (arXiv 1712.08969, "Mean field residual networks: on the edge of chaos", section 2), with the
    initial values W ~ N(0, σ_w²/units) and b ~ N(0, σ_b²), drawn from normal distributions that
    are not truncated. How the variances are to be chosen for a depth is what the paper is about:
    with tanh gradients grow like exp(σ_w √depth).

    Example:
    >>> layer = keras_recres.layers.RRN(256, sigma_w_sq=0.5)
    >>> layer(keras.ops.ones((2, 256))).shape
    (2, 256)

    Args:
        units: Integer ≥ 1, features of the input and of the output.
        activation: φ, whatever `keras.activations.get` takes, a layer such as `AlphaReLU` too.
        sigma_w_sq: σ_w² ≥ 0.
        sigma_b_sq: σ_b² ≥ 0.
        kernel_initializer: Keras initializer of W, in place of that of σ_w².
        bias_initializer: Keras initializer of b, in place of that of σ_b².
        use_bias: Boolean, whether there is a trained b.

    Input shape: (batch, …, units).

    Output shape: that of the input.

    Raises:
        ValueError: For a number out of its range, or an input with another number of features.
    """

    @takes_numpy
    def __init__(
        self,
        units: int,
        activation: Activation = "tanh",
        sigma_w_sq: float = 1.0,
        sigma_b_sq: float = 0.0,
        kernel_initializer: Initializer = None,
        bias_initializer: Initializer = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units=units,
            hidden_units=units,
            activation=activation,
            sigma_w_sq=sigma_w_sq,
            sigma_b_sq=sigma_b_sq,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            use_bias=use_bias,
            **kwargs,
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        return inputs + self.activated(inputs)
