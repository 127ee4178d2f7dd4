"""`serve.export`: what it writes, when it refuses, and that a failure leaves nothing."""

import json
import os
import pathlib
import re

import keras
import numpy as np
import pytest

from keras_recres import layers, serve, zoo
from keras_recres.serve import exporting, reference, saved_model, verify, warmup
from keras_recres.serve.network import Network
from keras_recres.zoo.text import TextPreprocessing
from tests.marks import slow_on_tensorflow
from tests.serve.conftest import LABELS, SHAPE, give_preprocessing, run_python


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def small(units=3, activation=None, shape=SHAPE):
    inputs = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(inputs) if len(shape) == 3 else inputs
    return keras.Model(inputs, keras.layers.Dense(units, activation=activation, name="head")(x))


@pytest.fixture
def quick(monkeypatch, needs_tensorflow):
    """No SavedModel is written: what is around it is tested."""

    def write(model, folder, preprocessing, *args, **options):
        pathlib.Path(folder).mkdir()
        options["encoded_images"] = preprocessing is not None
        pathlib.Path(folder, "options.json").write_text(json.dumps(options))

    monkeypatch.setattr(saved_model, "write", write)
    monkeypatch.setattr(saved_model, "check", lambda *args: None)


@pytest.mark.slow
@pytest.mark.neutral
def test_files(exported):
    for name in ("tiny_vit", "planar_rec"):
        folder = exported / name / "1"
        found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert {"saved_model.pb", "variables/variables.index", "assets/labels.txt"} <= found
        assert [p.name for p in (exported / name).iterdir()] == ["1"]
    text = (exported / "tiny_vit/1/assets/labels.txt").read_text(encoding="utf-8")
    assert text.splitlines() == LABELS


@pytest.mark.slow
@pytest.mark.neutral
def test_server_configuration_is_what_the_server_parses(needs_serving_api, exported):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (exported / "config/models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    found = {c.name: (c.base_path, c.model_platform) for c in config.model_config_list.config}
    assert found == {n: (f"/models/{n}", "tensorflow") for n in ("planar_rec", "tiny_vit")}
    text = (exported / "config/batching_parameters.txt").read_text()
    keys = re.findall(r"^(\w+) \{ value: \d+ \}$", text, re.MULTILINE)
    assert keys == [
        "max_batch_size",
        "batch_timeout_micros",
        "num_batch_threads",
        "max_enqueued_batches",
    ]


@pytest.mark.slow
@pytest.mark.neutral
def test_warm_up_requests_are_answered(needs_serving_api, exported):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    loaded = tf.saved_model.load(str(exported / "tiny_vit/1"))
    seen = []
    for record in tf.data.TFRecordDataset(str(exported / "tiny_vit/1" / warmup.FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {key: tf.constant(tf.make_ndarray(p)) for key, p in request.inputs.items()}
        answer = loaded.signatures[request.model_spec.signature_name](**inputs)
        (batch,) = {len(x) for x in answer.values()}
        seen.append((request.model_spec.name, request.model_spec.signature_name, batch))
    signatures = ("features", "serving_bytes", "serving_default", "serving_steps")
    assert sorted(seen) == sorted(("tiny_vit", s, b) for s in signatures for b in warmup.BATCHES)


# Two commands in one process: importing TensorFlow is what takes the time.
COMMANDS = """
import json, sys
from tensorflow.python.tools import saved_model_cli
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["saved_model_cli", *arguments]
    try:
        saved_model_cli.main()
    except SystemExit as done:
        assert not done.code, done.code
"""


@pytest.mark.slow
def test_saved_model_cli(exported, tmp_path, planar):
    x = np.array([[0.5, -1], [2, 0.1], [0, 0]], "float32")
    np.save(tmp_path / "x.npy", x)
    folder = ["--dir", str(exported / "planar_rec/1")]
    run = ["run", *folder, "--tag_set", "serve", "--signature_def", "serving_default"]
    run += ["--inputs", f"inputs={tmp_path / 'x.npy'}", "--outdir", str(tmp_path)]
    shown = run_python(["-c", COMMANDS, json.dumps([["show", *folder, "--all"], run])])
    for text in ("signature_def['serving_default']", "shape: (-1, 2)", "outputs['probabilities']"):
        assert text in shown
    found = np.load(tmp_path / "logits.npy")
    np.testing.assert_allclose(found, numpy(planar(x)), rtol=1e-5, atol=1e-5)


@pytest.fixture
def reference_of_planar(planar):
    return reference.make(Network(planar), None, ["0", "1"], 64)


@pytest.mark.slow
def test_other_answers_are_found_in_a_fresh_process(exported, reference_of_planar, tmp_path):
    wrong = dict(reference_of_planar)
    wrong["serving_default/outputs/logits"] = wrong["serving_default/outputs/logits"] + 2e-5
    with pytest.raises(ValueError, match=r"serving_default/logits .* differs from the model's by"):
        saved_model.check(exported / "planar_rec/1", wrong, 1e-5, tmp_path)


@pytest.mark.slow
@pytest.mark.neutral
def test_every_output_is_compared(exported, reference_of_planar):
    folder = exported / "planar_rec/1"
    found = verify.check(folder, reference_of_planar, 1e-5)
    outputs = {"logits", "probabilities", "classes"}
    signatures = ("serving_default", "serving_steps")
    assert {*found} == {f"{s}/{o}" for s in signatures for o in outputs} | {"features/features"}
    for key, wrong, sentence in (
        ("features/outputs/features", np.nan, "differs"),
        ("serving_steps/outputs/classes", np.array([b"0", b"1", b"2"]), "differs"),
        ("serving_steps/outputs/probabilities", np.zeros((3, 3)), "has shape"),
        ("serving_default/outputs/score", np.zeros(3), "is missing"),
    ):
        if wrong is np.nan:
            wrong = reference_of_planar[key] * wrong
        with pytest.raises(ValueError, match=sentence):
            verify.check(folder, {**reference_of_planar, key: wrong}, 1e-5)


@pytest.mark.parametrize("step", ["write", "check"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.neutral
def test_a_failed_export_leaves_nothing(monkeypatch, quick, tmp_path, step, error):
    def fail(*args, **options):
        raise error

    serve.export(small(), tmp_path, name="m")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(saved_model, step, fail)
    for folder, name in ((tmp_path, "m"), (tmp_path, "other"), (tmp_path / "new" / "one", "m")):
        with pytest.raises(error):
            serve.export(small(), folder, name=name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.neutral
def test_versions(monkeypatch, quick, tmp_path):
    model = small()
    assert serve.export(model, tmp_path, name="m") == tmp_path / "m" / "1"
    assert serve.export(model, tmp_path, name="m") == tmp_path / "m" / "2"
    assert serve.export(model, tmp_path, 7, name="m") == tmp_path / "m" / "7"
    assert serve.export(model, str(tmp_path), name="m") == tmp_path / "m" / "8"
    with pytest.raises(FileExistsError, match="give another `version`, or None for the next one"):
        serve.export(model, tmp_path, 7, name="m")
    text = (tmp_path / "config" / "models.config").read_text()
    assert text.count("config {") == 1
    assert sorted(os.listdir(tmp_path / "m")) == ["1", "2", "7", "8"]


@pytest.mark.neutral
def test_a_folder_in_the_home(monkeypatch, quick, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert serve.export(small(), "~/x", name="m") == tmp_path / "home" / "x" / "m" / "1"
    assert os.listdir(tmp_path) == ["home"]
    assert (tmp_path / "home/x/config/models.config").is_file()


@slow_on_tensorflow
def test_a_lookup_is_exported_with_its_table(needs_tensorflow, tmp_path):
    if keras.backend.backend() == "torch":
        pytest.skip("no SavedModel is written from PyTorch")
    inputs = keras.Input((5,), dtype="int64")
    x = keras.layers.IntegerLookup(vocabulary=[3, 5, 9])(inputs)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(4, 6)(x))
    # The export itself compares what a fresh process answers, on JAX too, which has no int64.
    serve.export(keras.Model(inputs, keras.layers.Dense(3)(x), name="lookup"), tmp_path)


@pytest.mark.neutral
def test_another_process_takes_the_version(monkeypatch, quick, tmp_path):
    def meanwhile(folder, *args):
        (tmp_path / "m" / "1").mkdir()
        (tmp_path / "m" / "1" / "saved_model.pb").touch()

    monkeypatch.setattr(saved_model, "check", meanwhile)
    assert serve.export(small(), tmp_path, name="m") == tmp_path / "m" / "2"


@pytest.mark.neutral
def test_own_batching_parameters_are_kept(quick, tmp_path, caplog):
    serve.export(small(), tmp_path, name="m")
    assert "no serving_bytes, since the model has no `preprocess`" in caplog.text
    file = tmp_path / "config" / "batching_parameters.txt"
    file.write_text("max_batch_size { value: 7 }\n")
    serve.export(small(), tmp_path, name="n")
    assert file.read_text() == "max_batch_size { value: 7 }\n"
    assert (tmp_path / "config" / "models.config").read_text().count("base_path") == 2


@pytest.mark.neutral
def test_the_preprocessing_of_a_network_inside_is_named_and_not_taken(quick, tmp_path, caplog):
    inner = give_preprocessing(small(5))
    inner.class_names = tuple("abcde")
    model = keras.Sequential([inner, keras.layers.Dense(5)], name="outer")
    path = serve.export(model, tmp_path)
    assert f"give that of {inner.name!r} in it, if images reach it as they are" in caplog.text
    assert json.loads((path / "options.json").read_text())["labels"] == list("01234")
    path = serve.export(model, tmp_path, preprocessing=inner.preprocess)
    assert json.loads((path / "options.json").read_text())["encoded_images"]


@pytest.mark.neutral
def test_names_and_labels_of_the_zoo(quick, tmp_path):
    path = serve.export("cifar_small", tmp_path)
    assert path == tmp_path / "cifar_small" / "1"
    options = json.loads((path / "options.json").read_text())
    assert options["labels"][:3] == ["airplane", "automobile", "bird"]
    model = zoo.load("vit3.mnist", weights=None)
    assert serve.export(model, tmp_path) == tmp_path / "vit3.mnist" / "1"
    options = json.loads((tmp_path / "vit3.mnist/1/options.json").read_text())
    assert options["labels"] == [*"0123456789"]


@pytest.mark.neutral
def test_names_are_those_that_the_head_was_trained_with(quick, tmp_path):
    def exported(name, **arguments):
        path = serve.export(zoo.load("cifar_small", **arguments), tmp_path, name=name)
        return json.loads((path / "options.json").read_text())["labels"]

    fruit = [f"fruit {i}" for i in range(10)]
    assert exported("numbers", num_classes=10) == [*"0123456789"]
    assert exported("fruit", classes=fruit) == fruit
    model = zoo.load("cifar_small")
    with pytest.raises(ValueError, match="names that 'cifar_small' has, airplane, automobile"):
        serve.export(model, tmp_path, labels=fruit)
    model.class_names = fruit
    serve.export(model, tmp_path, labels=fruit)
    model.class_names = fruit[:3]
    with pytest.raises(ValueError, match="class_names must be 10 names"):
        serve.export(model, tmp_path)


@pytest.mark.neutral
def test_a_saved_network_is_exported_as_it_was(quick, tmp_path):
    model = zoo.load("cifar_small", classes=["lemon", "lime"])
    model.save(tmp_path / "mine.keras")
    again = keras.saving.load_model(tmp_path / "mine.keras")
    first, second = (serve.export(m, tmp_path) for m in (model, again))
    assert second == tmp_path / "cifar_small" / "2"
    options = [json.loads((path / "options.json").read_text()) for path in (first, second)]
    assert options[0] == options[1]
    assert options[1]["encoded_images"]
    assert options[1]["labels"] == ["lemon", "lime"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model_or_name": 3}, "`model_or_name` must be a Keras model or a name of the zoo"),
        ({"model_or_name": "cifar_smal"}, "did you mean 'cifar_small'"),
        ({"model_or_name": "cifar_residual"}, "has no trained weights"),
        ({"version": 0}, "version"),
        ({"version": "1"}, "version"),
        ({"name": "../up"}, "`name` must consist of letters"),
        ({"name": "a/b"}, "`name` must consist of letters"),
        ({"name": "config"}, "must not be 'config'"),
        ({"labels": ["a", "b"]}, "`labels` must be 3 names"),
        ({"labels": ["a", "b\nc", "d"]}, "`labels` must be 3 names"),
        ({"labels": ["a", "", "d"]}, "`labels` must be 3 names"),
        ({"warmup": "yes"}, "`warmup` must be True, False or 'auto'"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"max_steps": 1.5}, "max_steps"),
        ({"tolerance": 0}, "tolerance"),
        ({"preprocessing": abs}, "`preprocessing` must be a zoo.Preprocessing"),
        ({"preprocessing": zoo.Preprocessing()}, r"must have the size \(32, 32\)"),
        (
            {"preprocessing": zoo.Preprocessing(size=(32, 32), mean=(0.5,), std=(1,))},
            "must have means for 3 channels or none",
        ),
        ({"model_or_name": small(activation="softmax")}, "must return logits"),
        ({"model_or_name": small(units=1)}, "at least two classes"),
        ({"model_or_name": small(shape=(None, None, 3))}, "must have a known shape"),
        (
            {"model_or_name": keras.Sequential([keras.layers.Dense(3)])},
            "must be a built functional",
        ),
    ],
)
@pytest.mark.neutral
def test_wrong_arguments(quick, tmp_path, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        serve.export(**{"model_or_name": small(), "directory": tmp_path / "d", **arguments})
    assert list(tmp_path.iterdir()) == []


def scaled(x):
    x = keras.ops.exp(x)
    return x / keras.ops.sum(x, axis=-1, keepdims=True)


def nested(*inner):
    return keras.Sequential([keras.Input((8,)), keras.Sequential([keras.Input((8,)), *inner])])


def behind(*parts):
    x = inputs = keras.Input((8,))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


def dense(activation=None):
    return keras.layers.Dense(5, activation=activation, name="last")


def linear():
    return keras.layers.Activation("linear", dtype="float32")


def identity():
    return keras.Sequential([keras.Input((5,)), keras.layers.Identity()])


PROBABILITIES = {
    "nested": lambda: nested(dense("softmax")),
    "nested twice": lambda: nested(nested(dense("sigmoid"))),
    "operation": lambda: behind(dense(), keras.ops.softmax),
    "function": lambda: behind(dense(), keras.activations.softmax),
    "behind identity": lambda: behind(dense("softmax"), keras.layers.Identity()),
    "behind linear": lambda: behind(dense("sigmoid"), keras.layers.Dropout(0.1), linear()),
    "behind a model": lambda: behind(dense("sigmoid"), identity(), keras.layers.Flatten()),
    "two outputs": lambda: behind(
        behind(dense(), lambda x: [x, keras.ops.sigmoid(x)]), lambda both: both[1]
    ),
}


@pytest.mark.neutral
@pytest.mark.parametrize("way", PROBABILITIES)
def test_probabilities_are_refused_wherever_they_arise(way):
    with pytest.raises(ValueError, match="must return logits, but its last layer"):
        Network(PROBABILITIES[way]())


@pytest.mark.neutral
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_rows_that_are_distributions_are_refused(quick, tmp_path, dtype):
    last = keras.layers.Dense(5, activation=scaled, dtype=dtype)
    with pytest.raises(ValueError, match="every row of its outputs is a distribution"):
        serve.export(behind(last), tmp_path, warmup=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.neutral
def test_a_softmax_before_the_head_is_not_an_output():
    for model in (
        behind(dense("softmax"), keras.layers.Dense(5)),
        behind(dense("sigmoid"), lambda x: x * 3),
        nested(dense("softmax"), keras.layers.Dense(5), linear()),
        behind(behind(dense(), lambda x: [x, keras.ops.sigmoid(x)]), lambda both: both[0]),
    ):
        Network(model)


@pytest.mark.neutral
def test_preprocessing_of_what_is_not_an_image(quick, tmp_path):
    with pytest.raises(ValueError, match="is for images of 1 or 3 channels"):
        serve.export(small(shape=(4,)), tmp_path, preprocessing=zoo.Preprocessing(size=(4, 4)))


@pytest.mark.neutral
def test_max_steps_must_allow_those_of_the_model(quick, planar, tmp_path):
    with pytest.raises(ValueError, match="at least the 13 steps of 'planar_rec'"):
        serve.export(planar, tmp_path, max_steps=12)


@pytest.mark.neutral
def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(warmup, "available", lambda: False)
    with pytest.raises(ImportError, match=r"pip install 'keras-recres\[serve\]'"):
        serve.export(small(), tmp_path, warmup=True)
    monkeypatch.setattr(saved_model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'keras-recres\[tensorflow\]'"):
        serve.export(small(), tmp_path)


@pytest.mark.parametrize("name", ["cifar_small", "cifar_small_metahead"])
def test_features_are_those_of_the_builders(name):
    model, body = zoo.load(name), zoo.load(name, features_only=True)
    x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype("float32")
    found = numpy(Network(model)(x)[0])
    np.testing.assert_allclose(found, numpy(body(x)), rtol=1e-5, atol=1e-5)


def test_features_where_the_head_is_shared():
    head = keras.layers.Dense(2)
    a = keras.Input((2,))
    model = keras.Model(a, head(keras.layers.Activation("tanh")(head(a))))
    features, logits = Network(model)(np.ones((1, 2), "float32"))
    np.testing.assert_allclose(numpy(logits), numpy(head(features)), rtol=1e-6)


def test_why_there_are_no_steps(planar):
    assert Network(small()).steps == ()
    assert "no RecurrentResidual" in Network(small()).why_no_steps
    assert Network(planar).steps == (13,)
    inputs = keras.Input((3,))
    layer = layers.RecurrentResidual(keras.layers.Dense(3), steps=2, return_states=True, name="all")
    states = keras.layers.Lambda(lambda x: x[-1], output_shape=(3,))(layer(inputs))
    network = Network(keras.Model(inputs, keras.ops.reshape(states, (-1, 3))))
    assert network.steps == ()
    assert "'all' returns more than its last state" in network.why_no_steps


def test_steps_of_a_nested_model_and_of_a_layer_called_twice():
    inputs = keras.Input((3,))
    layer = layers.RecurrentResidual(keras.layers.Dense(3, activation="tanh"), steps=2)
    inner = keras.Model(inputs, layer(layer(inputs)))
    model = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(2, name="head")])
    network = Network(model)
    assert network.steps == (2, 2)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    for steps in ((2, 2), (1, 4)):
        expected = model.layers[-1](layer(layer(x, steps=steps[0]), steps=steps[1]))
        found = network.with_static_steps(x, steps)[1]
        np.testing.assert_allclose(numpy(found), numpy(expected), rtol=1e-5)
    np.testing.assert_allclose(
        numpy(network(x)[1]), numpy(network.with_static_steps(x, (2, 2))[1]), rtol=1e-5
    )


@pytest.mark.neutral
def test_default_preprocessing_must_be_for_images(planar):
    assert exporting._preprocessing(None, planar, (2,)) is None
    model = give_preprocessing(small())
    assert exporting._preprocessing(None, model, SHAPE) == model.preprocess
    assert exporting._preprocessing(None, model, (32, 32, 4)) is None


@pytest.mark.neutral
def test_a_function_for_preprocessing_is_told_to_be_left_out(caplog):
    model = small()
    model.preprocess = lambda x: x / 255
    assert exporting._preprocessing(None, model, SHAPE) is None
    assert "no `serving_bytes`" in caplog.text


@pytest.mark.slow
@pytest.mark.neutral
def test_texts_are_served(needs_tensorflow, tmp_path):
    """`serve.export` compares what `serving_texts` answers in a fresh process."""
    small = {"units": 3, "embedding_dim": 4, "vocabulary_size": 500, "length": 6}
    model = zoo.build("bilstm_imdb", tag="imdb_reviews", **small)
    path = serve.export(model, tmp_path, warmup=False)
    import tensorflow as tf

    texts = tf.saved_model.load(str(path)).signatures["serving_texts"]
    found = texts(texts=tf.constant(["Good film!"]))["probabilities"]
    np.testing.assert_allclose(found, model.predict_texts(["Good film!"]), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"A text has no word to read\."):
        texts(texts=tf.constant([""]))


def test_the_words_of_a_text_must_be_as_many_as_the_network_takes(quick, tmp_path):
    model = small(shape=(6,))
    words = TextPreprocessing(("a", "b"), words=4, length=5)
    with pytest.raises(ValueError, match=r"gives 5 numbers of words, but .* takes inputs of shape"):
        serve.export(model, tmp_path, preprocessing=words)
