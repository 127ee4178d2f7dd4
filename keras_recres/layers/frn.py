"""FRN: the fully residual layer of mean-field theory."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Activation, Initializer, ShapeLike, Tensor
from keras_recres.layers import residual_dense
from keras_recres.layers.checks import check_count, check_variance, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class FRN(residual_dense.ResidualDense):
    """A fully residual layer: two dense maps with an activation between, added to the input.

    x ← x + V φ(h) + a,  h = W x + b

    (arXiv 1712.08969, "Mean field residual networks: on the edge of chaos", section 2), with the
    initial values W ~ N(0, σ_w²/units), V ~ N(0, σ_v²/hidden_units), b ~ N(0, σ_b²) and
    a ~ N(0, σ_a²), drawn from normal distributions that are not truncated. With ReLU the mean
    square of the features and the gradient grow by 1 + σ_v² σ_w²/2 a layer; with tanh the first
    grows by σ_v² + σ_a² a layer and the second like exp(σ_w √depth).

    Example:
    >>> layer = keras_recres.layers.FRN(256, activation="relu", sigma_w_sq=0.1)
    >>> layer(keras.ops.ones((2, 256))).shape
    (2, 256)

    Args:
        units: Integer ≥ 1, features of the input and of the output.
        activation: φ, whatever `keras.activations.get` takes, a layer such as `AlphaReLU` too.
        sigma_w_sq: σ_w² ≥ 0.
        sigma_v_sq: σ_v² ≥ 0.
        sigma_b_sq: σ_b² ≥ 0.
        sigma_a_sq: σ_a² ≥ 0.
        hidden_units: Integer ≥ 1, features of h; None is `units`.
        kernel_initializer: Keras initializer of W, in place of that of σ_w².
        projection_initializer: Keras initializer of V, in place of that of σ_v².
        bias_initializer: Keras initializer of b, in place of that of σ_b².
        output_bias_initializer: Keras initializer of a, in place of that of σ_a².
        use_bias: Boolean, whether there are trained b and a.

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
        sigma_v_sq: float = 1.0,
        sigma_b_sq: float = 0.0,
        sigma_a_sq: float = 0.0,
        hidden_units: int | None = None,
        kernel_initializer: Initializer = None,
        projection_initializer: Initializer = None,
        bias_initializer: Initializer = None,
        output_bias_initializer: Initializer = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        if hidden_units is not None:
            check_count("hidden_units", hidden_units)
        super().__init__(
            units=units,
            hidden_units=hidden_units or units,
            activation=activation,
            sigma_w_sq=sigma_w_sq,
            sigma_b_sq=sigma_b_sq,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            use_bias=use_bias,
            **kwargs,
        )
        check_variance("sigma_v_sq", sigma_v_sq)
        check_variance("sigma_a_sq", sigma_a_sq)
        self.sigma_v_sq = sigma_v_sq
        self.sigma_a_sq = sigma_a_sq
        self.projection_initializer = residual_dense.get_initializer(projection_initializer)
        self.output_bias_initializer = residual_dense.get_initializer(output_bias_initializer)

    def build(self, input_shape: ShapeLike) -> None:
        super().build(input_shape)
        self.projection = self.add_weight(
            shape=(self.hidden_units, self.units),
            initializer=self.projection_initializer
            or residual_dense.weight_initializer(self.sigma_v_sq),
            name="projection",
        )
        self.output_bias = None
        if self.use_bias:
            self.output_bias = self.add_weight(
                shape=(self.units,),
                initializer=self.output_bias_initializer
                or residual_dense.bias_initializer(self.sigma_a_sq),
                name="output_bias",
            )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        return inputs + self._affine(self.activated(inputs), self.projection, self.output_bias)

    def get_config(self) -> dict[str, Any]:
        serialize = residual_dense.serialize_initializer
        return {
            **super().get_config(),
            "sigma_v_sq": self.sigma_v_sq,
            "sigma_a_sq": self.sigma_a_sq,
            "hidden_units": self.hidden_units,
            "projection_initializer": serialize(self.projection_initializer),
            "output_bias_initializer": serialize(self.output_bias_initializer),
        }
