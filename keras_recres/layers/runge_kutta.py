"""RungeKutta: one step along a vector field, as a residual branch."""

import keras

from keras_recres.layers.checks import check_positive


@keras.saving.register_keras_serializable(package="keras_recres")
class RungeKutta(keras.layers.Layer):
    """The increment that the classical Runge-Kutta method of order 4 makes of a vector field.

    f(x) = dt / 6 (k₁ + 2 k₂ + 2 k₃ + k₄),  k₁ = g(x), k₂ = g(x + dt k₁ / 2),
    k₃ = g(x + dt k₂ / 2), k₄ = g(x + dt k₃)

    so that x + f(x) follows dx/dt = g(x) for the time dt, with an error of dt⁵: as the branch of a
    `RecurrentResidual` it integrates in depth. A plain residual block, x + dt g(x), is Euler's
    method.

    Args:
        field: g, a Keras layer or model that keeps the shape.
        dt: Length of a step, a number above 0.
    """

    def __init__(self, field, dt, **kwargs):
        super().__init__(**kwargs)
        check_positive("dt", dt)
        self.field = field
        self.dt = float(dt)

    def build(self, input_shape):
        if not self.field.built:
            self.field.build(input_shape)

    def call(self, inputs, training=None):
        def slope(x):
            return self.field(x, training=training)

        half = self.dt / 2
        first = slope(inputs)
        second = slope(inputs + half * first)
        third = slope(inputs + half * second)
        fourth = slope(inputs + self.dt * third)
        return self.dt / 6 * (first + 2 * (second + third) + fourth)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        field = keras.saving.serialize_keras_object(self.field)
        return {**super().get_config(), "field": field, "dt": self.dt}

    @classmethod
    def from_config(cls, config):
        field = keras.saving.deserialize_keras_object(config["field"])
        return cls(**{**config, "field": field})
