"""A scope in which a model computes in a given dtype, and every derivative is the function's own.

While a probe traces a model it has to see its layers' outputs, and to differentiate functions
that frameworks differentiate once at the most: a stopped gradient, a fused norm, a loop. What
stands here changes Keras' and the framework's functions for that time, and for the tracing thread
alone: the model itself is not touched, and other threads notice nothing.
"""

import contextlib
import functools
import threading

import keras
from keras import tree

from keras_recres.backend import keras_private, probe
from keras_recres.layers import depth_loop

FLOATS = ("bfloat16", "float16", "float32", "float64")
# Where Keras' backends keep the functions whose kinks are counted.
PIECEWISE_LINEAR = {
    "nn": (
        "relu",
        "relu6",
        "leaky_relu",
        "hard_tanh",
        "hard_sigmoid",
        "max_pool",
        "adaptive_max_pool",
    ),
    "numpy": ("maximum", "minimum", "abs", "absolute"),
}

# Functions of Keras' backends that run others inside loops and branches of the graph.
LOOPS = (
    "associative_scan",
    "cond",
    "fori_loop",
    "map",
    "scan",
    "switch",
    "vectorized_map",
    "while_loop",
)

_local = threading.local()
_lock = threading.Lock()
_installed = {"scopes": 0, "originals": []}


def current():
    """The recorder of the innermost scope of this thread, or None outside any."""
    return getattr(_local, "recorder", None)


@contextlib.contextmanager
def scope(recorder):
    """Runs what is inside with the functions above exchanged, for this thread.

    Args:
        recorder: Has `dtype`, in which layers compute, and is told of every layer's call by
            `called(original, layer, args, kwargs)` and of piecewise linear functions by
            `switched(name, args, kwargs)`.
    """
    before = current()
    _install()
    _local.recorder = recorder
    try:
        with keras_private.autocast_scope(recorder.dtype):
            yield recorder
    finally:
        _local.recorder = before
        _uninstall()


def _install():
    with _lock:
        _installed["scopes"] += 1
        if _installed["scopes"] > 1:
            return
        for owner, name, exchange in _exchanges():
            # As it stands in the class or module, not what a property gives.
            original = vars(owner)[name]
            _installed["originals"].append((owner, name, original))
            setattr(owner, name, exchange(original))


def _uninstall():
    with _lock:
        _installed["scopes"] -= 1
        if _installed["scopes"]:
            return
        while _installed["originals"]:
            setattr(*_installed["originals"].pop())


def _exchanges():
    """[(owner, attribute, function from the original to what takes its place)]."""
    by_purpose = {
        "layer_call": _recorded_call,
        "functional_inputs": _unrounded_inputs,
        "sequential_dtype": _float_property,
        "policy_dtype": _float_property,
        "narrowed_dtypes": _WideDtypes,
        "stop_gradient": _inside(keras.ops.convert_to_tensor),
        # Recomputing a forward pass is of no use to forward derivatives.
        "remat": _inside(lambda function: function),
    }
    places = keras_private.tracing_places()
    exchanges = [(*places[purpose], exchange) for purpose, exchange in by_purpose.items()]
    # Loops in the graph hide the layers inside, and are slow to differentiate twice.
    unrolled = _inside(lambda *args, **kwargs: "unroll")
    exchanges.append((depth_loop, "form_of_loop", unrolled))
    exchanges += [(owner, name, _inside(new)) for owner, name, new in probe.substitutes()]
    exchanges += [
        (keras_private.backend_module(module), name, functools.partial(_told, name))
        for module, names in PIECEWISE_LINEAR.items()
        for name in names
    ]
    exchanges += [(keras_private.backend_module("core"), name, _in_a_loop) for name in LOOPS]
    return exchanges


def _in_a_loop(original):
    @functools.wraps(original)
    def run(*args, **kwargs):
        recorder = current()
        if recorder is None:
            return original(*args, **kwargs)
        return recorder.in_a_loop(original, args, kwargs)

    return run


def _inside(replacement):
    """Exchanges a function by another one, within a scope of the calling thread."""

    def exchange(original):
        @functools.wraps(original)
        def chosen(*args, **kwargs):
            return (replacement if current() else original)(*args, **kwargs)

        return chosen

    return exchange


def _told(name, original):
    @functools.wraps(original)
    def telling(*args, **kwargs):
        recorder = current()
        if recorder is None:
            return original(*args, **kwargs)
        return recorder.switched(name, original, args, kwargs)

    return telling


def _recorded_call(original):
    @functools.wraps(original)
    def call(self, *args, **kwargs):
        recorder = current()
        leaves = tree.flatten((args, kwargs))
        if recorder is None or any(isinstance(leaf, keras.KerasTensor) for leaf in leaves):
            return original(self, *args, **kwargs)
        return recorder.called(original, self, args, kwargs)

    return call


def _unrounded_inputs(original):
    """A functional model casts its inputs to the dtype that they were declared with."""

    @functools.wraps(original)
    def convert(self, flat_inputs):
        converted = original(self, flat_inputs)
        if current() is None:
            return converted
        return [
            x if is_float(x) else other for x, other in zip(flat_inputs, converted, strict=True)
        ]

    return convert


def _float_property(original):
    """A property that names a dtype."""

    def dtype(self):
        own, recorder = original.fget(self), current()
        return recorder.dtype if recorder is not None and own in FLOATS else own

    return property(dtype, doc=original.__doc__)


class _WideDtypes(dict):
    """Keras' table of dtypes that it narrows, without float64 while a scope computes in it."""

    def get(self, key, default=None):
        recorder = current()
        if key == "float64" and recorder is not None and recorder.dtype == "float64":
            return key
        return super().get(key, default)


def is_float(x):
    """Whether x is a tensor of floating-point numbers."""
    return keras.ops.is_tensor(x) and keras.backend.standardize_dtype(x.dtype) in FLOATS
