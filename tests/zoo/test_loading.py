import logging
import shutil

import keras
import numpy as np
import pytest

import keras_recres.models
from keras_recres import zoo
from keras_recres.zoo import Preprocessing, class_names
from tests.marks import slow_on_tensorflow

FILE = "weights/toy_rec.small.weights.h5"
FIVE = ("ant", "bee", "cat", "dog", "eel")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def assert_same(model, other, shape=(2, 4, 4, 3), atol=1e-6):
    x = inputs(*shape)
    np.testing.assert_allclose(numpy(model(x)), numpy(other(x)), atol=atol)


def assert_layers_equal(model, other, names):
    for name in names:
        pairs = zip(model.get_layer(name).weights, other.get_layer(name).weights, strict=True)
        for a, b in pairs:
            np.testing.assert_array_equal(numpy(a), numpy(b))


def test_default_weights(trained):
    model = zoo.load("toy_rec")
    assert_same(model, trained)
    assert model.name == "toy_rec"
    assert model.zoo_tag == "small"
    assert model.zoo_record == zoo.info("toy_rec")


@pytest.mark.parametrize("call", [("toy_rec", "small"), ("toy_rec.small",)])
def test_a_tag_by_name_and_by_argument(trained, call):
    assert_same(zoo.load(*call), trained)


def test_architecture_only(toy_zoo):
    model = zoo.load("toy_rec", weights=None)
    assert model.input_shape == (None, 8, 8, 3)
    assert model.output_shape == (None, 7)
    assert model.count_params() == model.zoo_record.parameters.total == 327
    assert model.zoo_tag is None
    of_tag = zoo.load("toy_rec.small", weights=None)
    assert of_tag.input_shape == (None, 4, 4, 3)
    assert of_tag.zoo_tag == "small"


def test_preprocess_is_that_of_the_tag(toy_zoo):
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), dtype="uint8")
    model = zoo.load("toy_rec")
    assert model.preprocess.size == (4, 4)
    assert model(model.preprocess(images)).shape == (2, 5)
    model = zoo.load("toy_rec", weights=None)
    assert (model.preprocess.size, model.preprocess.crop) == ((8, 8), 0.8)
    model = zoo.load("toy_rec", input_shape=(6, 5, 3))
    assert model(model.preprocess(images)).shape == (2, 5)
    model = zoo.load("toy_rec", weights=None, input_shape=(6, 5, 1))
    assert model(model.preprocess(images[..., :1])).shape == (2, 7)


def test_no_preprocessing_is_a_cast(toy_zoo):
    path = toy_zoo / "configs" / "toy_rec.json"
    text = path.read_text()
    start, end = text.index('"preprocessing": {"size": [8, 8]'), text.index('"default_tag"')
    path.write_text(text[:start] + '"preprocessing": null, ' + text[end:])
    model = zoo.build("toy_rec")
    assert model.preprocess == Preprocessing()
    assert numpy(model.preprocess(np.ones((2, 3)))).dtype == "float32"


def test_attributes_do_not_reach_keras(trained, tmp_path):
    model = zoo.load("toy_rec")
    assert len(model.layers) == len(trained.layers)
    assert [w.path for w in model.weights] == [w.path for w in zoo.build("toy_rec.small").weights]
    assert len(model.variables) == len(trained.variables)
    assert model.get_config().keys() == {*trained.get_config(), "zoo"}
    model.save_weights(tmp_path / "again.weights.h5")
    trained.load_weights(tmp_path / "again.weights.h5")
    clone = keras.models.clone_model(model)
    assert len(clone.weights) == len(model.weights)
    model.compile("sgd", "mse")
    model.fit(inputs(4, 4, 4, 3), inputs(4, 5), verbose=0)
    assert isinstance(model.preprocess, Preprocessing)


def test_other_num_classes_gets_a_fresh_head(trained, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_recres"):
        model = zoo.load("toy_rec", num_classes=3)
    assert model.output_shape == (None, 3)
    assert_layers_equal(model, trained, ["stem", "position", "block"])
    (record,) = caplog.records
    assert record.getMessage() == (
        "toy_rec: the head (head) is new and untrained, since num_classes=3 are classes of your "
        "own."
    )


def test_equal_arguments_change_nothing(trained, caplog):
    model = zoo.load("toy_rec", input_shape=[4, 4, 3], steps=2)
    assert_same(model, trained)
    assert not caplog.records


class TestClasses:
    """Names belong to the head that was trained with them."""

    @pytest.fixture(autouse=True)
    def of_five(self, monkeypatch):
        monkeypatch.setitem(class_names.CLASS_NAMES, "cifar10", FIVE)

    def test_the_zoos_weights_have_the_names_of_their_data(self, trained):
        assert zoo.load("toy_rec").class_names == FIVE
        assert zoo.load("toy_rec", steps=3).class_names == FIVE
        assert zoo.build("toy_rec.small").class_names == FIVE
        assert zoo.build("toy_rec").class_names is None
        assert zoo.load("toy_rec", features_only=True).class_names is None

    def test_as_many_classes_of_ones_own_have_a_fresh_head_and_no_names(self, trained, caplog):
        model = zoo.load("toy_rec", num_classes=5)
        assert model.class_names is None
        assert_layers_equal(model, trained, ["stem", "position", "block"])
        assert not numpy(model.get_layer("head").bias).any()
        assert "(head) is new and untrained" in caplog.text
        ((_, name, _),) = zoo.decode_predictions(model, 9 * np.eye(5)[2:3], top=1)[0]
        assert name == "2"

    def test_their_names_give_their_number(self, trained, caplog):
        for classes in (["a", "b", "c"], FIVE[::-1]):
            model = zoo.load("toy_rec", classes=classes)
            assert model.output_shape == (None, len(classes))
            assert model.class_names == tuple(classes)
            assert not numpy(model.get_layer("head").bias).any()
        assert len(caplog.records) == 2
        model = zoo.load("toy_rec", weights=None, classes=["a", "b"], num_classes=2)
        assert (model.class_names, model.output_shape) == (("a", "b"), (None, 2))

    @pytest.mark.parametrize("name", ["mine", "toy_rec.small"])
    def test_weights_of_ones_own_load_whole(self, trained, tmp_path, caplog, name):
        path = tmp_path / f"{name}.weights.h5"
        trained.save_weights(path)
        whole = zoo.load("toy_rec", weights=path, num_classes=5, input_shape=(4, 4, 3))
        named = zoo.load("toy_rec.small", weights=path, classes=list("abcde"))
        for model, names in ((whole, None), (named, tuple("abcde"))):
            assert_same(model, trained)
            assert model.class_names == names
        # With another change beside, too, which the file does not have.
        wider = zoo.load("toy_rec.small", weights=path, num_classes=5, input_shape=(6, 4, 3))
        assert_layers_equal(wider, trained, ["stem", "block", "head"])
        assert not caplog.records

    @pytest.mark.parametrize("name", ["mine", "toy_rec.small"])
    def test_the_head_of_ones_own_stays_with_other_changes(self, trained, tmp_path, caplog, name):
        path = tmp_path / f"{name}.weights.h5"
        mine = zoo.build("toy_rec.small", num_classes=3)
        mine.save_weights(path)
        model = zoo.load("toy_rec.small", weights=path, num_classes=3, input_shape=(6, 4, 3))
        assert_layers_equal(model, mine, ["stem", "block", "head"])
        assert not caplog.records

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ({"classes": ["a", "b"], "num_classes": 3}, "num_classes=3 and .* 2, disagree"),
            ({"classes": "ab"}, "must be a list of names .* found 'ab'"),
            ({"classes": []}, "must be a list of names"),
            ({"classes": ["a", 1]}, "must be a list of names"),
            ({"classes": ["a", "b\nc"]}, "must be a list of names"),
            ({"classes": ["a", "b"], "features_only": True}, "there are none"),
        ],
    )
    def test_wrong_names(self, trained, arguments, sentence):
        with pytest.raises(ValueError, match=sentence):
            zoo.load("toy_rec", **arguments)

    def test_names_of_another_head_are_refused(self, trained):
        model = zoo.load("toy_rec")
        model.class_names = ["a", "b"]
        with pytest.raises(ValueError, match="must be 5 names, one for each class of 'toy_rec'"):
            zoo.decode_predictions(model, np.eye(5))


def test_without_a_head_as_many_classes_change_nothing():
    model = zoo.load("planar_rec", classes=["inside", "outside"])
    for ours, theirs in zip(model.weights, zoo.load("planar_rec").weights, strict=True):
        np.testing.assert_array_equal(numpy(ours), numpy(theirs))
    assert model.class_names == ("inside", "outside")


def test_other_input_shape_keeps_its_own_table(trained, caplog):
    model = zoo.load("toy_rec", input_shape=(6, 4, 3))
    assert_layers_equal(model, trained, ["stem", "block", "head"])
    assert numpy(model.get_layer("position").table).shape == (6, 4, 4)
    np.testing.assert_array_equal(numpy(model.get_layer("position").table), 1)
    assert not caplog.records


@slow_on_tensorflow
@pytest.mark.neutral
@pytest.mark.parametrize("name", ["cifar_small", "cifar_small_meta", "cifar_medium_meta"])
def test_weights_for_each_pixel_take_another_size(name, caplog):
    trained, model = zoo.load(name), zoo.load(name, input_shape=(48, 40, 3))
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(numpy(ours), numpy(theirs))
    assert f"{name}: built with map_size=(8, 8) for input_shape=(48, 40, 3), since" in caplog.text
    assert numpy(model(inputs(2, 48, 40, 3))).shape == (2, 10)
    layer = model.get_layer("resized")
    assert (layer.input.shape[1:3], layer.output.shape[1:3]) == ((12, 10), (8, 8))


def test_other_channels_do_not_fit(toy_zoo):
    with pytest.raises(ValueError, match=r"do not fit input_shape=\(4, 4, 1\): layer 'stem'"):
        zoo.load("toy_rec", input_shape=(4, 4, 1))


def test_other_steps_run_the_same_weights(trained):
    model = zoo.load("toy_rec", steps=5)
    assert_layers_equal(model, trained, ["stem", "position", "block", "head"])
    assert np.abs(numpy(model(inputs(2, 4, 4, 3))) - numpy(trained(inputs(2, 4, 4, 3)))).max() > 0.1


def test_weights_of_their_own_for_each_step_do_not_fit(toy_zoo, monkeypatch):
    toy = keras_recres.models.toy

    def per_step(steps=1, input_shape=(8, 8, 3), num_classes=7):
        return toy(steps, input_shape, num_classes, per_step=True)

    path = toy_zoo / "own.weights.h5"
    per_step(2, (4, 4, 3), 5).save_weights(path)
    monkeypatch.setattr(keras_recres.models, "toy", per_step)
    zoo.load("toy_rec.small", weights=path)
    more, named = per_step(3, (4, 4, 3), 5), toy_zoo / "toy_rec.small.weights.h5"
    more.save_weights(named)
    assert_same(zoo.load("toy_rec", weights=named, steps=3), more)
    with pytest.raises(ValueError, match="do not fit steps=3: layer 'step_scale'"):
        zoo.load("toy_rec.small", weights=path, steps=3)


def test_features_only(trained, caplog):
    model = zoo.load("toy_rec", features_only=True)
    expected = keras.Model(trained.input, trained.get_layer("pool").output)
    assert_same(model, expected)
    assert not caplog.records


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")  # JAX without x64
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "float64"])
@pytest.mark.parametrize("changed", [{}, {"steps": 3}])
def test_dtype_is_that_of_the_model_only(trained, dtype, changed):
    before = keras.config.dtype_policy()
    model = zoo.load("toy_rec", dtype=dtype, **changed)
    assert keras.config.dtype_policy() == before
    assert {layer.dtype_policy.name for layer in model.layers} == {dtype}
    policy = keras.DTypePolicy(dtype)
    assert model.get_layer("head").kernel.dtype == policy.variable_dtype
    kernel = numpy(keras.ops.cast(model.get_layer("head").kernel, "float32"))
    np.testing.assert_allclose(kernel, numpy(trained.get_layer("head").kernel), rtol=1e-2)


def test_policy_is_restored_after_an_error(toy_zoo, monkeypatch):
    def broken():
        raise RuntimeError("no")

    monkeypatch.setattr(keras_recres.models, "toy", lambda **arguments: broken())
    before = keras.config.dtype_policy()
    with pytest.raises(RuntimeError):
        zoo.build("toy_rec", dtype="float16")
    assert keras.config.dtype_policy() == before


def test_name_without_weights(toy_zoo):
    (toy_zoo / "manifest.json").unlink()
    sentence = (
        r"'toy_rec' has no trained weights yet; pass weights=None for the architecture, .*"
        r"the paper: 61.5 top1_percent on imagenet"
    )
    with pytest.raises(ValueError, match=sentence):
        zoo.load("toy_rec")
    zoo.load("toy_rec", weights=None)


def test_tag_without_weights(toy_zoo):
    sentence = "no trained weights yet for its tag 'grey'; weights exist for small; pass"
    with pytest.raises(ValueError, match=sentence):
        zoo.load("toy_rec", weights="grey")
    with pytest.raises(ValueError, match=sentence):
        zoo.load("toy_rec.grey")


@pytest.mark.parametrize(
    ("call", "arguments", "sentence"),
    [
        (("toy",), {}, r"no 'toy' \(did you mean 'toy_rec'\?\)"),
        (("toy_rec", "smal"), {}, r"no tag 'smal' \(did you mean 'small'\?\)"),
        (("toy_rec.grey", "small"), {}, "already names the tag 'grey', but weights='small'"),
        (("toy_rec", 3), {}, "weights must be 'default', None, a tag, or the path .* found 3"),
        (("toy_rec", "a.pth"), {}, r"path of a \.weights\.h5 file, found 'a\.pth'"),
    ],
)
def test_wrong_calls(toy_zoo, call, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        zoo.load(*call, **arguments)


def test_arguments_that_the_builder_lacks(toy_zoo, monkeypatch):
    def points(steps=1, input_shape=(2,), num_classes=2):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])

    monkeypatch.setattr(keras_recres.models, "toy", points)
    sentence = (
        "'toy_rec' cannot be built with features_only=True; its builder models.toy takes "
        "steps, input_shape, num_classes"
    )
    with pytest.raises(ValueError, match=sentence):
        zoo.load("toy_rec", weights=None, features_only=True)
    with pytest.raises(ValueError, match=r"with num_clases=3 \(did you mean 'num_classes'\?\);"):
        zoo.build("toy_rec", num_clases=3)


def test_only_public_builders_are_called(toy_zoo):
    path = toy_zoo / "configs" / "toy_rec.json"
    path.write_text(path.read_text().replace('"builder": "toy"', '"builder": "__doc__"'))
    with pytest.raises(ValueError, match="builder '__doc__', which is not among keras_recres"):
        zoo.build("toy_rec")


class TestOwnFile:
    """Weights given as a path."""

    def test_called_as_the_zoo_calls_it(self, trained, toy_zoo, tmp_path):
        path = tmp_path / "toy_rec.small.weights.h5"
        shutil.copy(toy_zoo / FILE, path)
        for weights in (path, str(path)):
            model = zoo.load("toy_rec", weights=weights)
            assert_same(model, trained)
            assert model.zoo_tag == "small"

    def test_called_otherwise(self, trained, toy_zoo, tmp_path):
        path = tmp_path / "mine.weights.h5"
        shutil.copy(toy_zoo / FILE, path)
        assert_same(zoo.load("toy_rec.small", weights=path), trained)
        with pytest.raises(ValueError, match=r"mine.weights.h5 do not fit 'toy_rec': .*") as error:
            zoo.load("toy_rec", weights=path)
        assert str(error.value).endswith("name that, as in 'toy_rec.small'.")
        # One sentence, and no library's traceback above it.
        assert error.value.__context__ is None

    def test_written_with_the_arguments_that_are_asked_for(self, toy_zoo, tmp_path, caplog):
        path = tmp_path / "mine.weights.h5"
        mine = zoo.build("toy_rec", num_classes=3, input_shape=(4, 4, 3))
        mine.save_weights(path)
        model = zoo.load("toy_rec", weights=path, num_classes=3, input_shape=(4, 4, 3))
        assert_same(model, mine)
        assert not caplog.records

    def test_written_with_those_of_the_tag(self, trained, toy_zoo, caplog):
        model = zoo.load("toy_rec", weights=toy_zoo / FILE, num_classes=3)
        assert_layers_equal(model, trained, ["stem", "position", "block"])
        assert "new and untrained" in caplog.text

    @pytest.mark.parametrize("asked", [{"num_classes": 3}, {"input_shape": (6, 4, 3)}])
    def test_called_as_the_zoo_calls_it_and_written_otherwise(
        self, trained, tmp_path, caplog, asked
    ):
        mine = zoo.load("toy_rec", **asked)
        mine.get_layer("position").table.assign(2 * mine.get_layer("position").table)
        caplog.clear()
        mine.save_weights(tmp_path / "toy_rec.small.weights.h5")
        model = zoo.load("toy_rec", weights=tmp_path / "toy_rec.small.weights.h5", **asked)
        shape = asked.get("input_shape", (4, 4, 3))
        assert_same(model, mine, (2, *shape))
        assert model.zoo_tag == "small"
        assert not caplog.records

    def test_is_not_checked(self, trained, toy_zoo):
        # Whoever trains on replaces a file before its manifest.
        trained.get_layer("head").bias.assign(np.zeros(5))
        trained.save_weights(toy_zoo / FILE)
        assert_same(zoo.load("toy_rec", weights=toy_zoo / FILE), trained)

    def test_of_a_deeper_network_is_refused(self, tmp_path):
        # Keras takes the blocks that it has names for, and leaves the rest without a word.
        path = tmp_path / "deeper.weights.h5"
        deeper = zoo.build("vit3", tag="cifar10", depth=4)
        deeper.save_weights(path)
        with pytest.raises(ValueError, match="do not fit 'vit3': they are 2,407,424 numbers, and "):
            zoo.load("vit3.cifar10", weights=path)

    def test_that_is_not_hdf5(self, toy_zoo, tmp_path):
        path = tmp_path / "toy_rec.small.weights.h5"
        path.write_bytes(b"nothing of the sort")
        with pytest.raises(ValueError, match=r"do not fit 'toy_rec': .*file signature not found"):
            zoo.load("toy_rec", weights=path)

    def test_that_is_missing(self, toy_zoo, tmp_path):
        with pytest.raises(FileNotFoundError, match="There is no weights file"):
            zoo.load("toy_rec", weights=tmp_path / "toy_rec.small.weights.h5")


def test_arguments_may_be_numpys(toy_zoo):
    model = zoo.load("toy_rec", steps=np.int64(3), input_shape=np.array([8, 8, 3]))
    assert model.input_shape == (None, 8, 8, 3)
    assert model.preprocess.size == (8, 8)
    assert zoo.build("toy_rec", num_classes=np.int64(4)).output_shape == (None, 4)
