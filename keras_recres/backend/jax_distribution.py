"""keras.distribution, which is JAX' alone in Keras 3.15."""

import contextlib
import os

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from keras import distribution

from keras_recres.backend import keras_private

PROCESSES = ("job_addresses", "num_processes", "process_id")
# What each takes beside the kind.
KINDS = {
    "data_parallel": ("devices", *PROCESSES),
    "model_parallel": ("devices", "layout", "model_devices", *PROCESSES),
    "tpu": PROCESSES,
}
BATCH, MODEL = "batch", "model"


def detect():
    """The kind that suits this machine and the environment."""
    several = os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1") != "1"
    return "data_parallel" if several or len(distribution.list_devices()) > 1 else "single"


@contextlib.contextmanager
def enter(
    kind,
    devices=None,
    layout=None,
    model_devices=None,
    job_addresses=None,
    num_processes=None,
    process_id=None,
):
    """Yields what `keras_recres.distribute.Devices` needs to know, with the distribution set."""
    several = os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1") != "1"
    several |= bool(job_addresses) or num_processes is not None or process_id is not None
    if several and not jax.distributed.is_initialized():
        # Must be the first thing that is done with JAX.
        distribution.initialize(job_addresses, num_processes, process_id)
    try:
        known = distribution.list_devices("tpu" if kind == "tpu" else None)
    except RuntimeError:
        known = []  # JAX knows of no such kind of device.
    missing = [d for d in devices or () if d not in known]
    if missing or not known:
        what = f"device {missing[0]!r}" if missing else "TPU"
        raise ValueError(f"there is no {what}; there are {distribution.list_devices()}.")
    devices = list(devices or known)
    if kind == "model_parallel":
        found = _model_parallel(devices, layout, model_devices or len(devices))
    else:
        found = distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    before = distribution.distribution()
    distribution.set_distribution(found)
    try:
        yield {
            "replicas": found.num_model_replicas,
            "processes": jax.process_count(),
            "process": jax.process_index(),
            "ready": _refuse_unsharded if kind == "model_parallel" else None,
            "mean": lambda number: float(np.mean(multihost_utils.process_allgather(number))),
        }
    finally:
        distribution.set_distribution(before)


def _model_parallel(devices, layout, parts):
    if not layout:
        raise ValueError(
            "'model_parallel' needs a `layout`, {regular expression of a weight's whole path: "
            "axes}; `zoo.info(name).layout` has that of a name of the zoo."
        )
    if parts < 2 or len(devices) % parts:
        raise ValueError(
            f"`model_devices`, into how many parts weights are cut, must be more than 1 and divide "
            f"the number of devices, {len(devices)}, but it is {parts}."
        )
    if not any(MODEL in axes for axes in layout.values()):
        raise ValueError(f"`layout` cuts no weight: no axis in it is {MODEL!r}.")
    mesh = distribution.DeviceMesh((len(devices) // parts, parts), (BATCH, MODEL), devices)
    keys = distribution.LayoutMap(mesh)
    for path, axes in layout.items():
        keys[path] = tuple(axes)
    return _ModelParallel(layout_map=keys, batch_dim_name=BATCH, auto_shard_dataset=False)


class _ModelParallel(distribution.ModelParallel):
    """That refuses in a sentence what cannot be cut evenly."""

    def get_variable_layout(self, variable):
        layout = super().get_variable_layout(variable)
        parts = dict(zip(self.device_mesh.axis_names, self.device_mesh.shape, strict=True))[MODEL]
        for side, axis in zip(variable.shape, layout.axes, strict=False):
            if axis == MODEL and side % parts:
                raise ValueError(
                    f"`layout` cuts {variable.path!r}, {tuple(variable.shape)}, into {parts} "
                    f"parts, which do not divide {side}."
                )
        return layout


def _refuse_unsharded(model):
    keys = keras_private.layout_map()
    unused = [key for key in keys if all(keys.get(w.path) is not keys[key] for w in model.weights)]
    if unused:
        raise ValueError(
            f"`layout` has {unused[0]!r}, which is the whole path of no weight of {model.name}; "
            f"a path there is {keras.tree.flatten(model.weights)[0].path!r}."
        )
