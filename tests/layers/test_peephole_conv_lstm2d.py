"""PeepholeConvLSTM2D against NumPy, forwards and, by hand, backwards."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from tests.gradients import computed, gradients
from tests.marks import slow_on_tensorflow

H, W, C, F, STEPS = 3, 4, 2, 2, 3
MASKS = {
    "none": None,
    "right": [[1, 1, 0], [1, 1, 1]],
    "left": [[0, 1, 1], [1, 1, 1]],
    "holes": [[1, 0, 1], [0, 1, 0]],
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def patches(x, size):
    """(batch, height, width, size · size · channels), zeros beyond the edges."""
    r = size // 2
    padded = np.pad(x, [(0, 0), (r, r), (r, r), (0, 0)])
    h, w = x.shape[1:3]
    return np.concatenate(
        [padded[:, a : a + h, b : b + w] for a in range(size) for b in range(size)], -1
    )


def patches_back(d, size, channels):
    """The gradient by x of `patches`."""
    r = size // 2
    h, w = d.shape[1:3]
    padded = np.zeros((len(d), h + 2 * r, w + 2 * r, channels))
    for i, part in enumerate(np.split(d, size * size, axis=-1)):
        a, b = divmod(i, size)
        padded[:, a : a + h, b : b + w] += part
    return padded[:, r : r + h, r : r + w]


def flat(kernel):
    return kernel.reshape(-1, kernel.shape[-1])


class Reference:
    def __init__(self, layer):
        w = {v.name: ops.convert_to_numpy(v).astype("float64") for v in layer.weights}
        self.w, self.peephole = w, w.get("peephole", np.zeros((3, 1)))
        self.sizes = len(w["kernel"]), len(w["recurrent_kernel"])

    def run(self, x, h, c, mask):
        caches, outputs, output = [], [], np.zeros_like(h)
        for t in range(x.shape[1]):
            m = np.ones((len(x), 1, 1, 1)) if mask is None else mask[:, t, None, None, None] * 1.0
            seen = patches(x[:, t], self.sizes[0]), patches(h, self.sizes[1])
            z = seen[0] @ flat(self.w["kernel"]) + seen[1] @ flat(self.w["recurrent_kernel"])
            i, f, g, o = np.split(z + self.w["bias"], 4, axis=-1)
            wi, wf, wo = self.peephole
            i, f, g = sigmoid(i + wi * c), sigmoid(f + wf * c), np.tanh(g)
            new = f * c + i * g
            o = sigmoid(o + wo * new)
            caches.append((m, seen, c, i, f, g, o, new))
            h, c = m * o * np.tanh(new) + (1 - m) * h, m * new + (1 - m) * c
            output = m * o * np.tanh(new) + (1 - m) * output
            outputs.append(output)
        return np.stack(outputs, 1), h, c, caches

    def backpropagate(self, caches, d_outputs):
        grads = {name: np.zeros_like(value) for name, value in self.w.items()}
        dh = dc = d_output = 0
        for t in reversed(range(len(caches))):
            m, seen, c, i, f, g, o, new = caches[t]
            d_output = d_output + d_outputs[:, t]
            d, keep_h, keep_c = m * (d_output + dh), (1 - m) * dh, (1 - m) * dc
            wi, wf, wo = self.peephole
            do = d * np.tanh(new) * o * (1 - o)
            d_new = m * dc + d * o * (1 - np.tanh(new) ** 2) + do * wo
            di, df = d_new * g * i * (1 - i), d_new * c * f * (1 - f)
            z = np.concatenate([di, df, d_new * i * (1 - g**2), do], -1)
            axes = tuple(range(4 - self.peephole[0].ndim))
            if "peephole" in grads:
                grads["peephole"] += [(a * b).sum(axes) for a, b in ((di, c), (df, c), (do, new))]
            for name, part in zip(("kernel", "recurrent_kernel"), seen, strict=True):
                grads[name] += np.einsum("bhwi,bhwo->io", part, z).reshape(grads[name].shape)
            grads["bias"] += z.sum((0, 1, 2))
            back = z @ flat(self.w["recurrent_kernel"]).T
            dh = patches_back(back, self.sizes[1], F) + keep_h
            dc = d_new * f + di * wi + df * wf + keep_c
            d_output = (1 - m) * d_output
        return grads


@pytest.mark.parametrize(
    "peephole",
    ["channel", *(pytest.param(kind, marks=slow_on_tensorflow) for kind in ("map", None))],
)
def test_outputs_states_and_gradients_are_those_of_the_equations(peephole):
    rng = np.random.default_rng(0)
    layer = layers.PeepholeConvLSTM2D(
        F, 3, peephole, recurrent_kernel_size=1, return_sequences=True, return_state=True
    )
    x = rng.normal(size=(2, STEPS, H, W, C)).astype("float32")
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(0.5 * rng.normal(size=weight.shape))
    reference = Reference(layer)
    first = [rng.normal(size=(2, H, W, F)).astype("float32") for _ in range(2)]
    for mask in MASKS.values():
        mask = None if mask is None else np.array(mask, bool)
        for states in (first, None):
            h, c = states or [np.zeros((2, H, W, F))] * 2
            *want, caches = reference.run(x.astype("float64"), h, c, mask)
            found = computed(layer, x, mask=mask, initial_state=states)
            for got, wanted in zip(found, want, strict=True):
                np.testing.assert_allclose(got, wanted, atol=1e-5)
    mask = np.array(MASKS["holes"], bool)
    _, grads = gradients(
        lambda x: layer(x, initial_state=first, mask=mask)[0], layer.trainable_variables, x
    )
    outputs, _, _, caches = reference.run(x.astype("float64"), *first, mask)
    c = np.cos(np.arange(outputs.size)).reshape(outputs.shape)
    wanted = reference.backpropagate(caches, c)
    for variable, grad in zip(layer.trainable_variables, grads, strict=False):
        np.testing.assert_allclose(grad, wanted[variable.name], atol=1e-4)


def test_without_a_peephole_it_is_that_of_keras_and_without_channels_it_has_no_kernel():
    x = np.random.default_rng(0).normal(size=(2, STEPS, H, W, C)).astype("float32")
    theirs = keras.layers.ConvLSTM2D(F, 3, padding="same")
    want = computed(theirs, x)
    ours = layers.PeepholeConvLSTM2D(F, 3, None)
    ours.build(x.shape)
    assert [w.name for w in ours.weights] == ["kernel", "recurrent_kernel", "bias"]
    ours.set_weights(theirs.get_weights()[:3])
    np.testing.assert_allclose(computed(ours, x), want, atol=1e-5)
    alone = layers.PeepholeConvLSTM2D(F, 3)
    alone.build((None, STEPS, H, W, 0))
    assert alone.count_params() == 4 * (9 * F * F + F) + 3 * F
    with_kernel = layers.PeepholeConvLSTM2D(F, 3)
    with_kernel.build(x.shape)
    with_kernel.set_weights([np.zeros((3, 3, C, 4 * F)), *alone.get_weights()])
    states = [np.full((2, H, W, F), value, "float32") for value in (0.3, -0.5)]
    np.testing.assert_allclose(
        computed(alone, x[..., :0], initial_state=states),
        computed(with_kernel, x, initial_state=states),
        atol=1e-6,
    )
