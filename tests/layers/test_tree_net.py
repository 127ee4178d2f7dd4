"""TreeNet against recursion by hand, trees and their drawing."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from keras_recres.layers import tree
from tests.gradients import JIT, computed, gradients
from tests.marks import slow_on_tensorflow

D = 3
SIZES = (1, 2, 5, 3)


def made(tensor=False, activation="tanh"):
    rng = np.random.default_rng(1)
    net = layers.TreeNet(D, tensor=tensor, activation=activation)
    net.build((None, 5, D))
    for weight in net.weights:
        weight.assign(0.5 * rng.normal(size=weight.shape))
    return net


class Reference:
    """A tree's nodes, and backpropagation through its structure, in float64."""

    def __init__(self, net, leaves, merges):
        w = {v.name: ops.convert_to_numpy(v).astype("float64") for v in net.weights}
        self.w, self.v = w, w.get("tensor", np.zeros((2 * D, 2 * D, D)))
        self.merges, self.nodes = merges, list(leaves.astype("float64"))
        for left, right in merges:
            z = np.concatenate([self.nodes[left], self.nodes[right]])
            quadratic = np.einsum("i,ijk,j->k", z, self.v, z)
            self.nodes.append(np.tanh(quadratic + z @ w["kernel"] + w["bias"]))

    def backwards(self, d_nodes):
        grads = {name: np.zeros_like(value) for name, value in self.w.items()}
        d, leaves = [row.copy() for row in d_nodes], len(self.merges) + 1
        for j in reversed(range(len(self.merges))):
            left, right = self.merges[j]
            z = np.concatenate([self.nodes[left], self.nodes[right]])
            e = d[leaves + j] * (1 - self.nodes[leaves + j] ** 2)
            grads["kernel"] += np.outer(z, e)
            grads["bias"] += e
            if "tensor" in grads:
                grads["tensor"] += z[:, None, None] * z[None, :, None] * e
            d_z = self.w["kernel"] @ e + (self.v + self.v.transpose(1, 0, 2)) @ e @ z
            d[left] += d_z[:D]
            d[right] += d_z[D:]
        return grads, np.array(d[:leaves])


def nodes_of(row, size, leaves):
    """The places of a tree's own nodes among those of its batch."""
    return [*range(size), *range(leaves, leaves + size - 1)]


@pytest.mark.parametrize(
    ("tensor", "leaves"), [(False, 5), pytest.param(True, 9, marks=slow_on_tensorflow)]
)
def test_nodes_and_gradients_of_a_batch_of_trees_of_different_sizes(tensor, leaves):
    net, rng = made(tensor), np.random.default_rng(0)
    trees = [tree.balanced(size) if size % 2 else tree.left_branching(size) for size in SIZES]
    trees[3] = np.array([[2, 1], [0, 3]])  # Not in the order of the leaves.
    merges, valid = tree.batch(trees, leaves)
    x = rng.normal(size=(len(SIZES), leaves, D)).astype("float32")
    # Where it is compiled, the larger one is a loop in the graph.
    nodes, grads = gradients(
        lambda x: net((x, merges, valid)), net.trainable_variables, x, jit=tensor and JIT[-1]
    )
    c = np.cos(np.arange(nodes.size)).reshape(nodes.shape)
    wanted, dx = {v.name: 0 for v in net.weights}, np.zeros(x.shape)
    for row, (own, size) in enumerate(zip(trees, SIZES, strict=True)):
        reference, places = Reference(net, x[row, :size], own), nodes_of(row, size, leaves)
        np.testing.assert_allclose(nodes[row, places], reference.nodes, atol=1e-5)
        root = reference.nodes[-1]
        np.testing.assert_allclose(nodes[row, -1], root, atol=1e-5, err_msg="the root is last")
        # Padding repeats the root, and padded leaves are what they are.
        d = c[row].copy()
        d[places[-1]] += sum(d[j] for j in range(leaves + size - 1, 2 * leaves - 1))
        of_weights, of_leaves = reference.backwards(d[places])
        for name, grad in of_weights.items():
            wanted[name] = wanted[name] + grad
        dx[row] = c[row, :leaves]
        dx[row, :size] = of_leaves
    for variable, grad in zip(net.trainable_variables, grads, strict=False):
        np.testing.assert_allclose(grad, wanted[variable.name], atol=1e-4)
    np.testing.assert_allclose(grads[-1], dx, atol=1e-4)
    mask = ops.convert_to_numpy(net.compute_mask((x, merges, valid)))
    for row, size in enumerate(SIZES):
        np.testing.assert_array_equal(np.flatnonzero(mask[row]), nodes_of(row, size, leaves))


def test_on_a_left_branching_tree_it_is_a_simple_rnn():
    net, x = made(), np.random.default_rng(0).normal(size=(2, 6, D)).astype("float32")
    cell = keras.layers.SimpleRNNCell(D)
    cell.build((None, D))
    kernel, bias = net.get_weights()
    cell.set_weights([kernel[D:], kernel[:D], bias])
    rnn = layers.Recurrent(cell, return_sequences=True)
    want = computed(rnn, x[:, 1:], initial_state=[x[:, 0]])
    merges, valid = tree.batch([tree.left_branching(6)] * 2)
    nodes = computed(lambda x: net((x, merges, valid)), x)
    np.testing.assert_allclose(nodes[:, 6:], want, atol=1e-5)
    # Leaves alone are merged so, and their mask leaves padding out.
    np.testing.assert_allclose(computed(net, x), nodes, atol=1e-6)
    mask = np.array([[1, 1, 1, 0, 0, 0], [1] * 6], bool)
    masked = computed(net, x, mask=mask)
    np.testing.assert_allclose(masked[:, -1], [nodes[0, 7], nodes[1, -1]], atol=1e-6)


@pytest.mark.neutral
def test_counts():
    for tensor, count in ((False, 2 * 900 + 30), (True, 4 * 27000 + 2 * 900 + 30)):
        net = layers.TreeNet(30, tensor=tensor)
        net.build((None, 5, 30))
        assert net.count_params() == count


@pytest.mark.neutral
@pytest.mark.parametrize("leaves", [1, 2, 3, 7, 8, 33])
def test_trees_have_every_leaf_once_and_the_depths_that_are_said(leaves):
    for make, deepest in (
        (tree.left_branching, leaves - 1),
        (tree.balanced, int(np.ceil(np.log2(leaves)))),
    ):
        merges = make(leaves)
        tree.check(merges)
        depth = np.zeros(2 * leaves - 1, int)
        for j, pair in enumerate(merges):
            depth[leaves + j] = 1 + depth[pair].max()
        assert depth[-1] == depth.max() == deepest
        spans = [[i] for i in range(leaves)]
        for left, right in merges:
            spans.append(spans[left] + spans[right])
        assert spans[-1] == list(range(leaves)), "neighbours are merged, in their order"


@pytest.mark.neutral
def test_wrong_trees_are_refused_in_one_sentence():
    net, x = made(), np.ones((1, 3, D), "float32")
    forward, twice = np.array([[0, 4], [3, 2]]), np.array([[0, 1], [0, 2]])
    for call in (
        lambda: net((x, forward[None], np.ones((1, 2), bool))),
        lambda: tree.batch([forward]),
        lambda: tree.plot(forward),
    ):
        with pytest.raises(ValueError, match=r"Merge 0 .* 3 leaves .* 0 to 2, .* side 1 is 4\."):
            call()
    for merges, valid in ((forward[None, :1], [[True]]), (forward[None], [[True] * 3])):
        with pytest.raises(ValueError, match=r"\(leaves, merges, valid\) of the shapes .* \(1, "):
            net((x, merges, np.array(valid)))
    with pytest.raises(ValueError, match=r"mask .* \(1, 3\), .* \(1, 4\)\."):
        net(x, mask=np.ones((1, 4), bool))
    with pytest.raises(ValueError, match="node 0 has 2"):
        tree.batch([twice])
    with pytest.raises(ValueError, match=r"`leaves` is 2, .* has 3"):
        tree.batch([tree.balanced(3)], leaves=2)
    with pytest.raises(ValueError, match="empty"):
        tree.batch([])
    with pytest.raises(ValueError, match=r"\(leaves, merges, valid\) .* \(1, 3, 2\)"):
        made().build([(1, 3, D), (1, 3, 2), (1, 3)])


@pytest.mark.neutral
def test_a_tree_is_drawn_with_the_values_of_its_nodes(tmp_path):
    values, merges = np.linspace(-1, 1, 5 * D).reshape(5, D), tree.balanced(3)
    path = tmp_path / "tree.svg"
    assert tree.plot(merges, values, ["the", "red", "fox"], to_file=path) == path
    drawn = path.read_text()
    assert "<image" in drawn
    assert "<!-- fox -->" in drawn
    assert "<!-- 4 -->" in drawn
    with pytest.raises(ValueError, match=r"5 nodes, .* 4"):
        tree.plot(merges, values[:4])
    with pytest.raises(ValueError, match=r"3 or 5, .* 2"):
        tree.plot(merges, labels=["a", "b"])
