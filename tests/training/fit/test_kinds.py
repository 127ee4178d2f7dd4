"""Networks with several outputs, or with other inputs than images: from the zoo to the server."""

import json
import logging

import keras
import numpy as np
import pytest

import keras_recres.models
from keras_recres import zoo
from keras_recres.models.families import Family, family, family_of
from keras_recres.zoo import evaluation, manifest, problems, sources
from tests.marks import slow_on, slow_on_tensorflow
from tests.training.pictures import corners
from training import data, errors, evaluate
from training.data import packed
from training.fit import loop as fit

LENGTH, WORDS = 6, 11


@family(min_side=8, convolutional=True, auxiliary=lambda arguments: (0.3,))
def toy_heads(input_shape=(32, 32, 1), num_classes=4, features_only=False, name="toy_heads"):
    """A network with an auxiliary head half way, as GoogLeNet has two."""
    layers = keras.layers
    images = keras.Input(input_shape)
    half = layers.AveragePooling2D(8)(layers.Conv2D(4, 3, padding="same", name="conv")(images))
    x = layers.Dense(16, activation="relu", name="dense")(layers.Flatten()(half))
    if features_only:
        return keras.Model(images, x, name=name)
    early = layers.Dense(num_classes, name="auxiliary")(layers.GlobalAveragePooling2D()(half))
    return keras.Model(images, [layers.Dense(num_classes, name="head")(x), early], name=name)


@family(inputs="tokens")
def toy_tokens(input_shape=(LENGTH,), num_classes=2, vocabulary=WORDS, name="toy_tokens"):
    """Whether a sentence has more words of one kind."""
    tokens = keras.Input(input_shape, dtype="int32")
    x = keras.layers.Embedding(vocabulary, 4, name="embedding")(tokens)
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    return keras.Model(tokens, keras.layers.Dense(num_classes, name="head")(x), name=name)


def config(name, builder, dataset):
    arguments = {"input_shape": [32, 32, 1], "num_classes": 4}
    preprocessing = {"size": [32, 32], "scale": 1 / 255, "mean": [0.3], "std": [0.2]}
    if builder is toy_tokens:
        arguments, preprocessing = {"input_shape": [LENGTH], "num_classes": 2}, None
    paper = {"title": "Toys", "arxiv": None, "where": "-", "dataset": dataset}
    return {
        "name": name,
        "family": name,
        "builder": name,
        "arguments": arguments,
        "parameters": {"trainable": 1, "total": 1},
        "paper": {**paper, "metric": "top1_percent", "printed": None},
        "preprocessing": preprocessing,
        "default_tag": dataset,
        "tags": {dataset: {"dataset": dataset}},
    }


def sentences(count, seed, split):
    """Words 1 to 10: the class is whether more than half of them are above 5."""
    words = np.random.default_rng(seed).integers(1, WORDS, (count, LENGTH))
    labels = ((words > 5).sum(axis=1) > LENGTH / 2).astype("int64")
    return packed.Encoded(words.astype("int32"), labels, ("few", "many"), "sentences", split, 0)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    packed.write(folder / "corners.npz", [corners(256, 0, "train"), corners(64, 1, "test")])
    packed.write(folder / "sentences.npz", [sentences(512, 0, "train"), sentences(128, 1, "test")])
    return folder


@pytest.fixture
def toys(monkeypatch, tmp_path):
    folder = tmp_path / "zoo"
    for sub in manifest.FOLDERS:
        (folder / sub).mkdir(parents=True)
    for builder, dataset in ((toy_heads, "corners"), (toy_tokens, "sentences")):
        name = builder.__name__
        text = json.dumps(config(name, builder, dataset))
        (folder / "configs" / f"{name}.json").write_text(text)
        monkeypatch.setattr(keras_recres.models, name, builder, raising=False)
    monkeypatch.setattr(keras_recres.models, "__all__", ["toy_heads", "toy_tokens"])
    monkeypatch.setattr(sources, "data_folder", lambda: folder)


CASES = {"toy_heads": ("corners", 4), "toy_tokens": ("sentences", 2)}


@slow_on("jax")
@slow_on_tensorflow
@pytest.mark.parametrize("name", CASES)
def test_from_the_zoo_through_fit_and_evaluate_to_a_server(
    toys, files, tmp_path, caplog, monkeypatch, name
):
    dataset, classes = CASES[name]
    data_dir, out = files / f"{dataset}.npz", tmp_path / "run"
    options = ["--epochs=3", "--batch-size=16", "--learning-rate=2e-2", "--weight-decay=0"]
    fit.main([name, f"--dataset={dataset}", f"--data-dir={data_dir}", f"--out={out}", *options])
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["val_accuracy"] > 0.9
    weights = out / f"{name}.{dataset}.weights.h5"
    measured = evaluate.measure(name, data_dir=data_dir, weights=weights)
    assert measured["top1_percent"] == pytest.approx(100 * metrics["val_accuracy"])
    assert measured["dataset"] == dataset

    model = zoo.load(name, weights=weights)
    with caplog.at_level(logging.WARNING, logger="keras_recres"):
        other = zoo.load(name, weights=weights, num_classes=7)
    assert all(output.shape == (None, 7) for output in other.outputs)
    heads = [layer.name for layer in other.layers if layer.name in ("head", "auxiliary")]
    assert ", ".join(heads) in caplog.text
    for layer in other.layers:
        if layer.weights and layer.name not in heads:
            for a, b in zip(layer.weights, model.get_layer(layer.name).weights, strict=True):
                np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))

    if keras.backend.backend() != "tensorflow":
        return  # Exports of the other backends are the same after `serve.network`.
    import tensorflow as tf

    from keras_recres import serve
    from keras_recres.serve import saved_model, verify

    # In this process: another one takes seconds to import TensorFlow.
    monkeypatch.setattr(saved_model, "check", lambda *given: verify.check(*given[:3]))
    path = serve.export(model, tmp_path / "served", warmup=False)
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    (key,) = served.structured_input_signature[1]
    x = np.ones((3, *model.input_shape[1:]), model.inputs[0].dtype)
    logits = served(**{key: tf.constant(x)})["logits"]
    wanted = keras.tree.flatten(model(x, training=False))[0]
    assert logits.shape == (3, classes)
    np.testing.assert_allclose(logits, wanted, atol=1e-5)


def test_the_auxiliary_head_is_trained_with_its_weight(toys, files, tmp_path):
    """The loss is the first output's plus 0.3 times the second's; the log tells the first's."""
    from training.fit import trainee

    model = zoo.build("toy_heads")
    trained = trainee.Trainee(model, auxiliary=(0.3,))
    trained.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(0).normal(size=(5, 32, 32, 1)).astype("float32")
    y = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0]]
    outputs = model(x, training=True)
    first, second = (float(keras.ops.stop_gradient(trained.loss(y, p))) for p in outputs)
    total = trained.compute_loss(x, y, trained(x, training=True), training=True)
    assert float(keras.ops.stop_gradient(total)) == pytest.approx(first + 0.3 * second, rel=1e-5)
    measured = trained.evaluate(x, y, verbose=0)
    assert measured == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "dataset", "more", "sentence"),
    [
        ("toy_tokens", "corners", [], "'toy_tokens' takes tokens, but corners has images"),
        ("toy_heads", "sentences", [], "'toy_heads' takes images, but sentences has arrays"),
        ("toy_tokens", "sentences", ["--augment=crop"], "sentences has no pictures"),
        ("toy_heads", "corners", ["--deep-supervision=0.1"], "one output, but toy_heads has 2"),
    ],
)
def test_what_does_not_go_together(toys, files, tmp_path, name, dataset, more, sentence):
    data_dir = files / f"{dataset}.npz"
    arguments = [name, f"--dataset={dataset}", f"--data-dir={data_dir}", f"--out={tmp_path / 'r'}"]
    with pytest.raises(errors.UserError, match=sentence):
        fit.main([*arguments, "--epochs=1", "--batch-size=16", *more])


def test_evaluate_refuses_other_inputs(toys, files):
    from keras_recres.zoo import evaluation

    split = sentences(4, 0, "test")
    with pytest.raises(ValueError, match="toy_heads takes images, but sentences has arrays"):
        evaluation.measure(zoo.build("toy_heads"), split)


def test_records_of_builders():
    with pytest.raises(ValueError, match=r"`inputs` must be one of .*'pictures'"):
        Family(inputs="pictures")
    with pytest.raises(ValueError, match=r"`weights` must be out of .*'timm'"):
        Family(weights=("timm",))
    vit = family_of("t2t_vit")
    assert vit.nearest_shape((20, 500, 3)) == (32, 384, 3)
    assert family_of("planar").nearest_shape((2,)) == (2,)


@pytest.mark.slow
def test_numbers_are_learnt_and_measured(tmp_path):
    """Of an oscillator, whose answers are the numbers that it has a little later."""
    out = tmp_path / "run"
    few = ["--epochs=8", "--limit=500", "--eval-limit=200", "--batch-size=50", "--warmup-epochs=0"]
    fit.main(["vanderpol_rnn", "--recipe=vanderpol_rnn", f"--out={out}", *few])
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    weights = out / "vanderpol_rnn.vanderpol_10.weights.h5"
    measured = evaluate.measure("vanderpol_rnn", weights=weights, limit=200)
    assert measured["loss"] == pytest.approx(metrics["val_loss"], rel=1e-3)
    assert measured["top1_percent"] == pytest.approx(100 * metrics["val_accuracy"])
    # A tenth of what standing still has.
    split = problems.read("vanderpol/10", "test", 200)
    assert measured["loss"] < 0.1 * np.mean((split.labels - split.data) ** 2)
    model = zoo.load("vanderpol_rnn", weights=weights)
    found = evaluation.logits_of(model, split.data)
    error = np.abs(found - split.labels)
    assert measured["largest_error"] == pytest.approx(error.max(), rel=1e-5)
    assert measured["top1_percent"] == 100 * (error.max(axis=1) <= 0.01).mean()
    longer = zoo.load("vanderpol_rnn", weights=weights, steps=20)
    twice = evaluation.logits_of(model, found.astype("float32"))
    np.testing.assert_allclose(evaluation.logits_of(longer, split.data), twice, atol=1e-4)


@pytest.mark.slow
def test_films_are_continued_better_than_by_their_mean_or_their_last_frame(tmp_path, monkeypatch):
    # Large ones, whose last place tells much of the next ones.
    digits = np.full((1, 36, 36), 255, "uint8")
    monkeypatch.setattr(data, "_digits", lambda split, data_dir: digits)
    out = tmp_path / "run"
    few = ["--epochs=12", "--limit=64", "--eval-limit=16", "--batch-size=4", "--learning-rate=2e-2"]
    small = ["filters=[32]", "patch_size=16", "kernel_size=3", "peephole=null"]
    command = ["conv_lstm_moving_mnist", "--recipe=moving_mnist", f"--out={out}", *few]
    fit.main([*command, "--model-arguments", *small])
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    films = data.load("moving_mnist", "test", limit=16)
    seen, right = (part.astype("float64") for part in (films.images, films.labels))
    mean = right.mean((0, 1)).clip(1e-3, 1 - 1e-3)
    blind = np.mean(-right * np.log(mean) - (1 - right) * np.log(1 - mean))
    assert metrics["val_loss"] < blind
    assert 1 - metrics["val_accuracy"] < np.mean((seen[:, -1:] > 0.5) != (right > 0.5))
    model = zoo.build(
        "conv_lstm_moving_mnist",
        tag="moving_mnist",
        filters=(32,),
        patch_size=16,
        kernel_size=3,
        peephole=None,
    )
    model.load_weights(out / "conv_lstm_moving_mnist.moving_mnist.weights.h5")
    measured = evaluation.evaluate(model, films.images, films.labels)
    assert measured["loss"] == pytest.approx(metrics["val_loss"], rel=1e-3)
    assert measured["top1_percent"] == pytest.approx(100 * metrics["val_accuracy"], rel=1e-4)
