"""Every function of `keras_private`: a release of Keras that breaks one of them is told here."""

import inspect
import io
import threading

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import RecurrentResidual

BACKEND = keras.backend.backend()


def network():
    """Two dense layers, the second in a model inside."""
    inputs = keras.Input((4,))
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="b")], name="inner")
    return keras.Model(inputs, inner(keras.layers.Dense(3, name="a")(inputs)))


def test_each_function_has_a_test():
    public = {
        name
        for name, value in vars(keras_private).items()
        if inspect.isfunction(value)
        and value.__module__ == keras_private.__name__
        and not name.startswith("_")
    }
    source = inspect.getsource(inspect.getmodule(test_each_function_has_a_test))
    missing = {name for name in public if f"keras_private.{name}(" not in source}
    assert not missing


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_a_terminal_lacks_is_left_out(monkeypatch, encoding):
    written = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", written)
    keras_private.print_message("784 → 10")
    text = written.buffer.getvalue().decode(encoding)
    assert text == ("784 → 10\n" if encoding == "utf-8" else "784  10\n")


@pytest.mark.parametrize("stdout", ["none", "closed"])
def test_a_message_without_a_terminal_raises_nothing(monkeypatch, stdout):
    written = io.StringIO()
    written.close()
    monkeypatch.setattr("sys.stdout", None if stdout == "none" else written)
    keras_private.print_message("784 → 10")


def test_a_seed_fixes_what_is_drawn_and_known_backends_stay_known():
    drawn = []
    for _ in range(2):
        keras_private.set_random_seed(7)
        drawn.append(keras.random.normal((3,)))
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, drawn))
    # What Keras knows of TensorFlow is as before.
    there = keras_private.module_utils.tensorflow.available
    keras_private.set_random_seed(7)
    assert keras_private.module_utils.tensorflow._available == there


def test_masks():
    x = ops.ones((2, 3))
    assert keras_private.get_mask(x) is None
    mask = ops.ones((2,), dtype="bool")
    keras_private.set_mask(x, mask)
    assert keras_private.get_mask(x) is mask


def test_let_share():
    layer, config = keras.layers.Dense(2), {}
    keras_private.let_share(layer, config)
    # Only while a model is saved.
    assert config == {}
    with keras_private.serialization_lib.ObjectSharingScope():
        keras_private.let_share(layer, config)
    assert config == {"shared_object_id": id(layer)}


def test_autocast():
    variable = keras.Variable(np.ones(2, "float32"))
    assert keras_private.autocasts(variable)
    assert not keras_private.autocasts(keras.Variable(np.ones(2, "float32"), autocast=False))
    with keras_private.autocast_scope("bfloat16"):
        assert keras.backend.standardize_dtype(variable.value.dtype) == "bfloat16"
        with keras_private.autocast_scope(None):
            assert keras.backend.standardize_dtype(variable.value.dtype) == "float32"


def test_graph():
    model = network()
    names = [layer.name for layer in keras_private.sublayers(model)]
    assert {"a", "inner", "b"} <= set(names)
    assert names.index("inner") < names.index("b")
    assert keras_private.sublayers(model.layers[1], include_self=False) == []
    assert keras_private.function_of(model) is model
    assert isinstance(model, keras_private.functional_class())
    inner = model.get_layer("inner")
    assert keras_private.function_of(inner) is not None
    assert keras_private.function_of(inner.layers[0]) is None
    called = [node.operation.name for node in keras_private.nodes_of(model) if not node.is_input]
    assert called == ["a", "inner"]
    operation, given = keras_private.producer(model.outputs[0])
    assert operation is inner
    assert keras_private.output_index(model.outputs[0]) == 0
    assert given == [model.get_layer("a").output]
    x = np.ones((1, 4), "float32")
    seen = []

    def watched(operation):
        seen.append(operation.name)
        return operation

    found = keras_private.run_graph(model, ops.convert_to_tensor(x), watched)
    np.testing.assert_allclose(*(ops.convert_to_numpy(y) for y in (found, model(x))))
    assert seen[-2:] == ["a", "inner"]


def test_losses():
    layer = keras.layers.Dense(2, activity_regularizer="l2")
    layer(np.ones((1, 2), "float32"))
    before = [float(loss) for loss in layer.losses]
    with keras_private.losses_kept(layer):
        layer(np.zeros((1, 2), "float32"))
    assert [float(loss) for loss in layer.losses] == before
    # A loss that was forgotten is counted anew.
    x = np.ones((1, 2), "float32")
    with keras.StatelessScope(collect_losses=True) as scope:
        layer(x)
    keras_private.forget_losses(layer, scope.losses)
    with keras.StatelessScope(collect_losses=True) as again:
        layer(x)
    assert len(again.losses) == len(scope.losses) == 1


def test_attention():
    layer = keras.layers.MultiHeadAttention(2, 3, use_gate=True)
    layer.build((None, 5, 4), (None, 5, 4))
    assert tuple(keras_private.attended_axes(layer)) == (1,)
    assert keras_private.gate_of(layer).kernel.shape == (4, 2, 3)


def test_lambda_layers_are_made_again():
    config = keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x + 1))
    with keras_private.unsafe_code_allowed():
        layer = keras.saving.deserialize_keras_object(config)
    assert float(layer(ops.ones((1,)))[0]) == 2


def test_tracing_places_are_there():
    for owner, name in keras_private.tracing_places().values():
        assert name in vars(owner), name
    for module in ("core", "nn", "numpy"):
        assert inspect.ismodule(keras_private.backend_module(module))


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution is JAX' alone in Keras 3.15")
def test_layout_map():
    mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    keys = keras.distribution.LayoutMap(mesh)
    keys["a/kernel"] = (None, "model")
    kind = keras.distribution.ModelParallel(layout_map=keys, batch_dim_name="batch")
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(kind)
    try:
        assert list(keras_private.layout_map()) == ["a/kernel"]
    finally:
        keras.distribution.set_distribution(before)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's device")
def test_torch_device():
    assert keras_private.torch_device() in ("cpu", "cuda", "mps", "xpu")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's trainer")
def test_tensorflow_trainer():
    import tensorflow as tf

    told = []

    def reduce(original, values, strategy, reduction):
        told.append(reduction)
        return original(values, strategy, reduction)

    def first(trainer, iterator, batch):
        told.append("first")
        return next(next(iter(iterator))[2]) if iterator is not None else batch

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    with keras_private.tensorflow_trainer(reduce, first):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), batch_size=2, verbose=0)
    assert "first" in told
    assert len(set(told)) > 1
    count = len(told)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), batch_size=2, verbose=0)
    assert len(told) == count


class Counting(keras.initializers.Initializer):
    """Ones, and how often they were asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self, shape, dtype=None, **kwargs):
        self.calls += 1
        return ops.ones(shape, dtype)


def test_initial_values_come_when_nothing_else_did():
    initializers = [Counting() for _ in range(3)]
    layers = [keras.layers.Dense(2, kernel_initializer=given) for given in initializers]
    elsewhere = []
    with keras_private.values_given_later():
        for layer in layers:
            layer.build((None, 2))
        layers[0].kernel.assign(np.full((2, 2), 5.0))
        # One that is read inside has its value all the same.
        np.testing.assert_array_equal(ops.convert_to_numpy(layers[1].kernel), 1)
        with keras_private.values_given_later():  # The outer scope goes on.
            layers[1].bias.assign(np.full(2, 7.0))

        def of_another_thread():
            elsewhere.append(keras.Variable(Counting(), shape=(2,)))

        thread = threading.Thread(target=of_another_thread)
        thread.start()
        thread.join()
    assert initializers[0].calls == (0 if BACKEND == "jax" else 1)
    assert initializers[2].calls == 1
    wanted = [5.0, 1.0, 1.0]
    for layer, value in zip(layers, wanted, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(layer.kernel), value)
    np.testing.assert_array_equal(ops.convert_to_numpy(layers[1].bias), 7)
    np.testing.assert_array_equal(ops.convert_to_numpy(elsewhere[0]), 1)
    # And outside of the scope all is as Keras does it.
    after = keras.Variable(initializers[0], shape=(2,))
    np.testing.assert_array_equal(ops.convert_to_numpy(after), 1)
    assert initializers[0].calls == (1 if BACKEND == "jax" else 2)


def test_initial_values_are_those_of_the_seed():
    def kernel():
        keras.utils.set_random_seed(3)
        layer = keras.layers.Dense(4)
        layer.build((None, 3))
        return layer.kernel

    with keras_private.values_given_later():
        later = kernel()
    np.testing.assert_array_equal(*(ops.convert_to_numpy(v) for v in (later, kernel())))


@pytest.mark.skipif(BACKEND != "jax", reason="JAX alone is slow to compute initial values")
def test_the_zoo_loads_without_computing_initial_values(monkeypatch):
    from keras_recres import zoo

    asked = []
    for kind in (keras.initializers.GlorotUniform, keras.initializers.Orthogonal):
        original = kind.__call__
        monkeypatch.setattr(
            kind, "__call__", lambda *a, of=original, **k: (asked.append(a[1]), of(*a, **k))[1]
        )
    zoo.load("vit3_rec")
    assert not asked
    model = zoo.load("vit3_rec", num_classes=3)  # The head is fresh, and nothing else.
    assert not asked
    head = ops.convert_to_numpy(model.get_layer("head").kernel)
    assert 0.01 < head.std() < 0.03
    keras.layers.Dense(2).build((None, 3))
    assert asked


@pytest.mark.neutral
def test_names_begin_again_and_go_on():
    before = keras.layers.Dense(1).name
    with keras_private.names_from_start():
        assert [keras.layers.Dense(1).name for _ in range(2)] == ["dense", "dense_1"]
    number = int(before.partition("_")[2] or 0) + 1
    assert keras.layers.Dense(1).name == f"dense_{number}"


@pytest.mark.neutral
def test_downloads_go_through_a_function_of_ours(tmp_path):
    source, calls = tmp_path / "source", []
    source.write_text("whole")

    def fetch(url, path, report):
        calls.append(url)
        with open(path, "w") as file:
            file.write("ours")

    def get(name):
        found = keras.utils.get_file(name, origin=source.as_uri(), cache_dir=tmp_path)
        with open(found) as file:
            return file.read()

    with keras_private.downloads_by(fetch):
        assert get("a") == "ours"
    assert get("b") == "whole"
    assert calls == [source.as_uri()]


def nested(names):
    """A network of two blocks with the same values, whatever the blocks are called."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((4,))
    for name in names:
        dense = keras.layers.Dense(4, activation="tanh", name="dense")
        x = RecurrentResidual(keras.Sequential([keras.Input((4,)), dense], name=name), 2)(x)
    return keras.Model(inputs, x)


def test_weights_of_one_path_learn_as_those_of_two(tmp_path):
    """With Keras' own method the gradients of some were never cleared on PyTorch."""
    x, y = np.random.default_rng(0).normal(size=(2, 12, 4)).astype("float32")
    apart, alike = nested(("one", "two")), nested(("one", "one"))
    alike.save(tmp_path / "alike.keras")
    learnt = []
    for model in (apart, alike, keras.saving.load_model(tmp_path / "alike.keras")):
        model.compile(keras.optimizers.SGD(0.1), "mean_squared_error")
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        learnt.append(model.get_weights())
    for other in learnt[1:]:
        for one, two in zip(learnt[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
