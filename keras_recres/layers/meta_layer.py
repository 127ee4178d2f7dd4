"""MetaLayer: groups of features mixed as wholes, one number a pair of groups."""

import numbers
from typing import Any

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend.types import Initializer, Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class MetaLayer(keras.layers.Layer):
    """Mixes N groups into M groups of the same shape: every weight serves a whole group.

    y_m = Σ_n w_nm x_n

    where x_n are the input groups, y_m the output groups and w the (N, M) weights, without a bias:
    the layer Meta(N, M) of K. S. Kondaurova and N. A. Semenov, "Optimisation of the number of
    parameters of a neural network for image classification" (in Russian; no arXiv number),
    section 2.2. With `softmax=True` w is the softmax of the weights over n, so that each output
    is a weighted mean of the inputs; the published networks use the weights as they are.

    Example:
    >>> mix = keras_recres.layers.MetaLayer(8)
    >>> mix(keras.ops.ones((2, 10, 4))).shape
    (2, 10, 8)
    >>> maps = [keras.ops.ones((2, 16, 16, 3)) for _ in range(4)]
    >>> keras_recres.layers.MetaLayer(8, axis=-2)(maps).shape
    (2, 16, 16, 8, 3)

    Args:
        groups: Integer M ≥ 1, groups of the output.
        softmax: Boolean, whether the weights of each output group are normalised to the sum 1.
        axis: Integer, the axis of the groups in the stacked input and in the output, not the
            batch axis 0.
        kernel_initializer: Keras initializer of the (N, M) weights; None is N(0, 1) as in the
            paper, with which the variance of the signal grows N-fold.

    Input shape: a tensor of any rank ≥ 2 with N entries along `axis`, or a list of N tensors of
        one shape, which are stacked along a new axis `axis`.

    Output shape: that of the (stacked) input, with M entries along `axis`.

    Raises:
        ValueError: For arguments out of their range, an unknown number of groups, a batch axis as
            `axis`, listed tensors of different shapes or none of them, or another number of
            groups than the layer was built for.
    """

    @takes_numpy
    def __init__(
        self,
        groups: int,
        softmax: bool = False,
        axis: int = -1,
        kernel_initializer: Initializer = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        check_count("groups", groups)
        if not isinstance(axis, numbers.Integral) or isinstance(axis, bool) or axis == 0:
            raise ValueError(
                f"`axis` must be an integer other than 0, the batch axis, but it is {axis!r}."
            )
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.RandomNormal(stddev=1.0)
        self.groups = groups
        self.softmax = bool(softmax)
        self.axis = axis
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: ShapeLike) -> None:
        shape = self._stacked_shape(input_shape)
        self.kernel = self.add_weight(
            shape=(shape[self._positive_axis(len(shape))], self.groups),
            initializer=self.kernel_initializer,
            name="kernel",
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if isinstance(inputs, list | tuple):
            inputs = ops.stack(inputs, axis=self._positive_axis(len(inputs[0].shape) + 1))
        inputs = ops.cast(inputs, self.compute_dtype)
        axis = self._positive_axis(len(inputs.shape))
        if inputs.shape[axis] not in (None, self.kernel.shape[0]):
            raise ValueError(
                f"{self.name!r} mixes {self.kernel.shape[0]} groups, as it was built, but the "
                f"input has {inputs.shape[axis]}."
            )
        kernel = ops.cast(self.kernel, inputs.dtype)
        if self.softmax:
            kernel = ops.softmax(kernel, axis=0)
        rank = len(inputs.shape)
        if axis == rank - 1:
            # Keras on PyTorch gives the product of float64 matrices as float32.
            return ops.cast(ops.matmul(inputs, kernel), inputs.dtype)
        if axis == rank - 2 and not training and self._mixes_in_place(inputs.shape):
            return self._mixed_in_place(inputs, kernel)
        # One matrix product with the groups in front. As an einsum TensorFlow takes twice as long
        # outside XLA (5.0 ms against 2.2 forward and backward, 64 × 16 × 16 × 8 groups × 4).
        front = (axis, *(i for i in range(rank) if i != axis))
        shape = ops.shape(inputs)
        others = [shape[i] for i in front[2:]]
        x = ops.reshape(ops.transpose(inputs, front), (shape[axis], -1))
        x = ops.reshape(ops.matmul(ops.transpose(kernel), x), (self.groups, -1, *others))
        x = ops.transpose(x, [front.index(i) for i in range(rank)])
        return ops.cast(x, inputs.dtype)

    def _mixes_in_place(self, shape):
        """Whether moving the groups to the front costs more than multiplying by many zeros.

        It does forward for JAX on a CPU (128 × 16 × 16 × 8 groups × 8, in a MetaConv2D: 14 ms
        against 24), but not backward (100 against 96), and not on TensorFlow and PyTorch.
        """
        return (
            keras.backend.backend() == "jax"
            and backend.prefers_plain_convolutions()
            and None not in shape[-2:]
            and shape[-2] * shape[-1] <= 64
        )

    def _mixed_in_place(self, inputs, kernel):
        """One product of the last two axes as one with the matrix w ⊗ 1."""
        *others, groups, width = ops.shape(inputs)
        one = ops.reshape(ops.eye(width, dtype=kernel.dtype), (1, width, 1, width))
        kernel = ops.reshape(kernel, (groups, 1, self.groups, 1)) * one
        kernel = ops.reshape(kernel, (groups * width, self.groups * width))
        x = ops.matmul(ops.reshape(inputs, (-1, *others[1:], groups * width)), kernel)
        return ops.reshape(x, (-1, *others[1:], self.groups, width))

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        shape = list(self._stacked_shape(input_shape))
        shape[self._positive_axis(len(shape))] = self.groups
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "groups": self.groups,
            "softmax": self.softmax,
            "axis": self.axis,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    def _positive_axis(self, rank):
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 0 < axis < rank:
            raise ValueError(
                f"`axis` of {self.name!r} must name an axis of the stacked input of rank {rank} "
                f"other than the batch axis, but it is {self.axis}."
            )
        return axis

    def _stacked_shape(self, input_shape):
        """The shape of the stacked input, given its shape or the list of shapes of its groups."""
        if not input_shape:
            raise ValueError(f"{self.name!r} mixes groups, but it was given none.")
        shape = tuple(input_shape)
        if isinstance(shape[0], list | tuple):
            # A side is one of the groups' or, where none knows it, unknown.
            sides = [set(side) - {None} for side in zip(*shape, strict=False)]
            if len({len(group) for group in shape}) > 1 or any(len(side) > 1 for side in sides):
                raise ValueError(
                    f"The groups that {self.name!r} mixes must have one shape, but they have the "
                    f"shapes {sorted({tuple(group) for group in shape}, key=str)}."
                )
            stacked = [side.pop() if side else None for side in sides]
            stacked.insert(self._positive_axis(len(stacked) + 1), len(shape))
            return tuple(stacked)
        if shape[self._positive_axis(len(shape))] is None:
            raise ValueError(
                f"The number of groups that {self.name!r} mixes, axis {self.axis} of its input, "
                f"must be known, but the input has the shape {shape}."
            )
        return shape
