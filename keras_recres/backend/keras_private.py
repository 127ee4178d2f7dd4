"""Every name of Keras' that is not public, each behind a function of ours.

Nothing else in this library imports `keras.src` or reads an underscored name of Keras', so that a
new release of Keras can break this file only: `tests/backend/test_keras_private.py` calls each
function, and the upper bound on keras in pyproject.toml is the newest release that passes it.
"""

import contextlib
import functools
import sys
import threading

import keras
from keras.src import backend as keras_backend
from keras.src.backend.common import dtypes, global_state
from keras.src.dtype_policies import dtype_policy
from keras.src.layers.layer import Layer
from keras.src.models.functional import Functional
from keras.src.models.sequential import Sequential
from keras.src.saving import serialization_lib
from keras.src.utils import file_utils, io_utils, module_utils

_creation = threading.local()


def get_mask(x):
    """The mask that Keras' layers gave a tensor, or None."""
    return keras_backend.get_keras_mask(x)


def set_mask(x, mask):
    """Gives a tensor the mask that the next layer reads from it."""
    keras_backend.set_keras_mask(x, mask)


def autocast_scope(dtype):
    """A scope in which variables are read in `dtype`; None for their own."""
    return keras_backend.AutocastScope(dtype)


def autocasts(variable):
    """Whether a dtype policy casts a variable when it is read."""
    return variable._autocast


def sublayers(layer, include_self=True):
    """A layer and all layers in it, at any depth, each before those inside it.

    Returns:
        A list.
    """
    return list(layer._flatten_layers(include_self=include_self))


@contextlib.contextmanager
def names_from_start():
    """Layers made inside are numbered as in a new process, and those after it as if none was."""
    key = "object_name_uids"
    before = global_state.get_global_attribute(key)
    global_state.set_global_attribute(key, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(key, before)


@contextlib.contextmanager
def downloads_by(fetch):
    """Inside, `keras.utils.get_file` calls fetch(url, path, report) in this thread."""
    if not hasattr(file_utils.urlretrieve, "of_keras_recres"):
        retrieve = file_utils.urlretrieve

        def retrieve_or_fetch(*args):
            return (getattr(_creation, "fetch", None) or retrieve)(*args)

        retrieve_or_fetch.of_keras_recres = True
        file_utils.urlretrieve = retrieve_or_fetch
    before = getattr(_creation, "fetch", None)
    _creation.fetch = fetch
    try:
        yield
    finally:
        _creation.fetch = before


def _track_variables(layer):
    """Hands all of a layer's variables to PyTorch, for Keras' method of this name.

    Keras names them by their paths (3.15). Of two with one path, as in copies of a nested model or
    blocks that were given one name, PyTorch then knows one, never clears the other's gradients, and
    `fit` steps along the sum of those of all batches so far.
    """
    import torch

    found = {}
    for variable in layer.variables:
        path = variable.path
        found[f"{path}#{len(found)}" if path in found else path] = variable.value
    layer._torch_params = torch.nn.ParameterDict(found)


if keras.backend.backend() == "torch":
    Layer._track_variables = _track_variables


def set_random_seed(seed):
    """As `keras.utils.set_random_seed`, which imports TensorFlow also for other backends."""
    tensorflow, known = module_utils.tensorflow, module_utils.tensorflow._available
    if "tensorflow" not in sys.modules:
        tensorflow._available = False
    try:
        keras.utils.set_random_seed(seed)
    finally:
        tensorflow._available = known


def function_of(model):
    """The `Functional` with the graph of a functional or Sequential model, or None.

    None is what subclassed models, unbuilt Sequential ones and other layers give.
    """
    if isinstance(model, keras.Sequential):
        return model._functional if model.built else None
    return model if isinstance(model, Functional) else None


def functional_class():
    """The class of functional models, for one of ours that is built as they are."""
    return Functional


def nodes_of(function):
    """The calls in the graph of a `Functional`, in an order in which they can run."""
    by_depth = function._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def run_graph(function, inputs, operation_fn):
    """Runs the graph of a `Functional` with `operation_fn(operation)` in each operation's place."""
    return function._run_through_graph(inputs, operation_fn=operation_fn)


def producer(x):
    """The operation that a KerasTensor comes from, and the tensors which that call was given."""
    operation, node, _ = x._keras_history
    return operation, operation._inbound_nodes[node].input_tensors


def output_index(x):
    """Which of the outputs of that call a KerasTensor is."""
    return x._keras_history.tensor_index


@contextlib.contextmanager
def losses_kept(model):
    """Calls inside leave the losses that the layers collected before as they were."""
    kept = [(layer, layer._losses[:], set(layer._loss_ids)) for layer in sublayers(model)]
    try:
        yield
    finally:
        for layer, losses, ids in kept:
            layer._losses[:] = losses
            layer._loss_ids = ids


def forget_losses(layer, losses):
    """Lets a layer and those in it forget losses that are added elsewhere.

    Keras layers remember their losses in a `StatelessScope` by `id`. A tensor born after these are
    gone may get the same one, and would then be counted as a loss of this layer, too.
    """
    ids = {id(loss) for loss in losses}
    for part in sublayers(layer):
        part._loss_ids -= ids


def attended_axes(layer):
    """The axes that a `keras.layers.MultiHeadAttention` attends over."""
    return layer._attention_axes


def gate_of(layer):
    """The dense layer that makes the gate of a `keras.layers.MultiHeadAttention`."""
    return layer._gate_dense


def let_share(layer, config):
    """Lets other layers of a model that is being saved share a layer after it is loaded.

    Keras marks the configurations of what is shared when it meets it again. A layer that puts the
    configuration of another into its own has a copy in the file by then, which remains unmarked.
    """
    if global_state.get_global_attribute("shared_objects/id_to_config_map") is not None:
        config["shared_object_id"] = id(layer)


def unsafe_code_allowed():
    """A scope in which Keras makes Lambda layers again, whose code is in memory already."""
    return serialization_lib.SafeModeScope(False)


def print_message(message):
    """Prints as Keras does, without the characters that the terminal's encoding lacks.

    Nothing is raised, also where stdout is closed: it is the last that long work does.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):
        io_utils.print_msg(message)


def layout_map():
    """The `keras.distribution.LayoutMap` of the model-parallel distribution that is set."""
    return keras.distribution.distribution()._layout_map


def torch_device():
    """The name of the device on which Keras' PyTorch backend computes."""
    from keras.src.backend.torch.core import get_device

    return get_device()


@contextlib.contextmanager
def tensorflow_trainer(reduce_per_replica, first_batch):
    """Puts two steps of Keras' `fit()` under TensorFlow's strategies right for the time inside.

    Args:
        reduce_per_replica: Function of Keras' own one, values, strategy and reduction.
        first_batch: Function of the trainer, an iterator or None, and a batch or None: the
            replica's part of the first batch, which Keras builds the model with.
    """
    from keras.src.backend.tensorflow import trainer

    reduce, build = trainer.reduce_per_replica, trainer.TensorFlowTrainer._maybe_symbolic_build

    def maybe_symbolic_build(self, iterator=None, data_batch=None):
        batch = first_batch(self, iterator, data_batch)
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=batch)

    trainer.reduce_per_replica = functools.partial(reduce_per_replica, reduce)
    trainer.TensorFlowTrainer._maybe_symbolic_build = maybe_symbolic_build
    try:
        yield
    finally:
        trainer.reduce_per_replica = reduce
        trainer.TensorFlowTrainer._maybe_symbolic_build = build


def tracing_places():
    """Where the curvature probe puts functions of its own: {purpose: (owner, attribute)}."""
    return {
        "layer_call": (Layer, "__call__"),
        "functional_inputs": (Functional, "_convert_inputs_to_tensors"),
        "sequential_dtype": (Sequential, "input_dtype"),
        "policy_dtype": (dtype_policy.DTypePolicy, "compute_dtype"),
        "narrowed_dtypes": (dtypes, "BIT64_TO_BIT32_DTYPE"),
        "stop_gradient": (keras_backend.core, "stop_gradient"),
        "remat": (keras_backend.core, "remat"),
    }


def backend_module(name):
    """Keras' own module of the backend in use: "core", "nn" or "numpy"."""
    return getattr(keras_backend, name)


@contextlib.contextmanager
def values_given_later():
    """Variables made inside on JAX compute no initial value before the scope ends.

    Those that were assigned by then never do: JAX compiles every initializer for every shape,
    which takes ten times as long as reading a file of weights. A value that is read before is
    computed for that reading, so that what is computed inside is right, too. TensorFlow and
    PyTorch are fast as they are.
    """
    if keras.backend.backend() != "jax" or getattr(_creation, "waiting", None) is not None:
        yield
        return
    _let_variables_wait()
    _creation.waiting = []
    try:
        yield
        waiting = _creation.waiting
    finally:
        _creation.waiting = None
    for variable in waiting:
        if variable._value is None:
            variable._deferred_initialize()
        variable._initializer = None


def _let_variables_wait():
    kind = keras_backend.Variable
    original = kind._initialize_with_initializer
    if hasattr(original, "of_keras_recres"):
        return

    def initialize(self, initializer):
        waiting = getattr(_creation, "waiting", None)
        if waiting is None:
            return original(self, initializer)
        # As Keras leaves a variable that is made while it traces.
        self._initialize_layout()
        self._value, self._initializer = None, initializer
        waiting.append(self)

    initialize.of_keras_recres = True
    kind._initialize_with_initializer = initialize
