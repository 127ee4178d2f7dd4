"""The battery that every name of the zoo passes: a new config is tested by being there."""

import inspect
import json
import re

import keras
import numpy as np
import pytest

import keras_recres.models
from keras_recres import zoo
from keras_recres.zoo import manifest, sources
from keras_recres.zoo.record import Record
from tests.zoo import seeded

FOLDER = sources.data_folder()
NAMES = [record.name for record in zoo.list()]
TAGS = [f"{record.name}.{tag}" for record in zoo.list() for tag in record.tags]
# Networks of more parameters would cost this battery minutes: it compares their counts and logits,
# and leaves files and features to the test of their builder.
LARGE = 20_000_000
SMALL = [record for record in zoo.list() if record.parameters.total <= LARGE]
DEFAULTS = [f"{record.name}.{record.default_tag}" for record in SMALL if record.default_tag]
LARGE_NETWORKS = [r.name for r in seeded.networks().values() if r.parameters.total > LARGE]
TRAINED = [f"{record.name}.{tag}" for record in zoo.list() for tag in record.trained_tags]
REWRITE = 'from keras_recres.zoo import manifest; manifest.write("zoo")'


def sample(model, batch=2):
    """Random images, or points, as the model's preprocessing takes them."""
    shape = (batch, *model.input_shape[1:])
    generator = np.random.default_rng(0)
    if len(shape) == 4:
        return generator.integers(0, 256, shape, dtype="uint8")
    return generator.uniform(-5, 5, shape).astype("float32")


def outputs(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def accepts(name, argument):
    builder = getattr(keras_recres.models, zoo.info(name).builder)
    return argument in inspect.signature(builder).parameters


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def weighted(model):
    return {layer.name: layer for layer in model.layers if layer.weights}


def assert_equal_weights(layer, other):
    assert len(layer.weights) == len(other.weights)
    for a, b in zip(layer.weights, other.weights, strict=True):
        a, b = keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)
        np.testing.assert_array_equal(a, b, err_msg=layer.name)


@pytest.fixture(scope="module", params=DEFAULTS)
def own(request):
    """The network of a default tag with seeded weights; built once for the tests that share it."""
    model = zoo.build(request.param)
    seeded.give_weights(model)
    return model


def assert_counts(model):
    expected = model.zoo_record.parameters
    assert (trainable(model), model.count_params()) == (expected.trainable, expected.total)
    assert keras_recres.models.multiply_adds(model).total == model.zoo_record.multiply_adds
    shape, classes = (model.zoo_record.arguments.get(k) for k in ("input_shape", "num_classes"))
    assert model.input_shape == (None, *(shape or [2]))
    assert model.output_shape == (None, classes or 2)


@pytest.mark.parametrize("name", [record.name for record in SMALL])
def test_counts_are_exact(name):
    assert_counts(zoo.load(name, weights=None))


def test_records_of_one_network_say_the_same():
    """So that what is tested of one of them is tested of all."""
    said = {}
    for record in zoo.list():
        content = (record.parameters, record.preprocessing, record.default_tag, record.tags)
        assert said.setdefault(seeded.network(record), content) == content


def assert_logits(model):
    """They are those in `seeded.json`, which was written on one backend."""
    stands_for_it = seeded.networks()[seeded.network(model.zoo_record)]
    expected = np.asarray(seeded.read()[stands_for_it.name])
    assert np.abs(expected).max() > 1e-2
    error = np.abs(seeded.logits_of(model) - expected).max()
    assert error <= 1e-5 * np.abs(expected).max()


def test_every_backend_gives_the_same_logits(own):
    assert_logits(own)


@pytest.mark.parametrize("name", LARGE_NETWORKS)
def test_large_networks_have_their_counts_and_logits(name):
    model = zoo.build(name, tag=zoo.info(name).default_tag)
    assert_counts(model)
    seeded.give_weights(model)
    assert_logits(model)


def test_saved_model_reproduces_its_outputs(own, tmp_path):
    x = own.preprocess(sample(own))
    expected = outputs(own, x)
    assert expected.shape == (2, *own.output_shape[1:])
    assert np.all(np.isfinite(expected))
    own.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    assert restored.name == own.zoo_record.name
    np.testing.assert_allclose(outputs(restored, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name):
    config = json.loads((FOLDER / "configs" / f"{name}.json").read_text(encoding="utf-8"))
    record = Record.from_dict(config)
    assert record == zoo.info(name)
    assert json.loads(json.dumps(record.to_dict())) == config
    assert record.builder in keras_recres.models.__all__
    assert record.default_tag, "the tag that its weights have, or will have"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name), "a name is a file name and part of name.tag"
    for tag in record.tags:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", tag)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_those_of_the_builder(name):
    record = zoo.info(name)
    for tag in (None, *record.tags):
        for argument in record.arguments_of(tag):
            assert accepts(name, argument)


@pytest.mark.parametrize("name", NAMES)
def test_record_prints(name):
    record = zoo.info(name)
    assert f"{record.parameters.total:,} in all" in str(record)
    assert all(tag in str(record) for tag in record.tags)
    assert name in repr(record)


@pytest.mark.parametrize("name", TAGS)
def test_preprocessing_gives_what_the_network_takes(name):
    record, tag = zoo.info(name), name.partition(".")[2]
    shape, preprocessing = record.arguments_of(tag).get("input_shape"), record.preprocessing_of(tag)
    if shape is None:
        assert preprocessing.size is None
        return
    image = np.zeros((40, 50, shape[-1]), "uint8")
    assert tuple(preprocessing(image).shape) == (1, *shape)
    assert len(preprocessing.mean) == shape[-1]


def save(own, folder):
    """Writes the weights under the name that the zoo would give them."""
    path = folder / f"{own.zoo_record.name}.{own.zoo_tag}.weights.h5"
    own.save_weights(path)
    return path


def test_weights_round_trip(own, tmp_path):
    again = zoo.load(own.zoo_record.name, weights=save(own, tmp_path))
    assert again.zoo_tag == own.zoo_tag
    assert weighted(again).keys() == weighted(own).keys()
    for key, layer in weighted(own).items():
        assert_equal_weights(weighted(again)[key], layer)


def test_weights_survive_other_arguments(own, tmp_path, caplog):
    name, path = own.zoo_record.name, save(own, tmp_path)
    if len(own.input_shape) != 4:
        # A network on points: its neurons are its logits.
        other = zoo.load(name, weights=path, steps=3)
        with pytest.raises(ValueError, match="num_classes"):
            zoo.load(name, weights=path, num_classes=3)
    else:
        height, width, channels = own.input_shape[1:]
        shape = (height, width + 32, channels)
        changes = {"num_classes": 3, "input_shape": shape}
        if accepts(name, "steps"):
            changes["steps"] = 3
        if name.startswith("cifar_small") or own.zoo_record.builder == "mean_field_net":
            # It has weights for each pixel of its last maps, or of its images.
            with pytest.raises(ValueError, match="do not fit num_classes=3, input_shape="):
                zoo.load(name, weights=path, **changes)
            shape = changes["input_shape"] = own.input_shape[1:]
        other = zoo.load(name, weights=path, **changes)
        assert "is new and untrained" in caplog.text
        assert other.output_shape == (None, 3)
        assert other.input_shape == (None, *shape)
    assert weighted(other).keys() == weighted(own).keys()
    for key, layer in weighted(own).items():
        if getattr(layer, "own_variables", ()):
            # What a step has of its own is the last one's in steps beyond.
            x = keras.random.normal((2, 5, layer.get_build_config()["input_shape"][-1]))
            longer = weighted(other)[key]
            wanted = keras.ops.convert_to_numpy(layer(x, steps=longer.steps))
            np.testing.assert_allclose(outputs(longer, x), wanted, rtol=1e-5, atol=1e-5)
        elif key not in ("head", "position"):
            assert_equal_weights(weighted(other)[key], layer)
    found = outputs(other, other.preprocess(sample(own)))
    assert found.shape == (2, *other.output_shape[1:])
    assert np.all(np.isfinite(found))


def test_features_only(own, tmp_path):
    name, path = own.zoo_record.name, save(own, tmp_path)
    if len(own.input_shape) != 4:
        with pytest.raises(ValueError, match="features_only"):
            zoo.load(name, weights=path, features_only=True)
        return
    features = zoo.load(name, weights=path, features_only=True)
    assert weighted(features).keys() == weighted(own).keys() - {"head"}
    x = own.preprocess(sample(own))
    logits = keras.ops.convert_to_numpy(own.get_layer("head")(features(x, training=False)))
    np.testing.assert_allclose(logits, outputs(own, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_golden_logits(name):
    model = zoo.load(name, offline=True)
    with np.load(FOLDER / "golden" / f"{name}.npz", allow_pickle=False) as golden:
        inputs, logits = golden["inputs"], golden["logits"]
    assert inputs.dtype == logits.dtype == "float32"
    assert inputs.shape[1:] == model.input_shape[1:]
    error = np.abs(outputs(model, inputs) - logits).max()
    assert error <= 1e-5 * np.abs(logits).max()


def test_names_without_weights_say_so():
    for record in zoo.list(trained=False):
        with pytest.raises(ValueError, match="has no trained weights yet; pass weights=None"):
            zoo.load(record.name)


def test_the_weights_of_a_network_run_in_its_recurrent_form_too():
    file = FOLDER / "weights" / "vit3.cifar10_jpeg.weights.h5"
    model, own = zoo.load("vit3_rec", weights=file), zoo.load("vit3")
    assert model.zoo_tag == "cifar10_jpeg"
    for ours, theirs in zip(model.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def files(folder, suffix):
    names = {path.name for path in (FOLDER / folder).iterdir() if path.name[0] != "."}
    assert all(name.endswith(suffix) for name in names), names
    return {name.removesuffix(suffix) for name in names}


def test_one_name_everywhere():
    weights, golden = files("weights", ".weights.h5"), files("golden", ".npz")
    rows = {f"{result.name}.{result.tag}" for record in zoo.list() for result in record.results}
    assert files("configs", ".json") == set(NAMES)
    assert weights == golden == set(TRAINED)
    assert weights <= set(TAGS)
    assert weights <= rows, "weights without a measured result"


def test_results_are_of_known_names():
    lines = (FOLDER / "results.csv").read_text(encoding="utf-8").splitlines()[1:]
    results = [result for record in zoo.list() for result in record.results]
    assert len(results) == len(lines), "a row is of no name of the zoo"
    for result in results:
        record = zoo.info(result.name)
        assert result.tag in record.tags
        # Measured on the tag's own data, or beside it on those whose original pixels are there.
        assert result.dataset in (record.tags[result.tag].dataset, "cifar10_lossless_part")
        assert np.isfinite(float(result.value))
        assert int(result.seeds) >= 1
        assert int(result.trainable_parameters) <= int(result.parameters)
        assert result.commit
        assert result.backend
        assert result.hardware


def test_manifest_is_that_of_the_files():
    found = manifest.describe(FOLDER)
    assert manifest.read(FOLDER) == found, (
        f"the manifest is old; at the root: python -c '{REWRITE}'"
    )


def test_weights_stay_small():
    total = sum(path.stat().st_size for path in (FOLDER / "weights").iterdir())
    assert total < 100e6
