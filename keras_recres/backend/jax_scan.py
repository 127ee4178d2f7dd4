"""A loop over sequences on JAX that takes the gradients of kernels of all steps at once.

The gradient of `jax.lax.scan` adds to every kernel's gradient in each step, a product of a batch's
rows. Here a step's product is x K + e with a constant K and zeros e; their gradient, and x, of all
steps together give that of K in one product, in two thirds of the time (`python -m
training.benchmark cells`).
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from keras_recres.backend import keras_private
from keras_recres.backend.types import Tensor

_inside = threading.local()


def product(x: Tensor, kernel: Tensor, weight: Any) -> Tensor:
    """The product of a matrix x (rows, m) with a kernel (m, n).

    Args:
        x: Matrix.
        kernel: Matrix in x's dtype.
        weight: The variable whose value it is, or a tensor.
    """
    products = getattr(_inside, "products", None)
    place = None if products is None else products.place(weight)
    return x @ kernel if place is None else products.product(x, kernel, place)


class _Products:
    """The products of a step with constants, in order: whose they are, and what is multiplied."""

    def __init__(self, constants, added=None):
        self.places = {id(value): i for i, value in enumerate(constants)}
        self.added = None if added is None else iter(added)
        self.of, self.factors, self.sums = [], [], []

    def place(self, weight):
        with keras_private.autocast_scope(None):
            return self.places.get(id(getattr(weight, "value", weight)))

    def product(self, x, kernel, place):
        y = x @ jax.lax.stop_gradient(kernel)
        self.of.append(place)
        self.factors.append(x)
        self.sums.append(jax.ShapeDtypeStruct(y.shape, y.dtype))
        return y if self.added is None else y + next(self.added)

    @contextlib.contextmanager
    def __call__(self):
        before, _inside.products = getattr(_inside, "products", None), self
        try:
            yield
        finally:
            _inside.products = before


def scan(
    step: Callable[..., Any], carry: Any, xs: Any, constants: Sequence[Tensor]
) -> tuple[Any, Any]:
    """`carry, y = step(carry, x, constants)` over sequences, to be differentiated backwards.

    Args:
        step: Function from (carry, x, constants) to (carry, y).
        carry: Structure of tensors.
        xs: Structure of tensors (time, …).
        constants: List of tensors.
    """
    first = _Products([])

    def once(carry, xs, constants):
        first.places = _Products(constants).places
        with first():
            return step(carry, jax.tree.map(lambda x: x[0], xs), constants)

    jax.eval_shape(once, carry, xs, constants)
    length = jax.tree.leaves(xs)[0].shape[0]

    def run(carry, xs, constants, added):
        def turn(carry, x):
            products = _Products(constants, x[1])
            with products():
                carry, y = step(carry, x[0], constants)
            return carry, (y, products.factors)

        carry, (ys, factors) = jax.lax.scan(turn, carry, (xs, added))
        return (carry, ys), factors

    def zeros():
        return [jnp.zeros((length, *y.shape), y.dtype) for y in first.sums]

    # What else the step reads, such as the layer's constants, has a gradient, too.
    run, closed = jax.closure_convert(run, carry, xs, constants, zeros())

    @jax.custom_vjp
    def whole(carry, xs, constants, closed):
        return run(carry, xs, constants, zeros(), *closed)[0]

    def forward(carry, xs, constants, closed):
        given = carry, xs, constants, zeros(), *closed
        results, backward, factors = jax.vjp(run, *given, has_aux=True)
        return results, (backward, factors)

    def backward(kept, gradients):
        pull, factors = kept
        d_carry, d_xs, d_constants, d_sums, *d_closed = pull(gradients)
        for place, x, d in zip(first.of, factors, d_sums, strict=True):
            rows = x.reshape(-1, x.shape[-1]).T @ d.reshape(-1, d.shape[-1])
            d_constants[place] += rows.astype(d_constants[place].dtype)
        return d_carry, d_xs, d_constants, d_closed

    whole.defvjp(forward, backward)
    return whole(carry, xs, constants, closed)
