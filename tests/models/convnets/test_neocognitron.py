"""The neocognitron: the law of its cells, and what they learn without a teacher."""

import keras
import numpy as np
import pytest

from keras_recres import layers, models
from tests.marks import slow_on_tensorflow

computed = keras.ops.convert_to_numpy


def test_cells_follow_their_equations():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(1, 3, 3, 2))
    s = layers.SCell(3, 3, selectivity=1.5)
    s.build(x.shape)
    a, b = rng.uniform(size=(3, 3, 2, 3)), rng.uniform(size=3)
    s.set_weights([a, b])
    c = np.array([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]) / 4
    seen = np.sqrt((c[..., None] * x[0] ** 2).sum())
    excited = (a * x[0, ..., None]).sum((0, 1, 2))
    wanted = 1.5 * np.maximum((1 + excited) / (1 + 3 / 2.5 * b * seen) - 1, 0)
    np.testing.assert_allclose(computed(s(x))[0, 0, 0], wanted, rtol=1e-5)
    y = rng.uniform(size=(1, 3, 3, 4))
    d = np.array([[0.01, 0.1, 0.01], [0.1, 1, 0.1], [0.01, 0.1, 0.01]]) / 1.44
    excited = 16 * (d[..., None] * y[0]).sum((0, 1))
    answer = np.maximum((1 + excited) / (1 + excited.mean()) - 1, 0)
    for cell in (layers.CCell(3), layers.CCell(None)):
        np.testing.assert_allclose(
            computed(cell(y))[0, 0, 0], answer / (0.5 + answer), rtol=1e-4, atol=1e-6
        )


def test_a_plane_that_has_learnt_answers_to_its_feature_alone():
    layer = layers.SCell(2, 5, selectivity=1.5, rate=1e4)
    lines = np.zeros((2, 5, 5, 1), "float32")
    lines[0, :, 2], lines[1, 2] = 1, 1
    layer(lines)
    layer.learn(lines)
    answers = computed(layer(lines))[:, 0, 0]
    first = answers[0].argmax()
    # At a large rate the answer to the feature itself is 1, and none below a cosine of r / (1 + r).
    np.testing.assert_allclose(answers, np.eye(2)[[first, 1 - first]], atol=1e-2)


DIGITS = """
.####. ..#... .####. .####. ....#.
#....# ..#... #....# #....# ...##.
#....# ..#... .....# .....# ..#.#.
#....# ..#... ....#. ..###. .#..#.
#....# ..#... ...#.. .....# ######
#....# ..#... ..#... .....# ....#.
#....# ..#... .#.... #....# ....#.
.####. ..#... ###### .####. ....#.
"""


def digits():
    """0 to 4 in the middle of 16 x 16 pixels."""
    rows = np.array([[*row.replace(" ", "")] for row in DIGITS.split("\n")[1:-1]])
    images = np.zeros((5, 16, 16, 1), "float32")
    images[:, 4:12, 5:11, 0] = np.moveaxis((rows == "#").reshape(8, 5, 6), 1, 0)
    return images


@pytest.fixture(scope="module")
def organized():
    model = models.neocognitron()
    models.self_organize(model, digits(), presentations=5)
    return model


@slow_on_tensorflow
def test_each_digit_makes_one_cell_answer_and_no_other(organized):
    answers = computed(organized(digits()))
    winners = answers.argmax(-1)
    assert len({*winners}) == 5
    assert answers.max(-1).min() > 0.5
    assert (answers > 0.05).sum() == 5
    # Planes of the first stage that have learnt look for different features.
    kernels = computed(organized.get_layer("s1").excitation).reshape(25, 24).T
    learnt = kernels[np.abs(kernels).max(-1) > 0.05]
    learnt = learnt / np.linalg.norm(learnt, axis=-1, keepdims=True)
    cosines = learnt @ learnt.T - np.eye(len(learnt))
    assert len(learnt) >= 5
    assert np.median(cosines.max(-1)) < 0.95


@slow_on_tensorflow
def test_shifted_digits_have_the_same_winner(organized):
    winners = computed(organized(digits())).argmax(-1)
    for shift in ((1, 0), (0, -1), (1, 1), (-1, 1)):
        shifted = np.roll(digits(), shift, (1, 2))
        assert computed(organized(shifted)).argmax(-1).tolist() == winners.tolist()


@pytest.mark.neutral
def test_counts_and_products_are_those_of_the_sizes():
    model = models.neocognitron()
    learnt = 25 * 24 + 25 * 24 * 24 + 25 * 24 * 24
    assert model.count_params() == learnt + 3 * 24
    sides = [layer.output.shape[1] for layer in model.layers[1:-1]]
    assert sides == [16, 10, 8, 6, 2, 1]
    fixed = 25 * (16**2 + 8**2 + 2**2) + 24 * (25 * (10**2 + 6**2) + 2**2)
    wanted = 16**2 * 600 + (8**2 + 2**2) * 14400 + fixed
    assert models.multiply_adds(model).total == wanted


@pytest.mark.neutral
def test_wrong_arguments_are_one_sentence():
    for arguments, words in (
        ({"planes": 0}, "`planes` must be"),
        ({"input_shape": (14, 14, 1)}, r"`input_shape` must have sides .* it is \(14, 14, 1\)"),
    ):
        with pytest.raises(ValueError, match=words):
            models.neocognitron(**arguments)
    with pytest.raises(ValueError, match="`model` must have a layer of SCell, but 'plain' has non"):
        models.self_organize(keras.Sequential([keras.Input((16, 16, 1))], name="plain"), digits())
    with pytest.raises(ValueError, match="must be built before it learns"):
        layers.SCell(2).learn(digits())
