"""What training does with recurrence: steps drawn, truncated, supervised, taught."""

import collections
import dataclasses
import re

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.layers import RecurrentResidual
from keras_recres.zoo import drawing, manifest, problems, sources
from keras_recres.zoo.evaluation import evaluate
from tests.marks import slow_on, slow_on_tensorflow
from tests.training import small
from tests.training.fit.test_fit import interrupt_in, metrics, peek, run
from tests.training.fit.test_options import PLAIN, WEIGHTS, weights_of
from training.data import batches
from training.errors import UserError
from training.fit import loop as fit
from training.fit import models, precision, steps, teacher, trainee

STEM = [f"layers/dense/vars/{i}" for i in (0, 1)]


@pytest.fixture
def train(fit_arguments, monkeypatch, tmp_path):
    """Trains the small recurrent model, without dropout; returns its metrics and weights."""
    monkeypatch.setattr(fit, "build", small.build_recurrent)
    monkeypatch.setattr(drawing, "draw", lambda *args: None)  # Which takes as long as the rest.

    def run_one(out, code=0, **changes):
        options = {**PLAIN, "model_arguments": ["dropout=0"], **changes}
        assert run(fit_arguments(out, **options)) == code
        return (metrics(tmp_path, out), weights_of(tmp_path / out / WEIGHTS)) if code == 0 else None

    return run_one


@pytest.fixture
def drawn(monkeypatch):
    """The steps of every batch, one list an epoch."""
    found, begin = [], trainee.EpochOfSteps.on_epoch_begin

    def on_epoch_begin(self, epoch, logs=None):
        begin(self, epoch, logs)
        found.append(self.model.how.drawn)

    monkeypatch.setattr(trainee.EpochOfSteps, "on_epoch_begin", on_epoch_begin)
    return found


def network(count=3):
    keras.utils.set_random_seed(1)
    image = peek("mnist", (32, 32, 1), 4)
    return small.build_recurrent("vit3", image, {"steps": count, "dropout": 0})[0]


def draws(text, count=4000):
    found = collections.Counter(steps.parse(text).draw(0, 0, i, 1) for i in range(count))
    return {key: value / count for key, value in sorted(found.items())}


@pytest.mark.neutral
def test_steps_are_drawn_as_their_name_says():
    uniform = draws("uniform(1, 4)")
    assert list(uniform) == [1, 2, 3, 4]
    assert all(abs(share - 0.25) < 0.03 for share in uniform.values())
    poisson = draws("poisson(2)")
    # e⁻² (1 + 2), e⁻² 2² / 2!, e⁻² 2³ / 3!
    for value, share in ((1, 0.406), (2, 0.271), (3, 0.180)):
        assert poisson[value] == pytest.approx(share, abs=0.03)
    assert max(poisson) <= steps.parse("poisson(2)").most == 7
    grow = steps.parse("progressive(1,4)")
    assert [grow.draw(0, epoch, 5, 8) for epoch in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [grow.average(epoch, 8) for epoch in range(8)] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert steps.parse("uniform(1,4)").average(0, 1) == pytest.approx(2.5, abs=0.2)
    assert steps.parse("2,4,2") is steps.parse(None) is None
    drawn = steps.parse("incremental(3)")
    once = [(drawn.draw(0, 0, i, 1), drawn.backprop_steps(0, 0, i)) for i in range(4000)]
    before, after = zip(*((n - k, k) for n, k in once), strict=True)
    # Of 3: n = 0, 1, 2 equally often, then each k that is left.
    assert {*once} == {(n + k, k) for n in range(3) for k in range(1, 4 - n)}
    assert before.count(2) / 4000 == pytest.approx(1 / 3, abs=0.03)
    assert after.count(3) / 4000 == pytest.approx(1 / 9, abs=0.03)
    assert (drawn.fewest, drawn.most) == (1, 3)
    # Seed, epoch and batch decide, and nothing else.
    again = steps.parse("uniform(1,9)")
    one = [again.draw(3, 2, i, 9) for i in range(20)]
    assert one == [again.draw(3, 2, i, 9) for i in range(20)]
    assert one != [again.draw(3, 3, i, 9) for i in range(20)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unifrm(1,4)", "Did you mean 'uniform'"),
        ("uniform(4,1)", "found 'uniform(4,1)'"),
        ("uniform(1)", "found 'uniform(1)'"),
        ("uniform(0,2)", "found"),
        ("poisson(-1)", "found"),
        ("poisson(inf)", "found"),
        ("progressive(1,2.5)", "found"),
        ("incremental(0)", "found"),
        ("incremental(1,2)", "found"),
        ("uniform(1,4", "found"),
    ],
)
@pytest.mark.neutral
def test_a_typo_in_steps_is_one_sentence(text, said):
    with pytest.raises(UserError, match="--steps") as error:
        steps.parse(text)
    assert said in str(error.value)


def test_every_step_is_read_as_if_the_network_ended_there():
    model = network(3)
    images = np.random.default_rng(0).normal(size=(5, 32, 32, 1)).astype("float32")
    outputs = trainee.graph(model, every_step=True)(images)
    wanted = [model(images), *(trainee.graph(model, n)(images) for n in (1, 2))]
    for found, expected in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(found), keras.ops.convert_to_numpy(expected), atol=1e-6
        )
    assert abs(keras.ops.convert_to_numpy(wanted[1] - wanted[0])).max() > 1e-3


@pytest.mark.neutral
def test_in_a_vit_the_steps_of_all_blocks_are_read():
    model, _ = models.build(
        "vit3_rec",
        peek("mnist", (28, 28, 1), 10),
        {"embed_dim": 16, "num_heads": 2, "token_dim": 8, "depth": 3, "steps": (2, 3, 2)},
    )
    assert len(trainee.graph(model, every_step=True).outputs) == 7
    assert len(trainee.graph(model, 1, every_step=True).outputs) == 3


@slow_on("jax")
@slow_on_tensorflow
def test_networks_train_otherwise_and_evaluate_as_built(train, drawn):
    plain, _ = train("plain")
    supervised, _ = train("supervised", deep_supervision=0.5)
    assert supervised["train_loss"] > 1.2 * plain["train_loss"]
    assert abs(supervised["val_loss"] - plain["val_loss"]) > 0
    two, weights = train("two", steps="uniform(2,2)")
    assert two["val_loss"] == pytest.approx(plain["val_loss"], abs=1e-6)
    assert two["settings"]["steps"] == "uniform(2,2)"
    _, others = train("grow", steps="progressive(1,2)", epochs=2, limit=32)
    assert drawn[-2:] == [[1] * 2, [2] * 2]
    assert weights.keys() == others.keys()  # Those of the network, no more.


@pytest.mark.filterwarnings("error:Gradients do not exist")
def test_parameters_of_later_steps_may_be_frozen():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    branch = keras.Sequential([keras.layers.LayerNormalization(name="norm"), keras.layers.Dense(3)])
    block = RecurrentResidual(branch, steps=2, unshare=("norm",), name="block")
    model = keras.Model(inputs, block(inputs))
    before = [[np.array(v.numpy()) for v in per_step] for per_step in block.own_per_step]
    trained = trainee.Trainee(model, steps.parse("progressive(1,2)"), epochs=2)
    trained.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    trained.fit(x, x**2, epochs=1, verbose=0)
    for (old_first, old_second), (first, second) in zip(before, block.own_per_step, strict=True):
        assert abs(first.numpy() - old_first).max() > 0
        np.testing.assert_array_equal(second.numpy(), old_second)
    said = "Gradients do not exist for variables {} when"
    assert re.match(trainee.RESTING, said.format(["a/step1_norm_beta", "b/c/step2_norm_beta"]))
    # What should have learnt is told.
    assert not re.match(trainee.RESTING, said.format(["a/step1_norm_beta", "head/kernel"]))


@slow_on_tensorflow
@pytest.mark.graphs
@pytest.mark.parametrize("text", ["uniform(1,2)", "incremental(2)"])
def test_a_number_of_steps_is_compiled_once(train, drawn, monkeypatch, text):
    traced, call = [], trainee.Trainee.call

    def count(self, inputs, training=None):
        if training:
            traced.append(self.how.now)
        return call(self, inputs, training)

    monkeypatch.setattr(trainee.Trainee, "call", count)
    train("run", steps=text, epochs=3, limit=128)
    last = steps.parse(text).backprop_steps
    ran = [(n, last(0, e, i)) for e, epoch in enumerate(drawn) for i, n in enumerate(epoch)]
    assert {n for n, _ in ran} == {1, 2}
    if keras.backend.backend() == "torch":
        assert traced == ran  # Every step is a call.
    else:
        # TensorFlow and JAX may trace a function twice, but not once a batch.
        assert all(1 <= traced.count(now) <= 2 for now in {*ran})
        assert len(ran) > 4


@slow_on("jax")
@slow_on_tensorflow
def test_steps_beyond_the_last_k_send_no_gradient(train):
    draw = steps.parse("uniform(1,2)").draw
    # One batch: nothing reaches the stem if it ran two steps, of which one is followed back.
    once, twice = (next(s for s in range(99) if draw(s, 0, 0, 1) == n) for n in (1, 2))
    options = {"limit": 16, "steps": "uniform(1,2)"}
    for seed, changes in ((once, True), (twice, False)):
        _, start = train(f"start{seed}", seed=seed, learning_rate=1e-20, **options)
        _, found = train(f"truncated{seed}", seed=seed, backprop_steps=1, **options)
        for name in STEM:
            assert (abs(found[name] - start[name]).max() > 1e-4) == changes
        # The block and what follows it did learn.
        assert sum(abs(found[name] - start[name]).max() > 1e-4 for name in start) >= 2


def test_deep_supervision_adds_the_loss_of_earlier_steps():
    model = network(3)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(5, 32, 32, 1)).astype("float32")
    labels = np.eye(4, dtype="float32")[rng.integers(0, 4, 5)]
    losses = []
    for n in (1, 2, 3):
        logits = keras.ops.convert_to_numpy(trainee.graph(model, n)(images)).astype("float64")
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        losses.append(-(labels * log_p).sum(1).mean())
    student = trainee.Trainee(model, supervision=0.5)
    models.compile_model(student, "adam")
    outputs = student(images, training=True)
    found = student.compute_loss(images, labels, outputs, None, True)
    assert float(found) == pytest.approx(losses[2] + 0.5 * (losses[0] + losses[1]) / 2, rel=1e-5)


def test_the_divergence_is_that_of_its_equation():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 6, 4)).astype("float32")
    q, p = np.exp(logits / 3) / np.exp(logits / 3).sum(2, keepdims=True)
    wanted = 9 * (q * np.log(q / p)).sum(1).mean()
    assert float(trainee.Divergence(3.0)(*logits)) == pytest.approx(wanted, rel=1e-4)
    assert float(trainee.Divergence(2.0)(q, q)) == pytest.approx(0, abs=1e-6)


@slow_on("jax")
@slow_on_tensorflow
def test_a_teacher_is_followed_against_the_labels(train, tmp_path, monkeypatch):
    options = {"limit": 512, "learning_rate": 1e-2}
    taught, _ = train("teacher", epochs=3, **options)
    assert taught["val_accuracy"] > 0.9
    original = batches.Batches.__getitem__

    def wrong(self, number):
        images, labels = original(self, number)
        return images, np.roll(labels, 1, axis=1) if self.training else labels

    monkeypatch.setattr(batches.Batches, "__getitem__", wrong)
    monkeypatch.setattr(teacher, "build", small.build_recurrent)
    options |= {"teacher": tmp_path / "teacher", "seed": 5}
    follows, _ = train("follows", distillation=1, **options)
    ignores, _ = train("ignores", distillation=0, **options)
    assert follows["val_accuracy"] > 0.7
    assert ignores["val_accuracy"] < 0.3
    assert follows["settings"]["teacher"].startswith("sha256:")


@pytest.mark.parametrize("changes", [{}, {"scale": 2 / 255, "mean": (), "std": ()}, {"bgr": True}])
def test_a_teacher_sees_its_own_normalisation(changes):
    own = zoo.info("vit3_rec").preprocessing_of("cifar10_jpeg")
    own = dataclasses.replace(own, **changes)
    keras.utils.set_random_seed(0)
    net = zoo.build("cifar_small", tag="cifar10_jpeg")
    assert teacher.normalized(net, net.preprocess) is net
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")
    follows = teacher.normalized(net, own)(own(pixels))
    wanted = keras.ops.convert_to_numpy(net(net.preprocess(pixels)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(follows), wanted, atol=1e-5)
    assert abs(keras.ops.convert_to_numpy(net(own(pixels))) - wanted).max() > 1e-2


@pytest.mark.neutral
def test_networks_of_other_families_teach():
    model = zoo.build("vit3", tag="cifar10_jpeg")
    image = peek("cifar10_jpeg", (32, 32, 3), 10)
    found = teacher.load("cifar_small", image, model, "mixed_bfloat16")
    assert found.layers[-1].compute_dtype == "bfloat16"
    cropped = dataclasses.replace(model.preprocess, crop=0.9)
    model.preprocess = cropped
    with pytest.raises(UserError, match=r"prepares images by .*'crop': 1\.0.* to teach .*0\.9"):
        teacher.load("cifar_small", image, model)


@pytest.mark.neutral
def test_a_teacher_of_the_zoo_is_recorded_with_its_weights():
    a = fit.arguments(["vit3_rec", "--dataset=cifar10", "--teacher=vit3"])
    settings = fit.settings_of(a, "vit3_rec", "cifar10_jpeg")
    file = sources.data_folder() / sources.weights_file("vit3", "cifar10_jpeg")
    assert settings["teacher"] == "vit3"
    assert settings["teacher_weights"] == manifest.entry_of(file)["sha256"]


@slow_on("jax")
@slow_on_tensorflow
def test_it_goes_on_exactly(train, monkeypatch):
    options = {
        "epochs": 2,
        "steps": "uniform(1,2)",
        "deep_supervision": 0.3,
        "backprop_steps": 1,
        "ema": 0.9,
        "model_arguments": [],
    }
    whole, weights = train("whole", **options)
    with monkeypatch.context() as patch:
        interrupt_in(patch, epoch=2)
        train("parts", code=130, **options)
    parts, found = train("parts", **options)
    for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert parts[key] == whole[key]
    for name, value in weights.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backprop_steps": 1}, "always runs at least 2 steps"),
        ({"backprop_steps": 1, "steps": "uniform(2,3)"}, "leave all that lies before 'block'"),
        ({"backprop_steps": 0}, "--backprop-steps must be at least 1"),
        ({"deep_supervision": -1}, "--deep-supervision must be at least 0"),
        ({"curvature": 1}, "--curvature must be 0 or at least 2, found 1"),
        (
            {"curvature": 8, "deep_supervision": 1},
            "--curvature is for a network that is trained as",
        ),
        ({"distillation": 2}, "--distillation must be from 0 to 1"),
        ({"temperature": 0}, "--temperature must be above 0"),
        ({"teacher": "vit33"}, "did you mean 'vit3'"),
        ({"teacher": "vit3"}, "--teacher: "),
        ({"teacher": "/"}, "cannot be read"),
    ],
)
@pytest.mark.neutral
def test_mistakes_end_in_one_sentence_and_code_2(train, capsys, changes, said):
    train("run", code=2, **changes)
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@slow_on("jax")
def test_gradients_are_collected_of_weights_that_every_batch_has(train, capsys):
    collects = {"steps": "uniform(1,3)", "accumulate": 2}
    train("fine", **collects)
    code = 0 if keras.backend.backend() == "jax" else 2
    train("run", code=code, backprop_steps=2, **collects)
    assert ("is for JAX" in capsys.readouterr().err) == bool(code)


@pytest.mark.neutral
def test_what_is_not_recurrent_has_no_steps_to_draw(fit_arguments, small_model, capsys):
    assert run(fit_arguments(**{**PLAIN, "steps": "uniform(1,2)"})) == 2
    assert "cifar_small has no recurrent blocks" in capsys.readouterr().err


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="it compiles 21 training steps, which takes minutes"
)
def test_what_is_learnt_on_short_strings_holds_on_longer_ones_with_more_steps(tmp_path):
    """Prefix sums of 6 bits: a state that goes on from wherever it is, not a fixed depth."""
    out = tmp_path / "run"
    arguments = ["width=32", "steps=6", "exit_threshold=null"]
    options = {
        "dataset": "prefix_sums/6",
        "out": out,
        "epochs": 1,
        "limit": 13000,
        "batch-size": 100,
        "steps": "incremental(6)",
        "clip-norm": 1,
        "warmup-epochs": 0.1,
        "learning-rate": 4e-3,
        "label-smoothing": 0,
        "weight-decay": 2e-4,
    }
    command = [f"--{key}={value}" for key, value in options.items()]
    assert run(["prefix_sum_rec", *command, "--model-arguments", *arguments]) == 0
    weights = out / "prefix_sum_rec.prefix_sums_6.weights.h5"
    found = {}
    for bits, count in ((6, 6), (16, 3), (16, 16)):
        model = zoo.build("prefix_sum_rec", width=32, steps=count, input_shape=(bits, 1))
        model.load_weights(weights)
        split = problems.read(f"prefix_sums/{bits}", "test", 200)
        found[bits, count] = evaluate(model, split.data, split.labels)["top1_percent"]
    assert found[6, 6] > 90
    assert found[16, 16] > 2 * found[16, 3]


def test_numbers_too_small_to_be_fast_are_zero():
    if keras.backend.backend() != "torch":
        pytest.skip("PyTorch alone computes with them")
    import torch

    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot do without them")
    least = torch.tensor(1.2e-38)
    with precision.subnormals_are_zero():
        assert least / 2 == 0
    assert least / 2 != 0
