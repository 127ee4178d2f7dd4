"""Keras' `fit()` in several PyTorch processes, each with its part of every batch."""

import contextlib
import os

import keras
import torch
import torch.distributed as dist

from keras_recres.backend import keras_private

# What each takes beside the kind.
KINDS = {"data_parallel": ()}


def detect():
    """The kind that suits the environment."""
    return "data_parallel" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "single"


@contextlib.contextmanager
def enter(kind):
    """Yields what `keras_recres.distribute.Devices` needs to know, in the processes' group."""
    if "WORLD_SIZE" not in os.environ:
        raise ValueError(
            f"{kind!r} on PyTorch needs several processes: start the program with "
            "`torchrun --nproc-per-node N`."
        )
    own = not dist.is_initialized()
    if own:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield {
            "replicas": dist.get_world_size(),
            "processes": dist.get_world_size(),
            "process": dist.get_rank(),
            "ready": _prepare,
            "mean": _mean_number,
        }
    finally:
        if own:
            dist.destroy_process_group()


def _prepare(model):
    """Gives every process the first one's weights, and every step the mean of all gradients.

    torch.nn.parallel.DistributedDataParallel does not fit: `fit()` calls the Keras model itself.
    """
    batch_norm = keras.layers.BatchNormalization
    found = [
        layer.name for layer in keras_private.sublayers(model) if isinstance(layer, batch_norm)
    ]
    if found:
        raise ValueError(
            f"{model.name} has batch normalization ({found[0]}), whose statistics PyTorch's "
            "processes do not share under Keras: use TensorFlow or JAX, or one process."
        )
    with torch.no_grad():
        for weight in model.weights:
            dist.broadcast(weight.value.data, 0)
    metrics = model.get_metrics_result

    def mean_metrics():
        return keras.tree.map_structure(_mean_number, metrics())

    model.get_metrics_result = mean_metrics
    for weight in model.trainable_weights:
        weight.value.register_post_accumulate_grad_hook(_mean_gradient)


def _mean_gradient(weight):
    weight.grad = _mean(weight.grad)


def _mean_number(value):
    # Where the weights are: nccl sums nothing on a processor.
    return float(
        _mean(torch.as_tensor(value, dtype=torch.float32, device=keras_private.torch_device()))
    )


def _mean(x):
    x = x.detach().clone()
    dist.all_reduce(x)
    return x / dist.get_world_size()
