"""Trained networks made recurrent and trained on: what is learnt, and what is refused."""

import keras
import numpy as np
import pytest

from keras_recres.layers import RecurrentResidual
from keras_recres.models import rules
from keras_recres.models.fold_controls import Dropped, LowRank
from keras_recres.models.recurrent import planned
from keras_recres.zoo import drawing
from tests.marks import slow_on, slow_on_tensorflow
from tests.training.fit.test_fit import interrupt_in, metrics, run
from tests.training.fit.test_options import weights_of
from training import data
from training.data import batches
from training.errors import UserError
from training.fit import in_depth, models, optimizers, trainee
from training.fit import loop as fit

BLOCKS = 4
TINY = {"model_arguments": [], "limit": 256, "epochs": 2, "learning_rate": 1e-2}


def network(blocks=BLOCKS):
    """A residual classifier of corners that rescales pixels itself."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(x))
    x = keras.layers.Dense(16, name="stem")(x)
    for i in range(blocks):
        y = keras.layers.Dense(16, activation="tanh", name=f"block{i}_dense")(x)
        x = keras.layers.Add(name=f"block{i}_add")([x, y])
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(x))


@pytest.fixture(scope="module")
def trained_file(tmp_path_factory, corners_file):
    """The file of one that has learnt them."""
    images = data.load("corners", "train", corners_file, limit=256)
    model = network()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True), run_eagerly=True)
    model.optimizer.learning_rate = 1e-2
    model.fit(np.asarray(images.images, "float32"), images.labels, 32, epochs=5, verbose=0)
    path = tmp_path_factory.mktemp("trained") / "mine.keras"
    model.save(path)
    return str(path)


@pytest.fixture
def train(fit_arguments, trained_file, tmp_path, monkeypatch, without_xla):
    monkeypatch.setattr(drawing, "draw", lambda *args: None)

    def run_one(out, code=0, **changes):
        assert run(fit_arguments(out, **{**TINY, "name": trained_file, **changes})) == code
        return metrics(tmp_path, out) if code == 0 else None

    return run_one


@pytest.fixture
def wrong_labels(monkeypatch):
    """Training images have another class's label: what is right can come from the original only."""
    getitem = batches.Batches.__getitem__

    def wrong(self, number):
        images, labels = getitem(self, number)
        return images, np.roll(labels, 1, axis=1) if self.training else labels

    monkeypatch.setattr(batches.Batches, "__getitem__", wrong)


@slow_on("jax")
@slow_on_tensorflow
def test_folded_blocks_learn_from_the_original(train, wrong_labels, tmp_path, capsys):
    m = train("folded", fold="*=0", distillation=1, label_smoothing=0)
    before = capsys.readouterr().err
    assert "fold(first, 0)" in before
    assert "blocks dropped: outputs off by" in before
    assert m["val_accuracy"] > 0.9
    settings = m["settings"]
    assert (settings["name"], settings["fold"]) == ("mine", "*=0")
    assert settings["original"].startswith("sha256:")
    # The whole network is there, and is the one that was measured.
    model = keras.saving.load_model(tmp_path / "folded" / "mine.corners.keras")
    (block,) = (layer for layer in model.layers if isinstance(layer, RecurrentResidual))
    assert block.steps == BLOCKS
    weights = weights_of(tmp_path / "folded" / "mine.corners.weights.h5")
    assert sum(w.size for w in weights.values()) == model.count_params() == m["parameters"]


def test_the_loss_of_features_is_that_of_its_equation():
    model = network()
    folded, _, (plan,) = planned(model, rules.fold())
    x = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 1)).astype("float32")
    labels = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0]]
    features = keras.Model(model.input, plan.tensors[1:])(x)
    states = keras.Model(folded.input, plan.made.input)(x)
    states = plan.made(states, return_states=True)
    wanted = 0.0
    for t, z in enumerate(features):
        z, s = (keras.ops.convert_to_numpy(v).astype("float64") for v in (z, states[t]))
        wanted += ((s - z) ** 2).sum(1) / (z**2).sum(1)
    wanted = wanted.mean() / BLOCKS
    assert wanted > 0.01
    pairs = [(plan.made, plan.tensors[1:])]
    losses = []
    for how in (None, (3.0, model, pairs)):
        student = trainee.Trainee(folded, features=how)
        models.compile_model(student, "adam")
        outputs = student(x, training=True)
        losses.append(float(student.compute_loss(x, labels, outputs, None, True)))
    assert losses[1] - losses[0] == pytest.approx(3 * wanted, rel=1e-3)
    # What is evaluated is the network alone.
    assert student(x, training=False).shape == (5, 4)


@slow_on("jax")
@slow_on_tensorflow
def test_a_deepened_network_begins_as_it_was_and_learns_to_use_its_steps(train, tmp_path):
    before = train("before", deepen="*=1", epochs=1, learning_rate=1e-20)
    start = train("start", deepen="*=2", epochs=1, learning_rate=1e-20)
    assert start["val_loss"] == pytest.approx(before["val_loss"], abs=1e-5)
    assert start["parameters"] == before["parameters"] + BLOCKS
    after = train("after", deepen="*=2", distillation=0, features=0)
    assert after["val_loss"] < start["val_loss"]
    weights = weights_of(tmp_path / "after" / "mine.corners.weights.h5")
    scales = [abs(w) for w in weights.values() if w.shape == (1,)]
    assert len(scales) == BLOCKS
    assert min(scales) > 1e-3


def test_controls_are_of_one_block_and_of_low_rank():
    model = network()
    x = np.random.default_rng(1).uniform(0, 255, (8, 32, 32, 1)).astype("float32")
    labels = np.eye(4, dtype="float32")[[0, 1, 2, 3] * 2]
    kinds = {"untrained": Dropped, "dropped": Dropped, "low_rank": LowRank}
    made = {
        name: planned(model, kind(**vars(rules.fold(rank=3))), x) for name, kind in kinds.items()
    }
    for name in ("dropped", "low_rank"):
        control, _, plans = made[name]
        trained = trainee.Trainee(
            control, features=(1.0, model, [(p.made, p.tensors[-1:]) for p in plans])
        )
        models.compile_model(trained, optimizers.make(trained, "adamw", 0.1, weight_decay=0.05))
        trained.run_eagerly = True
        trained.train_on_batch(x, labels)
    expected = network(1)
    for name in ("stem", "block0_dense", "head"):
        expected.get_layer(name).set_weights(model.get_layer(name).get_weights())
    untrained, (low_rank, *_) = made["untrained"][0], made["low_rank"]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(untrained(x)),
        keras.ops.convert_to_numpy(expected(x)),
        atol=1e-6,
    )
    (layer,) = (p for p in low_rank.layers if isinstance(p, RecurrentResidual))
    (correction,) = layer.own_corrections
    # 4 · 3 columns of factors in three steps, and no whole kernel but the first block's.
    assert correction.a.shape == (3, 16, 4)
    assert not keras.ops.convert_to_numpy(correction.variable).any()
    assert sum(np.prod(v.shape) for v in layer.trainable_variables) == 3 * (4 * 32 + 16)


@pytest.mark.slow
def test_a_folded_training_goes_on_as_it_began(train, monkeypatch):
    options = {"fold": "*=2", "augment": "crop", "epochs": 3}
    whole = train("whole", **options)
    with monkeypatch.context() as patch:
        interrupt_in(patch, epoch=3)
        train("parts", code=130, **options)
    parts = train("parts", **options)
    for key in ("train_loss", "val_loss", "val_accuracy"):
        assert parts[key] == whole[key], key


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vit3", "--deepen", "*=2", "--fold", "*=1"], "not both"),
        (["mine.keras"], "--deepen or --fold is for"),
        (["vit3", "--control", "dropped"], "give --fold"),
        (["vit3", "--fold", "*=1", "--steps", "uniform(1,2)"], "--steps is for --deepen"),
        (["vit3", "--deepen", "conv4*"], r"found 'conv4\*'"),
        (["vit3", "--deepen", "*=2,keep=ends"], r"PATTERN=STEPS\[,residual_scale"),
        (["vit3", "--fold", "*=2,init=best"], "'init'|`init`"),
        (["vit3", "--fold", "*=0", "--control", "low_rank"], "a rank above 0"),
        (["vit3", "--features", "-1"], "at least 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, said):
    with pytest.raises(UserError, match=said):
        fit.check(fit.arguments([*arguments, "--dataset", "mnist"]))


def test_rules_are_read():
    a = fit.arguments(["vit3", "--dataset", "mnist", "--fold", "a*=3,keep=ends b=0"])
    assert in_depth.parse(a) == {"a*": rules.fold(rank=3, keep="ends"), "b": rules.fold()}
    a = fit.arguments(["vit3", "--dataset", "mnist", "--deepen", "*=2,residual_scale=none"])
    assert in_depth.parse(a) == {"*": rules.repeat(2, residual_scale=None)}


@pytest.mark.neutral
def test_a_file_must_fit_the_images(train, tmp_path, capsys):
    images = keras.Input((32, 32, 1))
    x = keras.layers.GlobalAveragePooling2D()(images)
    for name, outputs, said in (
        ("classes", keras.layers.Dense(5)(x), "gives 5 classes, but corners has 4"),
        ("softmax", keras.layers.Dense(4, activation="softmax")(x), "ends with a softmax"),
    ):
        keras.Model(images, outputs).save(tmp_path / f"{name}.keras")
        train("run", code=2, name=str(tmp_path / f"{name}.keras"), fold="*=0")
        assert said in capsys.readouterr().err
    train("run", code=2, fold="*=0", model_arguments=["depth=1"])
    assert "depth" in capsys.readouterr().err
