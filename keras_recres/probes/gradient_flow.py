"""gradient_flow: what becomes of a gradient on its way through the steps of a recurrence."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_recres.backend.types import Data
from keras_recres.layers import JordanCell, RecurrentResidual
from keras_recres.layers.checks import check_choice, check_count
from keras_recres.probes.gradient_record import GradientFlowRecord
from keras_recres.probes.recurrence import Recurrence

# Numbers in a state of which the whole matrix ∂h_T/∂h_t is computed.
MATRIX_UP_TO = 512
# γ = sup |φ′|, arXiv 1211.5063, section 2.1.
SLOPES = {
    keras.activations.linear: 1.0,
    keras.activations.relu: 1.0,
    keras.activations.sigmoid: 0.25,
    keras.activations.softplus: 1.0,
    keras.activations.softsign: 1.0,
    keras.activations.tanh: 1.0,
}


def gradient_product(w: Data, steps: int) -> np.ndarray:
    """∏ ∂h_t/∂h_{t−1} = w^steps of the linear recurrence h_t = w h_{t−1}, in float64.

    Example:
    >>> gradient_product([0.5, 0.9, 1.1, 1.5], 128)
    array([2.93873588e-39, 1.39008452e-06, 1.98730123e+05, 3.46482384e+22])

    Args:
        w: Number or array of them.
        steps: Integer ≥ 1.

    Returns:
        A float64 array of w's shape.

    Raises:
        ValueError: If `steps` is not an integer of at least 1.
    """
    check_count("steps", steps)
    return np.asarray(w, "float64") ** steps


def gradient_flow(
    model: keras.Model,
    x: Data,
    y: Data = None,
    *,
    loss: Any = None,
    along: str = "time",
    layer: str | keras.layers.Layer | None = None,
) -> GradientFlowRecord:
    """Gradients at every step of a recurrence: of the loss, and of the last state.

    ∂h_T/∂h_t = ∏ ∂h_k/∂h_{k−1}, k from t + 1 to T, vanishes or explodes with the distance T − t
    (arXiv 1211.5063, section 2.1). For h_k = φ(W x_k + U h_{k−1} + b) its spectral norm is at most
    (‖U‖γ)^(T−t), γ = sup|φ′|: below 1 gradients must vanish, above it they may explode. Measured is
    the product itself, step by step by the backend's own derivatives and with a scale kept in
    float64, so that nothing underflows; beside it the gradient of the loss, which every later
    step's output adds to.

    In time the steps are those of a `keras.layers.RNN`, such as LSTM or `Recurrent`, in depth those
    of a `RecurrentResidual`, whose bound for a branch of one `Dense` is 1 + ‖W‖γ in the place of
    ‖U‖γ, and in a `JordanCell`, whose state is its output, the product of two. A state is all that
    passes from step to step, h and c of an LSTM, for which no such bound is known. Truncation stops
    the gradient of the loss alone: it arrives at h_t, t a multiple of `truncate`, and before it
    there is only what comes from outputs there.

    Example:
    >>> model = keras.Sequential([keras.Input((100, 8)), keras.layers.SimpleRNN(32)])
    >>> record = gradient_flow(model, np.random.default_rng(0).normal(size=(4, 100, 8)))
    >>> record.jacobian.shape, round(record.factor, 3)  # ‖U‖ = 1, U is orthogonal at first
    ((4, 101), 1.0)
    >>> record.plot("gradients.png")
    >>> model = keras_recres.zoo.load("planar_rec")
    >>> gradient_flow(model, np.zeros((1, 2)), along="depth").jacobian.shape
    (1, 14)

    Args:
        model: A built model, which computes as at inference.
        x: Array of examples as the model takes them, some tens, which are computed at once; or a
            list of arrays for several inputs.
        y: Targets; None for L = the mean square of the outputs.
        loss: Loss of Keras, its name, or a function of targets and outputs; None for the one that
            the model is compiled with.
        along: "time" or "depth".
        layer: The layer, or its name; None for the first of the kind that is called.

    Returns:
        A `GradientFlowRecord`. L is a mean over examples, and each example's row the gradient of
        its own part, so that it does not depend on their number. In float32 steps it is right to
        1e-6 a step. Of states above 512 numbers the spectral norm comes from 30 power iterations,
        and may be a few per cent too low.

    Raises:
        ValueError: If there is no such layer, or `y` without a loss.
    """
    check_choice("along", along, ("time", "depth"))
    x = keras.tree.map_structure(ops.convert_to_tensor, x)
    walk = Recurrence(model, x, along, layer)
    gradients, norms = [], []
    each, last = walk.directly(_objective(model, x, y, loss))
    small = sum(walk.sizes) <= MATRIX_UP_TO
    for _, gradient, jacobian in walk.backward(each, last, jacobian=small):
        gradients.append(gradient)
        if small:
            norms.append(spectral_norm(jacobian))
    parts = np.split(np.array(gradients[::-1]), np.cumsum(walk.sizes)[:-1], axis=-1)
    by_part = np.array([np.linalg.norm(part, axis=-1) for part in parts])  # (parts, T + 1, N)
    return GradientFlowRecord(
        layer=walk.layer.name,
        along=along,
        gradient=np.linalg.norm(by_part, axis=0).T,
        by_part=by_part.transpose(2, 0, 1),
        jacobian=np.array(norms[::-1]).T if small else walk.stretches(),
        factor=_factor(walk.layer),
        live=walk.live,
    )


def spectral_norm(matrices):
    """The largest singular value of each matrix (…, n, m), also where its square underflows."""
    scale = abs(matrices).max((-1, -2), keepdims=True, initial=0)
    scaled = matrices / np.where(scale == 0, 1, scale)
    largest = np.linalg.eigvalsh(scaled @ scaled.swapaxes(-1, -2))[..., -1]
    return scale[..., 0, 0] * np.sqrt(np.maximum(largest, 0))


def _objective(model, x, y, loss):
    """The loss times the number of examples, a function of the outputs."""
    count = keras.tree.flatten(x)[0].shape[0]
    if y is None:
        return lambda outputs: sum(
            count * ops.mean(ops.square(ops.cast(output, "float32")))
            for output in keras.tree.flatten(outputs)
        )
    y = keras.tree.map_structure(ops.convert_to_tensor, y)
    if loss is not None:
        loss = _Mean(keras.losses.get(loss))
        return lambda outputs: count * loss(y, outputs)
    if not model.compiled:
        raise ValueError(f"`loss` must be given with `y`, since {model.name!r} is not compiled.")
    return lambda outputs: count * model.compute_loss(x=x, y=y, y_pred=outputs, training=False)


class _Mean(keras.Loss):
    """The mean of a loss as compiled models have it, without the steps that a mask leaves out."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, y_true, y_pred):
        return getattr(self.function, "call", self.function)(y_true, y_pred)


def _factor(layer):
    """The largest norm that ∂h_t/∂h_{t−1} can have whatever h, or None if it is not known."""
    if isinstance(layer, RecurrentResidual):
        branch, s = layer.branch, layer.residual_scale
        if not isinstance(branch, keras.layers.Dense) or s == "learned" or layer.unshare:
            return None
        s = 1.0 if s is None else s
        # Of "concat" the rows that meet the state.
        slope = _slope(branch.kernel[: branch.kernel.shape[1]], branch.activation)
        kept = abs(1 - s) if layer.shortcut == "none" else 1.0
        return None if slope is None else kept + abs(s) * slope
    if isinstance(layer.cell, JordanCell):
        # From y_{t−1} by h_t to y_t; a trace of older outputs is a state beside.
        slopes = [
            _slope(layer.cell.recurrent_kernel, layer.cell.activation),
            _slope(layer.cell.output_kernel, layer.cell.output_activation),
        ]
        return None if layer.cell.decay or None in slopes else slopes[0] * slopes[1]
    if isinstance(layer.cell, keras.layers.SimpleRNNCell):
        return _slope(layer.cell.recurrent_kernel, layer.cell.activation)
    return None


def _slope(kernel, activation):
    """‖U‖γ, or None."""
    if activation not in SLOPES:
        return None
    norm = np.linalg.norm(ops.convert_to_numpy(kernel).astype("float64"), 2)
    return float(norm * SLOPES[activation])
