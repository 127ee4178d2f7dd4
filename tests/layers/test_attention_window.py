"""AttentionWindow against sums written out."""

import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from tests.gradients import computed

RADIUS, STEPS, FEATURES = 2, 6, 3
MASKS = {
    "none": [1] * 6,
    "right": [1, 1, 1, 1, 0, 0],
    "left": [0] * 2 + [1] * 4,
    "holes": [1, 0] * 3,
}


def by_hand(layer, x, mask):
    w = {v.name: ops.convert_to_numpy(v).astype("float64") for v in layer.weights}
    output = np.zeros(x.shape)
    for row in range(len(x)):
        h = x[row] * np.array(mask)[:, None]
        for k in range(STEPS):
            places = range(k - RADIUS, k + RADIUS + 1)
            there = [0 <= j < STEPS and bool(mask[j]) for j in places]
            near = [h[j] if t else np.zeros(FEATURES) for j, t in zip(places, there, strict=True)]
            if layer.score == "fixed":
                scores = list(w["scores"])
            elif layer.score == "dot":
                scores = [h[k] @ other for other in near]
            else:
                own = h[k] @ w["query_kernel"]
                scores = [
                    (np.tanh(own + other @ w["key_kernel"]) @ w["score_kernel"]).item()
                    for other in near
                ]
            e = np.exp(scores)
            if layer.edges == "renormalise":
                e = e * there
            total = e.sum()
            output[row, k] = sum(a * b for a, b in zip(e, near, strict=True)) / (total or 1)
    return output


@pytest.mark.parametrize("edges", ["zero", "renormalise"])
@pytest.mark.parametrize("score", ["fixed", "additive", "dot"])
def test_outputs_are_the_weighted_sums(score, edges):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, STEPS, FEATURES)).astype("float32")
    layer = layers.AttentionWindow(RADIUS, score, edges)
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    for mask in MASKS.values():
        given = {} if all(mask) else {"mask": np.array([mask] * 2, bool)}
        got = computed(layer, x, **given)
        np.testing.assert_allclose(got, by_hand(layer, x, mask), atol=1e-5)


@pytest.mark.neutral
def test_counts_and_a_mask_of_another_length():
    x = np.ones((2, STEPS, FEATURES), "float32")
    for score, count in (("fixed", 2 * RADIUS + 1), ("additive", 2 * 9 + 3), ("dot", 0)):
        layer = layers.AttentionWindow(RADIUS, score)
        layer.build(x.shape)
        assert layer.count_params() == count
    with pytest.raises(ValueError, match=r"mask .* \(2, 6\), .* \(2, 5\)"):
        layer(x, mask=np.ones((2, 5), bool))
