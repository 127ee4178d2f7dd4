"""Logits and accuracy of images, whatever their sizes."""

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.models.graph import keep_facts
from keras_recres.zoo import evaluation
from keras_recres.zoo.class_names import CLASS_NAMES


def small(classes=10, tag="cifar10_jpeg", names=None):
    """A network of the zoo to all appearances, but quicker."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.AveragePooling2D(16)(inputs)
    x = keras.layers.Dense(classes)(keras.layers.Flatten()(x))
    model, record = keras.Model(inputs, x), zoo.info("cifar_small")
    model.zoo_record, model.zoo_tag = record, tag
    model.preprocess = record.preprocessing_of(tag)
    model.class_names = names
    return model


@pytest.fixture(scope="module")
def model():
    return small(names=CLASS_NAMES["cifar10"])


def test_evaluate_is_what_keras_measures(model):
    rng = np.random.default_rng(1)
    pixels, labels = rng.integers(0, 256, (10, 32, 32, 3), dtype="uint8"), rng.integers(0, 10, 10)
    found = evaluation.evaluate(model, pixels, labels, batch_size=4)
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    x = keras.ops.convert_to_numpy(model.preprocess(pixels))
    expected = model.evaluate(x, labels, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert found["top1_percent"] == pytest.approx(100 * expected["accuracy"], rel=1e-5)
    with pytest.raises(ValueError, match="`labels` must be one integer below 10"):
        evaluation.evaluate(model, pixels, labels + 5)


@pytest.mark.neutral
def test_probabilities_are_not_logits(model):
    x = keras.ops.softmax(model.output)
    probable = keep_facts(model, keras.Model(model.input, x))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    with pytest.raises(ValueError, match="must return logits, but every row"):
        evaluation.evaluate(probable, pixels, [0, 1, 2, 3])


@pytest.mark.neutral
@pytest.mark.parametrize("none", [[], np.zeros((0, 32, 32, 3), "uint8")])
def test_no_image_has_no_logits(model, none):
    assert evaluation.logits_of(model, none).shape == (0, 10)


@pytest.mark.neutral
def test_images_of_several_sizes_go_one_by_one(model):
    rng = np.random.default_rng(2)
    shapes = [(32, 32, 3), (40, 50, 3), (32, 32, 3), (64, 33, 3)]
    pixels = [rng.integers(0, 256, shape, dtype="uint8") for shape in shapes]
    done = []
    found = evaluation.logits_of(model, pixels, batch_size=3, advance=done.append)
    alone = [evaluation.logits_of(model, [image])[0] for image in pixels]
    np.testing.assert_allclose(found, alone, atol=1e-4)
    assert done == [3, 1]


@pytest.mark.neutral
def test_softmax_and_names(model):
    p = evaluation.softmax(np.array([[1000.0, 1000.0, -1000.0]]))
    np.testing.assert_allclose(p, [[0.5, 0.5, 0.0]])
    assert evaluation.class_names_of(model)[3] == "cat"
    assert evaluation.class_names_of(small(4)) == ("0", "1", "2", "3")
    assert evaluation.class_names_of(small(2, tag=None)) == ("0", "1")


@pytest.mark.neutral
def test_predictions_are_decoded(model):
    logits = np.zeros((2, 10), "float32")
    logits[0, 3] = logits[1, 9] = np.log(9)
    logits[1, 0] = np.log(2)
    found = zoo.decode_predictions(model, keras.ops.convert_to_tensor(logits), top=2)
    assert [[(i, name) for i, name, _ in image] for image in found][1] == [
        (9, "truck"),
        (0, "airplane"),
    ]
    assert found[0][0] == (3, "cat", pytest.approx(0.5))
    assert found[1][1][2] == pytest.approx(2 / 19)
    with pytest.raises(ValueError, match=r"must have the shape \(images, 10\), but it is \(2, 4\)"):
        zoo.decode_predictions(model, logits[:, :4])
    with pytest.raises(ValueError, match="every row of its outputs is a distribution already"):
        zoo.decode_predictions(model, evaluation.softmax(logits))
    with pytest.raises(ValueError, match="`top` must be an integer of at least 1"):
        zoo.decode_predictions(model, logits, top=0)
