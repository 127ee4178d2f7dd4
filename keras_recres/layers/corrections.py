"""Per-step corrections of shared kernels: W_t = W + A_t B_t, in the space of the weights."""

import dataclasses
import fnmatch
import math

import numpy as np
from keras import ops

from keras_recres.backend.keras_private import sublayers


@dataclasses.dataclass(frozen=True)
class Correction:
    """A weight of a branch of which every step has its own low-rank change.

    Attributes:
        variable: The weight W that the steps share.
        axes: An order of its axes in which those of the matrix' rows come first.
        rows, columns: Sizes m and n of the matrix.
        a, b: The factors, variables of shapes (steps, m, rank) and (steps, rank, n).
    """

    variable: object
    axes: tuple
    rows: int
    columns: int
    a: object = None
    b: object = None

    def change(self, a, b):
        """A_t B_t in the shape of the weight."""
        shape = [self.variable.shape[axis] for axis in self.axes]
        return ops.transpose(ops.reshape(ops.matmul(a, b), shape), np.argsort(self.axes).tolist())

    def matrix(self, values):
        """A NumPy array of the weight's shape as a float64 matrix of m rows and n columns."""
        values = np.asarray(values, "float64").transpose(self.axes)
        return values.reshape(self.rows, self.columns)

    def values(self, matrix):
        """The opposite of `matrix`."""
        shape = [self.variable.shape[axis] for axis in self.axes]
        return matrix.reshape(shape).transpose(np.argsort(self.axes))


def owners(branch):
    """{id of a weight: the innermost layer of a branch that has it}."""
    return {id(w): part for part in sublayers(branch) for w in part.weights}


def name_of(weight, owners):
    """What patterns are compared with: "conv1/kernel"."""
    return f"{owners[id(weight)].name}/{weight.name}"


def matrix_of(weight, layer):
    """A `Correction` without factors: how a weight of a layer is a matrix.

    Rows are the axes that the layer sums over: all but the last, or those that the equation of an
    EinsumDense has not in its output.
    """
    axes, rows = tuple(range(len(weight.shape))), len(weight.shape) - 1
    equation = getattr(layer, "equation", None)
    if equation and weight.name == "kernel":
        inputs, output = equation.replace(" ", "").split("->")
        letters = inputs.split(",")[1]
        axes = tuple(sorted(axes, key=lambda axis: letters[axis] in output))
        rows = sum(letter not in output for letter in letters)
    sizes = [weight.shape[axis] for axis in axes]
    return Correction(weight, axes, math.prod(sizes[:rows]), math.prod(sizes[rows:]))


def pays(rank, steps, rows, columns):
    """Whether factors are fewer numbers than a weight of every step's own."""
    return steps * rank * (rows + columns) < (steps - 1) * rows * columns


def ranks(layer):
    """What `corrections` of a RecurrentResidual whose branch is built mean.

    Returns:
        {id of a weight: rank or "exact"} for those with some, the first pattern counting.

    Raises:
        ValueError: For a pattern that no weight has.
    """
    found, known = {}, owners(layer.branch)
    names = {id(w): name_of(w, known) for w in layer.branch.weights}
    for pattern, rank in (layer.corrections or {}).items():
        hits = [key for key, name in names.items() if fnmatch.fnmatchcase(name, pattern)]
        if not hits:
            raise ValueError(
                f"`corrections` pattern {pattern!r} matches no weight of {layer.branch.name!r}, "
                f"whose weights are {[*names.values()]}."
            )
        found = {**{key: rank for key in hits}, **found}
    return {key: rank for key, rank in found.items() if rank}


def add_factors(layer, weight, rank):
    """The `Correction` of a weight, with new variables of a RecurrentResidual as its factors."""
    owner = owners(layer.branch)[id(weight)]
    correction = matrix_of(weight, owner)
    name = f"{owner.name}_{weight.name}"

    def factor(letter, shape, initializer):
        return layer.add_weight(
            shape=(layer.steps, *shape),
            initializer=initializer,
            dtype=weight.dtype,
            trainable=weight.trainable,
            name=f"{name}_{letter}",
        )

    return dataclasses.replace(
        correction,
        # As adapters of low rank begin: the product is zero, and its gradient is not.
        a=factor("a", (correction.rows, rank), "he_uniform"),
        b=factor("b", (rank, correction.columns), "zeros"),
    )


def weights_at(layer, step):
    """Tensors of the weights of a RecurrentResidual's branch as one of its steps has them."""
    own = {id(v[0]): v[step] for v in layer.own_per_step}
    changed = {id(c.variable): c for c in layer.own_corrections}
    values = []
    for weight in layer.branch.weights:
        value = ops.convert_to_tensor(own.get(id(weight), weight))
        if id(weight) in changed:
            correction = changed[id(weight)]
            a, b = (ops.convert_to_tensor(v)[step] for v in (correction.a, correction.b))
            value = value + correction.change(a, b)
        values.append(value)
    return values
