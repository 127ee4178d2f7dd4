"""RBFOutput: the distance to a fixed code for each class."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_recres.backend.types import Data, Shape, ShapeLike, Tensor
from keras_recres.layers.checks import takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class RBFOutput(keras.layers.Layer):
    """The squared distance of the features to each class's fixed code; the smallest wins.

    y_i = Σ_j (x_j − w_ij)²

    the output of LeNet-5 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
    document recognition", 1998, section II.B; no arXiv number).

    Example:
    >>> layer = keras_recres.layers.RBFOutput([[1, 1, -1], [-1, 1, 1]])
    >>> layer(keras.ops.array([[1.0, 1.0, 1.0]]))
    [[4.0, 4.0]]

    Args:
        codes: w, numbers of shape (classes, features), fixed.

    Input shape: (batch, …, features).

    Output shape: (batch, …, classes).

    Raises:
        ValueError: If the codes have another rank, or the input has another number of features.
    """

    @takes_numpy
    def __init__(self, codes: Data, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        try:
            values = np.asarray(codes, "float32")
        except (TypeError, ValueError):
            values = np.zeros(())
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            raise ValueError(
                "`codes` must be finite numbers of the shape (classes, features), but they are "
                f"{codes!r}."
            )
        self.codes = values.tolist()

    def build(self, input_shape: ShapeLike) -> None:
        classes, features = np.shape(self.codes)
        if input_shape[-1] != features:
            raise ValueError(
                f"`codes` have {features} features, but the input has {input_shape[-1]}."
            )
        self.kernel = self.add_weight(
            (classes, features),
            lambda shape, dtype: ops.convert_to_tensor(self.codes, dtype),
            trainable=False,
            name="codes",
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        return ops.sum(ops.square(inputs[..., None, :] - self.kernel), axis=-1)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return (*input_shape[:-1], len(self.codes))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "codes": self.codes}
