"""The exported models in TensorFlow's C++ loader, where there is neither Keras nor Python code."""

import numpy as np
import pytest
from keras import ops

from keras_recres import models, zoo
from tests.serve.conftest import LABELS, ROOT, SHAPE, run_python
from tests.serve.requests_of import encode, logits_of, logits_of_files

pytestmark = pytest.mark.slow
BATCHES = (1, 7, 64)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def points(batch):
    return np.random.default_rng(batch).uniform(-3, 3, (batch, 2)).astype("float32")


@pytest.fixture(scope="module")
def images(vit, pixels):
    return np.asarray(vit.preprocess(pixels))


@pytest.fixture(scope="module")
def files(pixels):
    """64 files: PNG of the network's size, others of other sizes, colours and kinds."""
    generator = np.random.default_rng(11)
    found = [encode(image) for image in pixels[:30]]
    found += [encode(generator.integers(0, 256, (48, 70, 3), dtype="uint8")) for _ in range(9)]
    found += [encode(generator.integers(0, 256, (20, 17, 3), dtype="uint8")) for _ in range(8)]
    smooth = generator.integers(0, 256, (8, 8, 3), dtype="uint8").repeat(9, 0).repeat(7, 1)
    found += [encode(smooth, "JPEG", quality=q) for q in (50, 75, 95)]
    found += [encode(image, "JPEG") for image in pixels[:13]]
    # Grey; a palette is what GIF-like drawings have.
    found.append(encode(pixels[0, ..., 0]))
    return found


@pytest.fixture(scope="module")
def answers(exported, images, files, tmp_path_factory):
    """{(signature, batch): {output: array}} of one process for each of the two models."""
    folder = tmp_path_factory.mktemp("answers")
    found = {}
    for name in ("tiny_vit", "planar_rec"):
        asked = {}
        for batch in BATCHES:
            if name == "planar_rec":
                steps = np.random.default_rng(batch).integers(1, 30, (batch, 1), dtype="int32")
                inputs = {"inputs": points(batch)}
            else:
                steps = np.random.default_rng(batch).integers(1, 5, (batch, 2), dtype="int32")
                inputs = {"images": images[:batch]}
                encoded = np.array(files[-batch:])
                asked[f"{batch}/serving_bytes/image_bytes"] = encoded
            for key, array in inputs.items():
                for signature in ("serving_default", "features", "serving_steps"):
                    asked[f"{batch}-{signature}/{signature}/{key}"] = array
            asked[f"{batch}-serving_steps/serving_steps/steps"] = steps
            found[name, "steps", batch] = steps
        np.savez(folder / f"{name}.npz", **asked)
        answer = folder / f"{name}_answers.npz"
        run_python(
            [
                ROOT / "training/benchmarks/c_api.py",
                exported / name / "1",
                folder / f"{name}.npz",
                answer,
            ],
            PYTHONPATH="",
        )
        with np.load(answer) as file:
            for key, array in file.items():
                number, output = key.split("/")
                batch, _, signature = number.partition("-")
                key = (name, signature or "serving_bytes", int(batch))
                found.setdefault(key, {})[output] = array
    return found


def assert_answer(found, logits, labels):
    assert sorted(found) == ["classes", "logits", "probabilities"]
    np.testing.assert_allclose(found["logits"], logits, **CLOSE)
    e = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found["probabilities"], e / e.sum(1, keepdims=True), **CLOSE)
    assert [c.decode() for c in found["classes"]] == [labels[i] for i in logits.argmax(1)]


@pytest.mark.parametrize("batch", BATCHES)
def test_serving_default_is_the_model(answers, vit, planar, images, batch):
    found = answers["tiny_vit", "serving_default", batch]
    assert_answer(found, logits_of(vit, images[:batch]), LABELS)
    found = answers["planar_rec", "serving_default", batch]
    assert_answer(found, logits_of(planar, points(batch)), ["0", "1"])


@pytest.mark.parametrize("batch", BATCHES)
def test_features_are_those_of_the_builder(answers, vit, planar, images, batch):
    body = models.t2t_vit(
        depth=2,
        steps=(2, 1),
        input_shape=SHAPE,
        embed_dim=16,
        num_heads=2,
        token_dim=8,
        first_kernel_size=3,
        first_strides=2,
        features_only=True,
    )
    for layer in body.layers:
        layer.set_weights(vit.get_layer(layer.name).get_weights())
    found = answers["tiny_vit", "features", batch]
    assert list(found) == ["features"]
    np.testing.assert_allclose(found["features"], logits_of(body, images[:batch]), **CLOSE)
    # Without a head the logits are the features.
    found = answers["planar_rec", "features", batch]["features"]
    np.testing.assert_allclose(found, logits_of(planar, points(batch)), **CLOSE)


def test_serving_bytes_is_the_preprocessing_of_the_model(answers, vit, files):
    logits = logits_of_files(vit, files)
    for batch in BATCHES:
        assert_answer(answers["tiny_vit", "serving_bytes", batch], logits[-batch:], LABELS)


@pytest.mark.parametrize("batch", BATCHES)
def test_serving_steps_is_the_model_with_these_steps(answers, batch):
    steps = answers["planar_rec", "steps", batch]
    x = points(batch)
    logits = np.empty((batch, 2), "float32")
    for number in np.unique(steps):
        rows = steps[:, 0] == number
        logits[rows] = logits_of(zoo.load("planar_rec", steps=int(number)), x[rows])
    assert_answer(answers["planar_rec", "serving_steps", batch], logits, ["0", "1"])


@pytest.mark.parametrize("batch", BATCHES)
def test_serving_steps_of_two_blocks(answers, vit, images, batch):
    from keras_recres.serve.network import Network

    network = Network(vit)
    steps = answers["tiny_vit", "steps", batch]
    rows = np.arange(min(batch, 7))
    logits = [
        ops.convert_to_numpy(network.with_static_steps(images[i : i + 1], steps[i])[1])
        for i in rows
    ]
    found = {k: v[rows] for k, v in answers["tiny_vit", "serving_steps", batch].items()}
    assert_answer(found, np.concatenate(logits), LABELS)
