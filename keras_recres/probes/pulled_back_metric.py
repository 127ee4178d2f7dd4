"""The metric that a layer pulls back to input space: how far it stretches in which directions."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_recres.backend import probe
from keras_recres.backend.types import Data
from keras_recres.layers.checks import check_count
from keras_recres.probes import curve_points
from keras_recres.probes.curves import Curve
from keras_recres.probes.measurement import Measurement


def metric_spectrum(
    model: keras.Model,
    inputs: Data,
    directions: Data,
    layers: str | Sequence[str] | None = None,
    steps: bool = True,
    batch_size: int = 64,
) -> tuple[list[tuple[str, int | None]], np.ndarray]:
    """Singular values of every layer's Jacobian on some directions in input space.

    For a layer l(x) with the Jacobian J the pulled-back metric is g = JᵀJ (Hauser and Ray,
    "Principles of Riemannian geometry in neural networks", 2017). On the span of orthonormal
    directions U its eigenvalues are σ², σ the singular values of J U: by what factors the layer
    stretches the neighbourhood of x in it. A flat layer, a dilation with σ alike everywhere,
    changes no curvature but by its scale; what bends a curve is how σ differs from x to x.

    Example:
    >>> model = keras_recres.zoo.load("planar_rec", weights=None)
    >>> rows, sigma = metric_spectrum(model, np.zeros((5, 2)), np.eye(2))
    >>> sigma.shape
    (14, 5, 2)

    Args:
        model: Keras model.
        inputs: x, an array (n, …) of inputs.
        directions: Array (k, …) of k directions of the shape of an input, linearly independent;
            they are made orthonormal.
        layers: As in `extrinsic_curvature`.
        steps: As in `extrinsic_curvature`.
        batch_size: Integer ≥ 2, how many derivatives are computed at once.

    Returns:
        [(layer, step)] and σ, a float64 array (rows, n, k), the largest first; the row "input" is
        the identity, σ = 1. Of float32 derivatives values below 1e-6 of the largest are rounding.

    Raises:
        ValueError: For shapes that do not fit, or dependent directions.
    """
    check_count("batch_size", batch_size)
    inputs, directions = np.asarray(inputs, "float64"), np.asarray(directions, "float64")
    if inputs.ndim < 2 or directions.shape[1:] != inputs.shape[1:] or not len(directions):
        raise ValueError(
            "`directions` must be an array (k, …) of directions of the shape of one input, but "
            f"`inputs` have the shape {inputs.shape} and `directions` {directions.shape}."
        )
    axes = curve_points.orthonormal_rows(directions.reshape(len(directions), -1))
    count = len(axes)
    lines = _lines(inputs, axes.reshape(directions.shape))
    total = len(inputs) * count
    batch_size = max(2, min(batch_size, total))
    if not model.built:
        model(ops.convert_to_tensor(inputs[:1], dtype="float32"), training=False)
    layers = None if layers is None else tuple(layers)
    measurement = Measurement(model, lines, layers, steps, "forward", batch_size, "float32")

    def tangents(values, theta):
        function = measurement.traced(values)
        targets, moved = probe.jvp(lambda t: function(t)[0], (theta,), (ops.ones_like(theta),))
        # TensorFlow says None of what does not depend on θ.
        moved = [ops.zeros_like(x) if v is None else v for x, v in zip(targets, moved, strict=True)]
        return [ops.reshape(v, (theta.shape[0], -1)) for v in moved]

    run = probe.compiled(tangents)
    values = measurement.values()
    parts = []
    # Whole inputs at a time, so that no layer's Jacobians for all of them are held at once.
    at_once = max(1, batch_size // count)
    for begin in range(0, len(inputs), at_once):
        index = np.arange(begin * count, (begin + at_once) * count)
        theta = measurement.tensor(np.minimum(index, total - 1))
        wanted = min(at_once, len(inputs) - begin)
        parts.append(
            np.stack([_singular_values(v, at_once, count)[:wanted] for v in run(values, theta)])
        )
    return measurement.rows, np.concatenate(parts, axis=1)


def _singular_values(v, points, count):
    v = ops.convert_to_numpy(v).astype("float64").reshape(points, count, -1)
    sigma = np.linalg.svd(v, compute_uv=False)
    # A layer of fewer units than there are directions crushes the rest.
    return np.pad(sigma, ((0, 0), (0, count - sigma.shape[-1])))


def _lines(inputs, axes):
    """At θ = i · k + j the input i, moving along axis j: all derivatives in one curve."""
    count, shape = len(axes), inputs.shape[1:]

    def function(theta):
        index = ops.round(ops.stop_gradient(theta))
        number = ops.cast(index, "int32")
        point = ops.floor_divide(number, count)
        axis = number - count * point
        x, u = (ops.convert_to_tensor(array, dtype=theta.dtype) for array in (inputs, axes))
        moved = ops.reshape(theta - index, (-1, *[1] * len(shape)))
        return ops.take(x, point, axis=0) + moved * ops.take(u, axis, axis=0)

    return Curve(function, (0, max(1, len(inputs) * count - 1)), shape, name="directions")
