"""Names whose weights are others': Keras', or the authors' own, which are converted."""

import hashlib
import json

import keras
import numpy as np
import pytest

import keras_recres.models
from keras_recres import zoo
from keras_recres.backend import keras_private
from keras_recres.models.convnets.applications import application
from keras_recres.models.families import family, family_of
from keras_recres.models.features import feature_maps
from keras_recres.zoo import keras_weights, manifest
from tests.models.convnets import plain_torch
from tests.zoo import seeded
from tests.zoo.test_battery import assert_counts

pytestmark = pytest.mark.neutral

OURS = {record.name for record in seeded.ours()}
OTHERS = [record for record in zoo.list() if record.name not in OURS]
# Of each builder the smallest network.
LEAST = {r.builder: r for r in sorted(OTHERS, key=lambda r: -r.parameters.total)}
KERAS = zoo.list(source="keras")
# Builder, version: where Keras has its preprocessing.
MODULES = {
    "vgg": "vgg16",
    "keras_resnet": "resnet",
    "keras_resnet2": "resnet_v2",
    "inception_v3": "inception_v3",
    "inception_resnet_v2": "inception_resnet_v2",
    "xception": "xception",
}


@pytest.mark.slow
@pytest.mark.parametrize("record", OTHERS, ids=lambda record: record.name)
def test_counts_are_exact(record):
    with plain_torch.without_initial_values():
        assert_counts(zoo.load(record.name, weights=None))


@pytest.mark.slow
def test_networks_of_keras_have_feature_maps():
    found = {}
    with plain_torch.without_initial_values():
        for name in ("resnet50_v2", "inception_v3", "inception_resnet_v2", "xception", "vgg16"):
            side = 75 if zoo.info(name).builder != "vgg" else 64
            model = zoo.build(name, input_shape=(side, side, 3), num_classes=2)
            maps = feature_maps(model, model.zoo_record.builder, (0, -1))
            found[name] = [tuple(x.shape[1:]) for x in maps.outputs]
    assert found == {
        "resnet50_v2": [(19, 19, 256), (3, 3, 2048)],
        "inception_v3": [(15, 15, 192), (1, 1, 2048)],
        "inception_resnet_v2": [(7, 7, 320), (1, 1, 1536)],
        "xception": [(35, 35, 64), (3, 3, 2048)],
        "vgg16": [(64, 64, 64), (4, 4, 512)],
    }


@pytest.mark.slow
@pytest.mark.parametrize("builder", LEAST)
def test_a_builders_record_has_the_smallest_side(builder):
    known, record = family_of(builder), LEAST[builder]

    def build(side):
        with plain_torch.without_initial_values():
            return zoo.build(record.name, input_shape=(side, side, 3))

    assert build(known.min_side).input_shape[1] == known.min_side
    with pytest.raises(ValueError, match=r"`input_shape` must .* but it is"):
        build(known.min_side - 1)


@pytest.mark.parametrize("record", KERAS, ids=lambda record: record.name)
def test_images_are_prepared_as_keras_does(record):
    module = MODULES[f"{record.builder}{record.arguments.get('version', '')}"]
    size = record.preprocessing.size
    images = np.random.default_rng(0).integers(0, 256, (1, *size, 3), "uint8")
    prepare = getattr(keras.applications, module).preprocess_input
    wanted = prepare(images.astype("float32"))
    found = keras.ops.convert_to_numpy(record.preprocessing(images))
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    assert record.default_tag == "imagenet"
    assert family_of(record.builder).weights[0] == "keras"
    assert "weights of keras.applications, which Keras downloads" in str(record)


def test_keras_weights_are_not_counted_as_ours():
    names = {record.name for record in KERAS}
    assert {record.name for record in zoo.list(source="keras", trained=True)} == names
    assert not names & {record.name for record in zoo.list(trained=True)}
    assert not names & {record.name for record in zoo.list(trained=False)}
    assert not names & {record.name for record in zoo.list(source="zoo")}
    with pytest.raises(ValueError, match=r"source must be None or one of .*, found 'hub'"):
        zoo.list(source="hub")


def tiny(weights, input_shape, classes, classifier_activation, name):
    """As a function of keras.applications, of three layers."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(4, 3, 2)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(classes, classifier_activation, name="predictions")(x)
    model = keras.Model(inputs, x, name=name)
    if weights == "imagenet":
        url = "https://storage.googleapis.com/tiny.h5"
        model.load_weights(
            keras_private.file_utils.get_file("tiny.h5", url, cache_subdir="models", file_hash="0")
        )
    return model


def mobile(**arguments):
    """The smallest of keras.applications that ends in a dense layer."""
    return keras.applications.MobileNetV2(alpha=0.35, **arguments)


BUILD = {"build": tiny}


@family(min_side=32, weights=("keras",))
def toy_mobile(
    input_shape=(224, 224, 3),
    num_classes=1000,
    features_only=False,
    classifier_activation=None,
    weights=None,
    name="toy_mobile",
):
    return application(
        BUILD["build"],
        input_shape=input_shape,
        num_classes=num_classes,
        features_only=features_only,
        classifier_activation=classifier_activation,
        weights=weights,
        name=name,
        min_side=32,
    )


@pytest.fixture(params=[tiny, pytest.param(mobile, marks=pytest.mark.slow)])
def donor(request, monkeypatch):
    """A network of keras.applications, or as such, with weights of its own."""
    monkeypatch.setitem(BUILD, "build", request.param)
    model = toy_mobile()
    seeded.give_weights(model)
    return model


@pytest.fixture
def toy_keras(toy_zoo, donor, monkeypatch, tmp_path):
    """A zoo with a network whose weights Keras downloads, prepared as files; returns the URLs."""
    config = json.loads((toy_zoo / "configs" / "toy_rec.json").read_text())
    config |= {"name": "toy_mobile", "builder": "toy_mobile", "source": "keras"}
    config |= {"arguments": {"input_shape": [224, 224, 3], "num_classes": 1000}}
    config |= {"default_tag": "imagenet", "tags": {"imagenet": {"dataset": "imagenet"}}}
    (toy_zoo / "configs" / "toy_mobile.json").write_text(json.dumps(config))
    manifest.write(toy_zoo)
    monkeypatch.setattr(keras_recres.models, "toy_mobile", toy_mobile, raising=False)
    monkeypatch.setattr(keras_recres.models, "__all__", ["toy", "toy_mobile"], raising=False)
    away = tmp_path / "away"
    away.mkdir()
    donor.save_weights(away / "toy.weights.h5")
    index = {str(i): [f"n{i:08}", f"class {i}"] for i in range(1000)}
    (away / "index.json").write_text(json.dumps(index))
    asked, get = [], keras_private.file_utils.get_file

    def prepared(fname, origin, cache_subdir, file_hash=None):
        """As Keras' own, of a prepared file and with that file's hash."""
        assert origin.startswith("https://storage.googleapis.com/")
        # Keras has none of this one alone.
        assert file_hash or "mobilenet_v2" in fname
        asked.append(fname)
        path = away / ("index.json" if fname.endswith(".json") else "toy.weights.h5")
        digest = hashlib.md5((away / "good" / path.name).read_bytes()).hexdigest()
        name = fname.replace(".h5", ".weights.h5")
        return get(name, path.as_uri(), False, None, digest, cache_subdir, cache_dir=tmp_path)

    (away / "good").mkdir()
    for name in ("index.json", "toy.weights.h5"):
        (away / "good" / name).write_bytes((away / name).read_bytes())
    monkeypatch.setattr(keras_private.file_utils, "get_file", prepared)
    monkeypatch.setattr("keras.src.applications.imagenet_utils.CLASS_INDEX", None)
    prepared.asked, prepared.away, prepared.cache = asked, away, tmp_path / "models"
    prepared.cache.parent.mkdir(exist_ok=True)
    return prepared


def test_weights_and_class_names_come_through_keras_own_download(toy_keras, donor, caplog):
    model = zoo.load("toy_mobile", progress=False)
    for ours, theirs in zip(model.get_weights(), donor.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (model.zoo_tag, model.class_names[3]) == ("imagenet", "class 3")
    logits = np.eye(1, 1000, 3) * 9
    assert zoo.decode_predictions(model, logits, top=1)[0][0][:2] == (3, "class 3")
    # From the cache, and with another head and size.
    (toy_keras.away / "toy.weights.h5").unlink()
    (toy_keras.away / "index.json").unlink()
    other = zoo.load("toy_mobile", num_classes=3, input_shape=(32, 32, 3), offline=True)
    assert other.class_names is None
    assert other.output_shape == (None, 3)
    for old, new in zip(donor.weights[:-2], other.weights[:-2], strict=True):
        assert old.path == new.path
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (old, new)))
    features = zoo.load("toy_mobile", features_only=True)
    assert features.output_shape == (None, donor.layers[-1].input.shape[-1])
    assert not any("no_top" in name for name in toy_keras.asked)


def test_without_network_it_is_one_sentence(toy_keras, caplog):
    with pytest.raises(FileNotFoundError, match=r"is not on this machine and offline .* put it at"):
        zoo.load("toy_mobile", offline=True)
    (toy_keras.away / "toy.weights.h5").unlink()
    with pytest.raises(OSError, match=r"could not be downloaded \(.*\): check the network, or put"):
        zoo.load("toy_mobile")
    assert list(toy_keras.cache.iterdir()) == []
    (toy_keras.away / "toy.weights.h5").write_bytes(b"half")
    with pytest.raises(OSError, match=r"What Keras downloaded is corrupt .*: load it again"):
        zoo.load("toy_mobile")
    (toy_keras.away / "index.json").unlink()
    with keras_weights.downloads():
        assert keras_weights.class_names() is None
    assert "the classes have no names: " in caplog.text
