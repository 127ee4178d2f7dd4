"""Outputs and gradients by the backend in use, for tests that compare them."""

import keras
import numpy as np
from keras import ops

# Ways to run a function that differ: JAX is slow to compile each operation of an eager call, and
# PyTorch does not compile.
JIT = {"tensorflow": [False, True], "jax": [True], "torch": [False]}[keras.backend.backend()]


def computed(layer, x, **call):
    """What a layer or model gives in inference, as NumPy arrays: eagerly, on JAX compiled as one.

    What the call would assign is lost on JAX.
    """
    if keras.backend.backend() == "jax":
        import jax

        if not getattr(layer, "built", True):
            layer.build(x.shape)

        def run(x):
            with keras.StatelessScope():
                return layer(x, **call)

        return keras.tree.map_structure(np.asarray, jax.jit(run)(x))
    return keras.tree.map_structure(ops.convert_to_numpy, layer(x, **call))


def gradients(function, variables, x, jit=False):
    """Value of sum(c · function(x)), with fixed c, and its gradients by the variables and by x.

    Args:
        function: From a tensor to a tensor.
        variables: Keras variables.
        x: NumPy array.
        jit: Whether TensorFlow compiles; JAX always does, and PyTorch never.

    Returns:
        The function's output and the list of gradients, as NumPy arrays; zero where the
        backend finds no path.
    """

    def loss(outputs):
        c = np.cos(np.arange(np.prod(outputs.shape))).reshape(outputs.shape)
        return ops.sum(outputs * ops.convert_to_tensor(c, dtype=outputs.dtype))

    backend = keras.backend.backend()
    x = ops.convert_to_tensor(x)
    if backend == "tensorflow":
        import tensorflow as tf

        def run(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = function(x)
                value = loss(outputs)
            sources = [v.value for v in variables] + [x]
            return outputs, tape.gradient(value, sources)

        outputs, grads = tf.function(run, jit_compile=True)(x) if jit else run(x)
    elif backend == "jax":
        import jax

        def run(values, x):
            with keras.StatelessScope(list(zip(variables, values, strict=True))):
                outputs = function(x)
            return loss(outputs), outputs

        run = jax.value_and_grad(run, argnums=(0, 1), has_aux=True)
        (_, outputs), (by_variable, by_x) = jax.jit(run)([v.value for v in variables], x)
        grads = [*by_variable, by_x]
    else:
        import torch

        x = x.detach().clone().requires_grad_(True)
        outputs = function(x)
        sources = [v.value for v in variables] + [x]
        grads = torch.autograd.grad(loss(outputs), sources, allow_unused=True)
    to_numpy = keras.ops.convert_to_numpy
    return to_numpy(outputs), [
        np.zeros(source.shape) if grad is None else to_numpy(grad)
        for source, grad in zip([*variables, x], grads, strict=True)
    ]
