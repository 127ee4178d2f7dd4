"""tf.distribute under Keras' `fit()`."""

import contextlib
import functools
import json
import os

import keras
import tensorflow as tf

from keras_recres.backend import keras_private

# What each takes beside the kind.
KINDS = {"mirrored": ("devices",), "multi_worker": (), "tpu": ("resolver",)}


def detect():
    """The kind that suits this machine and the environment."""
    if len(_workers()) > 1:
        return "multi_worker"
    if os.environ.get("TPU_NAME") or tf.config.list_logical_devices("TPU"):
        return "tpu"
    return "mirrored" if len(tf.config.list_logical_devices("GPU")) > 1 else "single"


@contextlib.contextmanager
def enter(kind, devices=None, resolver=None):
    """Yields what `keras_recres.distribute.Devices` needs to know, inside the strategy's scope."""
    strategy = {
        "mirrored": lambda: _mirrored(devices),
        "multi_worker": _multi_worker,
        "tpu": lambda: _tpu(resolver),
    }[kind]()
    several = kind == "multi_worker"
    process = 0
    if several:
        process = _process()
    with strategy.scope(), _repaired() if several else contextlib.nullcontext():
        yield {
            "replicas": strategy.num_replicas_in_sync,
            "processes": len(_workers()) if several else 1,
            "process": process,
            "ready": _prepare,
            "shards": False,
            "mean": lambda number: _mean(strategy, number),
        }


def _config():
    try:
        return json.loads(os.environ.get("TF_CONFIG") or "{}")
    except ValueError as error:
        raise ValueError(f"the environment's TF_CONFIG is not JSON: {error}.") from None


def _workers():
    cluster = _config().get("cluster", {})
    return cluster.get("chief", []) + cluster.get("worker", [])


def _process():
    """This one's number among `_workers`, of which a chief is the first."""
    config = _config()
    task, chiefs = config["task"], config["cluster"].get("chief", [])
    return int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)


def _mirrored(devices):
    known = [d.name.removeprefix("/device:") for d in tf.config.list_logical_devices()]
    missing = [d for d in devices or () if d.upper() not in known]
    if missing:
        raise ValueError(f"there is no device {missing[0]!r}; there are {', '.join(known)}.")
    return _one_mirrored(devices and tuple(d.upper() for d in devices))


@functools.cache
def _one_mirrored(devices):
    """One strategy for the same devices: a second one's sums meet the first's (TensorFlow 2.21)."""
    return tf.distribute.MirroredStrategy(devices and [*devices])


def _multi_worker():
    if len(_workers()) < 2:
        raise ValueError(
            "'multi_worker' needs the environment's TF_CONFIG to name two or more workers, "
            '{"cluster": {"worker": ["host1:port", "host2:port"]}, '
            '"task": {"type": "worker", "index": 0}}.'
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(resolver):
    try:
        found = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=resolver or "")
        tf.config.experimental_connect_to_cluster(found)
        tf.tpu.experimental.initialize_tpu_system(found)
    except (ValueError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"there is no TPU here: {str(error).splitlines()[0]}") from error
    return tf.distribute.TPUStrategy(found)


def _mean(strategy, number):
    """The mean of a number over the replicas of all processes."""
    everywhere = strategy.run(lambda: tf.constant(number))
    return float(strategy.reduce("MEAN", everywhere, axis=None))


def _prepare(model):
    for layer in keras_private.sublayers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _repaired():
    """What keeps Keras' (3.15) `fit()` from running with several workers, put right meanwhile.

    It takes the mean over replicas of a batch that it only needs for its shapes, in a way that
    fails on what the other workers hold, and that of scalar logs along an axis.
    """

    def reduce_per_replica(original, values, strategy, reduction):
        if reduction not in ("auto", "mean"):
            return original(values, strategy, reduction)
        return tf.nest.map_structure(lambda v: strategy.reduce("MEAN", v, axis=None), values)

    def first_batch(trainer, iterator, batch):
        if iterator is not None:
            batch = next(next(iter(iterator))[2])
        local = trainer.distribute_strategy.experimental_local_results
        return tf.nest.map_structure(lambda x: local(x)[0], batch)

    return keras_private.tensorflow_trainer(reduce_per_replica, first_batch)
