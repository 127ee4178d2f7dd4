"""extrinsic_curvature: how much a model's layers bend a curve in input space."""

import collections
import contextlib
import inspect
import math
import re
import threading
import types
import weakref
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_recres.backend import keras_private, probe
from keras_recres.backend.types import Data
from keras_recres.layers.checks import check_count
from keras_recres.probes import jets
from keras_recres.probes.curvature_record import CurvatureRecord
from keras_recres.probes.curves import Curve
from keras_recres.probes.derivative_check import check as check_derivatives
from keras_recres.probes.measurement import Measurement
from keras_recres.probes.recorder import Refusal

METHODS = ("auto", "forward", "tape", "finite")
DTYPES = (None, "float32", "float64")
# θ at once by default: so many that the inputs hold so many numbers.
INPUT_NUMBERS, MOST_AT_ONCE = 2**21, 256

# Compiled measurements of each model: the last few.
_cache = weakref.WeakKeyDictionary()
_lock = threading.Lock()
CACHED = 8
# Attributes of layers that training changes, and no output.
PASSING = ("built", "stop_training", "training", "trainable")


def extrinsic_curvature(
    model: keras.Model,
    curve: Curve,
    theta: Data,
    layers: str | Sequence[str] | None = None,
    steps: bool = True,
    method: str = "auto",
    batch_size: int | None = None,
    dtype: str | None = None,
    check: bool = True,
) -> CurvatureRecord:
    """Curvature of a curve's image in the output of every layer of a model.

    A curve θ ↦ x(θ) in input space has an image l(θ) in each layer's output, flattened. With its
    velocity v = ∂l/∂θ and a = ∂v/∂θ the curvature is

    κ = √(|v|²|a|² − (v·a)²) / |v|³ = |a⊥| / |v|²,

    where a⊥ is the part of a that is orthogonal to v (Jiang, Cui and Wang, "Residual network with
    recurrent structures", section 2.2; Poole et al., arXiv 1606.05340, section 3). It does not
    depend on how the curve is parametrised, and has the unit 1 / unit of the output. The model
    runs in inference mode, and is left as it was.

    Where |v| = 0, the whole curve in a constant layer, κ is reported as 0 and `speed` says so.
    Between the kinks of a piecewise linear model the image of a straight line is straight, κ = 0:
    all bending sits in the kinks, which `kinks` counts: changes from one θ to the next of the
    piece on which relu, relu6, leaky_relu, PReLU, hard_tanh, hard_sigmoid, abs, maximum, minimum or
    a max pooling is, summed over the entries of all that the model computes up to a layer.

    Derivatives are those of the function itself: gradients that a layer stops are not stopped
    here, fused norms and attention are written out, and `check` compares with differences.

    Example:
    >>> model = keras_recres.zoo.load("planar_rec", weights=None)
    >>> circle = keras_recres.probes.curves.circle()
    >>> record = extrinsic_curvature(model, circle, circle.theta(200))
    >>> record.rows[:3], record.kappa.shape
    ([('input', None), ('block0', 0), ('block0', 1)], (14, 200))

    Args:
        model: Keras model, functional or subclassed, or a layer. It is built if it is not.
        curve: Function from θ, a floating-point tensor (n,), to inputs (n, …), or a structure of
            them, made of `keras.ops`; input i depends on θ_i alone. See `probes.curves`.
        theta: θ, n ≥ 1 finite numbers.
        layers: None for "input", the curve itself, and all layers that the model, or a model
            within it, calls itself and which put out floating-point numbers for every example; or
            a list of names, paths such as "block0/transformer_block0/qkv", wildcards, and layers.
            Of several outputs of a layer the first counts. A layer that is called repeatedly has
            a row for each call.
        steps: Whether each step of a `RecurrentResidual` is a row, and not only the last.
        method: "forward", a forward derivative of a forward derivative, `keras.ops.jvp`;
            "tape", nested gradient tapes, on TensorFlow; "finite", central differences in float64,
            an independent and slower check, exact to about 1e-6; or "auto", the faster of the
            first two: "tape" on TensorFlow and "forward" elsewhere.
        batch_size: Integer ≥ 2, how many θ are computed at once, which bounds the memory; None
            for 256, or fewer if the inputs are large.
        dtype: "float32" or "float64" to compute in, whatever the model's policy; None for the
            policy's, and float32 instead of half precision. Weights are only cast.
        check: Whether to compare, once for every model and curve, the derivatives at three θ with
            differences in float64.

    Returns:
        A `CurvatureRecord`.

    Raises:
        ValueError: For arguments out of their range, names that no layer has, a layer that cannot
            be differentiated by the method, and one whose derivatives are not those of its
            outputs.
    """
    theta = _check_theta(theta)
    method = _choose_method(method)
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"`model` must be a Keras model or layer, but it is {model!r}.")
    if not callable(curve):
        raise ValueError(f"`curve` must be a function of θ, but it is {curve!r}.")
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {DTYPES}, but it is {dtype!r}.")
    if method == "finite":
        dtype = "float64"
    elif dtype is None:
        dtype = "float64" if model.compute_dtype == "float64" else "float32"
    wanted = _check_layers(layers)
    batch = _batch(model, curve, theta, batch_size)
    measurement = cached(model, curve, wanted, bool(steps), method, batch, dtype)
    try:
        kappa, speed, kinks = measurement.measure(theta)
    except Refusal as refusal:
        # Without what JAX adds to errors on their way through it.
        raise Refusal(str(refusal)) from None
    except Exception as error:
        raise _explanation(measurement, theta, error) from error
    if check and method != "finite" and not measurement.checked:
        check_derivatives(measurement, theta)
        measurement.checked = True
    return CurvatureRecord(
        theta,
        measurement.rows,
        kappa,
        speed,
        kinks=kinks,
        method=method,
        backend=keras.backend.backend(),
        dtype=dtype,
        interval=getattr(curve, "interval", None),
        closed=getattr(curve, "closed", False),
    )


def _check_theta(theta):
    theta = ops.convert_to_numpy(theta) if ops.is_tensor(theta) else np.asarray(theta)
    if theta.ndim != 1 or not len(theta) or theta.dtype.kind not in "fiu":
        raise ValueError(
            f"`theta` must be one or more numbers of shape (n,), but it has the shape "
            f"{theta.shape} and the dtype {theta.dtype}."
        )
    theta = theta.astype("float64")
    if not np.isfinite(theta).all():
        raise ValueError("`theta` must be finite, but it has infinite or undefined numbers.")
    return theta


def _choose_method(method):
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}, but it is {method!r}.")
    if method == "tape" and probe.tape_jet is None:
        raise ValueError(
            f"`method` 'tape' needs the backend tensorflow, but this one is "
            f"{keras.backend.backend()}: use 'forward' or 'finite'."
        )
    return probe.FASTEST if method == "auto" else method


def _check_layers(layers):
    if layers is None:
        return None
    layers = [layers] if isinstance(layers, str | keras.layers.Layer) else layers
    if not isinstance(layers, list | tuple) or not layers:
        raise ValueError(
            f"`layers` must be None or a list of names and layers, but it is {layers!r}."
        )
    for entry in layers:
        if not isinstance(entry, str | keras.layers.Layer):
            raise ValueError(f"`layers` must hold names and layers, but it holds {entry!r}.")
    return tuple(layers)


def _batch(model, curve, theta, batch_size):
    """How many θ to compute at once; builds the model."""
    try:
        inputs = curve(ops.convert_to_tensor(theta[:1].astype("float32")))
    except Exception as error:
        # It is the user's: NumPy's arrays, for one, cannot be multiplied by PyTorch's tensors.
        raise ValueError(
            f"`curve` does not run on a tensor of θ ({_first_line(error)}): {_of_ops(curve)}."
        ) from error
    leaves = keras.tree.flatten(inputs)
    for leaf in leaves:
        if not ops.is_tensor(leaf) or len(leaf.shape) < 1 or leaf.shape[0] != 1:
            found = tuple(leaf.shape) if ops.is_tensor(leaf) else leaf
            raise ValueError(
                f"`curve` must give one input for every θ, but for one θ it gives {found!r}."
            )
    if not model.built:
        model(inputs, training=False)
    if batch_size is None:
        numbers = sum(math.prod(leaf.shape) for leaf in leaves)
        batch_size = min(MOST_AT_ONCE, max(8, INPUT_NUMBERS // numbers))
    else:
        check_count("batch_size", batch_size)
        if batch_size < 2:
            raise ValueError(f"`batch_size` must be at least 2, but it is {batch_size}.")
    # Equal parts, of which neighbours share one θ.
    parts = math.ceil(max(1, len(theta) - 1) / (batch_size - 1))
    return max(2, 1 + math.ceil((len(theta) - 1) / parts))


def cached(model, curve, *options):
    """The compiled measurement of a model and a curve, of this call or one before."""
    key = (id(curve), options, fingerprint(model))
    with _lock:
        measurements = _cache.setdefault(model, collections.OrderedDict())
        if key not in measurements:
            measurements[key] = Measurement(model, curve, *options)
        measurements.move_to_end(key)
        while len(measurements) > CACHED:
            measurements.popitem(last=False)
        return measurements[key]


def fingerprint(model):
    """What a compiled function takes for granted: the model's layers and their plain settings."""
    settings = []
    for layer in keras_private.sublayers(model):
        own = []
        for name, value in sorted(vars(layer).items()):
            if name.startswith("_") or name in PASSING:
                continue
            if isinstance(value, bool | int | float | str | None):
                own.append((name, value))
            elif isinstance(value, types.FunctionType) and not isinstance(layer, keras.Model):
                # Such as an activation. Not the function itself, which may hold the layer.
                own.append((name, id(value)))
        settings.append((id(layer), tuple(own)))
    return tuple(settings)


def _explanation(measurement, theta, error):
    """The ValueError that says in one sentence where the derivative failed, and how."""
    model, method = measurement.model(), measurement.method
    what = f"{type(error).__name__}: {_first_line(error)}"
    try:
        model(measurement.curve(measurement.tensor(theta[:2])), training=False)
    except Exception as plain:
        return Refusal(f"the model does not run on the curve's inputs: {_first_line(plain)}")
    # By differences nothing is differentiated.
    jet = jets.METHODS.get(method, lambda function, theta: function(theta))

    def curve_alone(theta):
        return jet(lambda theta: (keras.tree.flatten(measurement.curve(theta)), []), theta)[:3]

    try:
        with measurement.floats():
            probe.compiled(curve_alone)(measurement.tensor(theta[:2]))
    except Exception as alone:
        return Refusal(
            f"method={method!r} cannot differentiate the curve ({type(alone).__name__}: "
            f"{_first_line(alone)}): {_of_ops(measurement.curve)}, or use method='finite'."
        )
    path = measurement.recorder and measurement.recorder.failed
    if not path and measurement.recorder:
        path = _first_to_fail(measurement, theta)
    where = f"the layer {path!r}" if path else f"the model {model.name!r}"
    return Refusal(
        f"method={method!r} cannot differentiate {where} ({what}): leave it out with `layers`, or "
        f"use method='finite'."
    )


def _of_ops(curve):
    """How a curve that cannot be differentiated is written instead, with its constants' names."""
    names = []
    with contextlib.suppress(TypeError):  # Raised by what is not a plain function.
        seen = inspect.getclosurevars(curve.function)
        of_numpy = (np.ndarray, np.generic)
        names = [
            k for k, v in {**seen.globals, **seen.nonlocals}.items() if isinstance(v, of_numpy)
        ]
    constants = " ".join(["its constants", *([", ".join(map(repr, names))] if names else [])])
    return f"make it of keras.ops, and {constants} tensors by keras.ops.convert_to_tensor"


def _first_line(error):
    """What an error says, without what Keras and terminals put around it."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return lines[0].strip() if lines else "no message"


def _first_to_fail(measurement, theta):
    """Path of the first row that fails by itself, where the error came after all calls."""
    m = measurement
    for path in dict.fromkeys(path for path, _ in m.rows):
        alone = Measurement(m.model(), m.curve, (path,), m.steps, m.method, 2, m.dtype)
        try:
            alone.measure(theta[:2])
        except Exception:
            return path
    return None
