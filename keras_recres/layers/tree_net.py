"""TreeNet: one layer that merges the nodes of a tree."""

from typing import Any

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend.types import Activation, Data, Initializer, Shape, Shapes, Tensor
from keras_recres.layers import tree
from keras_recres.layers.checks import check_count, check_switch, takes_numpy
from keras_recres.layers.time_loop import form_of_loop


@keras.saving.register_keras_serializable(package="keras_recres")
class TreeNet(keras.layers.Layer):
    """A recursive network: a parent is made of its two children, by the same layer everywhere.

    p = tanh(W [b; c] + bias), and with `tensor` p = tanh([b; c]ᵀ V [b; c] + W [b; c] + bias)

    (Socher et al. 2011 and 2013; no arXiv number). On a left-branching tree, `tree.left_branching`,
    it is a recurrent network, whose x goes through c's half of W; on `tree.balanced` the way from
    a leaf to the root has log2(leaves) steps.

    Example:
    >>> tree = keras_recres.layers.tree
    >>> merges, valid = tree.batch([tree.left_branching(3), tree.balanced(5)])
    >>> net = keras_recres.layers.TreeNet(8)
    >>> nodes = net((keras.ops.ones((2, 5, 8)), merges, valid))
    >>> nodes.shape  # Five leaves and four merges; the last is the root of either tree.
    (2, 9, 8)
    >>> net.count_params()
    136

    Args:
        units: Integer ≥ 1, d, features of every node.
        tensor: Whether children multiply one another, with V (2d, 2d, d).
        activation: What stands for tanh.
        use_bias: Whether there is a bias.
        kernel_initializer: Keras initializer of W, (2d, d), and of V.
        bias_initializer: Keras initializer of the bias.

    Call arguments:
        inputs: (leaves, merges, valid), as `tree.batch` makes the last two; a smaller tree has its
            leaves first. Leaves alone are merged from the left.
        mask: Boolean (batch, leaves), or None where `valid` says all; of leaves alone it says
            which are padding, on the right.

    Input shape: (batch, leaves, units), with a known number of leaves, and for the others
        (batch, leaves − 1, 2) and (batch, leaves − 1). The j-th merge makes node leaves + j of two
        nodes before it.

    Output shape: (batch, 2 · leaves − 1, units), the nodes: leaves, then merges. What is not valid
        repeats the node made before it, so that the last node is the root of every tree. The
        nodes' mask tells those that a tree has.

    Raises:
        ValueError: If an argument is out of its range, the shapes do not fit, or a merge refers to
            a node that is not made before it.
    """

    @takes_numpy
    def __init__(
        self,
        units: int,
        tensor: bool = False,
        activation: Activation = "tanh",
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("units", units)
        check_switch("tensor", tensor)
        check_switch("use_bias", use_bias)
        self.units = units
        self.tensor = tensor
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape: Shapes) -> None:
        self._check_shapes(*(input_shape if _is_nested(input_shape) else [input_shape]))
        d = self.units
        self.kernel = self.add_weight(
            shape=(2 * d, d), name="kernel", initializer=self.kernel_initializer
        )
        if self.tensor:
            self.tensor_kernel = self.add_weight(
                shape=(2 * d, 2 * d, d), name="tensor", initializer=self.kernel_initializer
            )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(d,), name="bias", initializer=self.bias_initializer)

    def _check_shapes(self, shape, *others, mask=None):
        """Raises a ValueError unless these are the shapes of leaves, merges and valid."""
        fits = len(shape) == 3 and shape[-1] == self.units and bool(shape[1])
        leaves = shape[1] if fits else 1
        wanted = [(leaves - 1, 2), (leaves - 1,)]
        if not fits or (others and not all(map(_fits, others, wanted))) or len(others) == 1:
            raise ValueError(
                f"The input of {self.name!r} must be (leaves, merges, valid) of the shapes (batch, "
                f"leaves, `units` = {self.units}), (batch, leaves − 1, 2) and (batch, leaves − 1), "
                f"but the shapes are {[tuple(shape), *map(tuple, others)]}."
            )
        if mask is not None and not _fits(mask, (leaves,)):
            raise ValueError(
                f"The mask of {self.name!r} must have the shape (batch, leaves) of its leaves, "
                f"{tuple(shape[:2])}, but it has the shape {tuple(mask)}."
            )

    def merge(self, children: Tensor) -> Tensor:
        """The parents (batch, units) of pairs of children (batch, 2, units)."""
        d = self.units
        pair = ops.reshape(children, (-1, 2 * d))
        total = ops.matmul(pair, self.kernel)
        if self.tensor:
            flat = ops.reshape(self.tensor_kernel, (2 * d, 2 * d * d))
            products = ops.reshape(ops.matmul(pair, flat), (-1, 2 * d, d))
            total = total + ops.sum(pair[:, :, None] * products, axis=1)
        return self.activation(total if self.bias is None else total + self.bias)

    def call(
        self, inputs: Data, mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        parts = inputs if isinstance(inputs, list | tuple) else [inputs]
        of_leaves = mask[0] if isinstance(mask, list | tuple) else mask
        self._check_shapes(
            *(part.shape for part in parts), mask=None if of_leaves is None else of_leaves.shape
        )
        if len(parts) == 1:
            parts = self._from_the_left(parts[0], of_leaves)
        leaves, merges, valid = parts
        if not backend.is_traced(merges):
            tree.check(ops.convert_to_numpy(merges), ops.convert_to_numpy(valid))
        leaves = ops.cast(leaves, self.compute_dtype)
        merges, valid = ops.cast(merges, "int32"), ops.cast(valid, "bool")
        count = leaves.shape[1]
        if count == 1:
            return leaves
        # The nodes so far, zeros for those to come, so that the loop's state keeps its shape.
        nodes = ops.pad(leaves, [(0, 0), (0, count - 1), (0, 0)])

        def step(carry, x):
            nodes, last = carry
            j, pair, there = x
            made = self.merge(ops.take_along_axis(nodes, pair[:, :, None], axis=1))
            last = ops.where(there[:, None], made, last)
            place = ops.cast(ops.arange(2 * count - 1) == j, "bool")[None, :, None]
            return [ops.where(place, last[:, None], nodes), last], {}

        xs = [
            ops.arange(count, 2 * count - 1),
            ops.transpose(merges, (1, 0, 2)),
            ops.transpose(valid, (1, 0)),
        ]
        # A tree of one leaf has it for its root.
        carry = [nodes, leaves[:, 0]]
        if form_of_loop("auto", count - 1, leaves) == "scan":
            carry, _ = backend.scan_sequence(step, carry, xs, {})
        else:
            for x in zip(*map(ops.unstack, xs), strict=True):
                carry, _ = step(carry, x)
        return carry[0]

    def _from_the_left(self, leaves, mask):
        batch, merges = ops.shape(leaves)[0], tree.left_branching(leaves.shape[1])
        merges = ops.broadcast_to(ops.convert_to_tensor(merges), (batch, *merges.shape))
        valid = ops.ones_like(merges[..., 0], dtype="bool") if mask is None else mask[:, 1:]
        return leaves, merges, valid

    def compute_mask(self, inputs: Data, mask: Tensor | None = None) -> Tensor | None:
        if not isinstance(inputs, list | tuple):
            if mask is None:
                return None
            inputs = self._from_the_left(inputs, mask)
        leaves, _, valid = inputs
        valid = ops.cast(valid, "bool")
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        if mask is None:
            sizes = 1 + ops.sum(ops.cast(valid, "int32"), axis=1, keepdims=True)
            # Not by an operator, which TensorFlow's tensors refuse to a symbolic one.
            mask = ops.less(ops.arange(leaves.shape[1])[None], sizes)
        return ops.concatenate([ops.cast(mask, "bool"), valid], axis=1)

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        shape = tuple(input_shape[0] if _is_nested(input_shape) else input_shape)
        return (shape[0], None if shape[1] is None else 2 * shape[1] - 1, shape[2])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "tensor": self.tensor,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def _is_nested(shape):
    return isinstance(shape[0], list | tuple)


def _fits(shape, wanted):
    """Whether a shape is (batch, *wanted), as far as it is known."""
    return len(shape) == len(wanted) + 1 and all(
        size in (None, want) for size, want in zip(shape[1:], wanted, strict=True)
    )
