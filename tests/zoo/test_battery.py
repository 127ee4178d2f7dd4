"""The battery that every name of the zoo passes: a new config is tested by being there."""

import functools
import inspect
import json
import re

import keras
import numpy as np
import pytest

import keras_recres.models
from keras_recres import zoo
from keras_recres.backend import keras_private
from keras_recres.models.families import Family, family_of
from keras_recres.zoo import manifest, registry, sources, transfer
from keras_recres.zoo.record import Record
from tests.marks import slow_on, slow_on_tensorflow
from tests.zoo import seeded

FOLDER = sources.data_folder()
NAMES = [record.name for record in zoo.list()]
TAGS = [f"{record.name}.{tag}" for record in zoo.list() for tag in record.tags]
# Those of others' weights: tests/zoo/test_of_others.py.
OURS = seeded.ours()
# Networks of more parameters or layers, or of several recurrent ones over hundreds of steps, would
# cost this battery minutes: it compares their counts and logits, and leaves files and features to
# the test of their builder.
LARGE, DEEP = 5_000_000, 50


def large(record):
    recurrent = isinstance(record.arguments.get("units"), list)
    return recurrent or record.parameters.total > LARGE or record.arguments.get("depth", 0) > DEEP


SMALL = [record for record in OURS if not large(record)]
DEFAULTS = [f"{record.name}.{record.default_tag}" for record in SMALL]
LARGE_NETWORKS = {r.name: r.builder for r in seeded.networks().values() if large(r)}
TRAINED = [f"{record.name}.{tag}" for record in zoo.list() for tag in record.trained_tags]
BUILDERS = sorted({record.builder for record in OURS})
REWRITE = 'from keras_recres.zoo import manifest; manifest.write("zoo")'


def smallest(builder):
    """The record of a builder's network of the fewest parameters."""
    records = [record for record in zoo.list() if record.builder == builder]
    return min(records, key=lambda record: record.parameters.total)


def computed(model, inputs):
    """What a model's first output is."""
    if keras.backend.backend() == "jax":
        # Which would compile every operation by itself.
        found = model.predict_on_batch(inputs)
    elif keras.backend.backend() == "tensorflow" and len(inputs.shape) < 4:
        # A recurrence of many steps, which alone is faster in a graph.
        import tensorflow as tf

        x = tf.convert_to_tensor(inputs)
        found = tf.function(lambda x: model(x, training=False)).get_concrete_function(x)(x)
    else:
        found = model(inputs, training=False)
    return keras.ops.convert_to_numpy(keras.tree.flatten(found)[0])


def builder_of(record):
    return getattr(keras_recres.models, record.builder)


def accepts(record, argument):
    return argument in inspect.signature(builder_of(record)).parameters


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def weighted(model):
    return {layer.name: layer for layer in model.layers if layer.weights}


def assert_equal_weights(layer, other):
    assert len(layer.weights) == len(other.weights)
    for a, b in zip(layer.weights, other.weights, strict=True):
        a, b = keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)
        np.testing.assert_array_equal(a, b, err_msg=layer.name)


class Own:
    """The network of a default tag, with its weights of the zoo or, without any, seeded ones.

    Attributes:
        model: The network.
        record: Its record.
        tag: The default tag.
        known: The record of its builder.
        inputs: A few inputs.
        wanted: The logits that were kept for them, of another backend.
        found: The logits that it gives.
    """

    def __init__(self, name):
        self.record, self.tag = zoo.info(name), name.partition(".")[2]
        self.known = family_of(self.record.builder)
        if self.tag in self.record.trained_tags:
            self.model = zoo.load(name, offline=True)
            file = FOLDER / "golden" / f"{name}.npz"
            with np.load(file, allow_pickle=False) as golden:
                self.inputs, self.wanted = golden["inputs"], golden["logits"]
        else:
            with keras_private.values_given_later():
                self.model = zoo.build(name)
                seeded.give_weights(self.model)
            self.inputs, self.wanted = seeded.inputs_of(self.model), seeded.logits_of(self.record)
        self.found = computed(self.model, self.inputs)

    def build(self, **changes):
        with keras_private.values_given_later():
            return zoo.build(self.record.name, tag=self.tag, **changes)

    def copied(self, **changes):
        """The network with other arguments and these weights, and the names of the layers left."""
        with keras_private.values_given_later():
            other = zoo.build(self.record.name, tag=self.tag, **changes)
            return other, transfer.copy(self.model, other, changes)


@pytest.fixture(scope="module")
def built():
    """What gives the network of a name, built once for all tests."""
    return functools.cache(Own)


@pytest.fixture
def own(request, built):
    return built(request.param)


def covering(records):
    """As many of the smallest records as it takes to have every argument, and each of its words.

    Numbers differ in size alone: each kind of them counts once.
    """
    seen, found = set(), []
    for record in sorted(records, key=lambda record: record.parameters.total):
        values = {
            (record.builder, key, value if isinstance(value, str | bool) else type(value))
            for key, value in record.arguments.items()
        }
        if not values <= seen:
            found.append(record)
            seen |= values
    return found


def default(record):
    return f"{record.name}.{record.default_tag}"


ON_TORCH_ALONE = [pytest.mark.neutral, pytest.mark.slow, pytest.mark.on_torch]
# Of each builder the smallest network; of LARGE ones none.
OF_BUILDERS = [default(record) for record in map(smallest, BUILDERS) if record in SMALL]
# On the other backends every name with weights, and what stands for those without.
COVERING = [default(record) for record in covering(SMALL)]
on_every_name = pytest.mark.parametrize(
    "own",
    [
        pytest.param(
            name,
            marks=[pytest.mark.neutral] * (name not in {*TRAINED, *COVERING})
            + [slow_on_tensorflow] * (name not in COVERING),
        )
        for name in DEFAULTS
    ],
    indirect=True,
)
# Once for each argument and word, and on the other backends once for each builder.
on_every_argument = pytest.mark.parametrize(
    "own",
    [
        pytest.param(
            name,
            marks=ON_TORCH_ALONE * (name not in OF_BUILDERS),
        )
        for name in COVERING
    ],
    indirect=True,
)


def assert_counts(model):
    record = model.zoo_record
    expected = record.parameters
    assert (trainable(model), model.count_params()) == (expected.trainable, expected.total)
    # By their paths Keras tells PyTorch whose gradients to clear.
    assert len({weight.path for weight in model.weights}) == len(model.weights)
    assert keras_recres.models.multiply_adds(model).total == record.multiply_adds
    shape, classes = (record.arguments.get(k) for k in ("input_shape", "num_classes"))
    length = record.arguments.get("length")
    assert model.input_shape == (None, *(shape or [length or 2]))
    cells = shape[:-1] if family_of(record.builder).inputs == "grid" else ()
    assert model.outputs[0].shape == (None, *cells, classes or 2)
    weights_of_losses = family_of(record.builder).auxiliary(record.arguments_of())
    assert len(weights_of_losses) == len(model.outputs) - 1


@pytest.mark.neutral
@on_every_name
def test_counts_are_exact(own):
    same = own.record.arguments_of() == own.record.arguments_of(own.tag)
    assert_counts(own.model if same else zoo.load(own.record.name, weights=None))


@slow_on_tensorflow
@pytest.mark.neutral
@pytest.mark.parametrize("builder", BUILDERS)
def test_a_builders_record_has_the_smallest_side(builder):
    record = smallest(builder)
    known = builder_of(record).family
    assert isinstance(known, Family)
    assert known == family_of(builder)
    if known.inputs != "image":
        assert (known.min_side, known.max_side) == (1, None)
        return
    *_, channels = record.arguments_of()["input_shape"]

    def build(side):
        return zoo.build(record.name, tag=record.default_tag, input_shape=(side, side, channels))

    assert build(known.min_side).input_shape[1] == known.min_side
    if known.min_side > 1:
        with pytest.raises(ValueError, match="input_shape"):
            build(known.min_side - 1)
    if known.max_side:
        with pytest.raises(ValueError, match="input_shape"):
            build(known.max_side + 1)


@pytest.mark.neutral
def test_records_of_one_network_say_the_same():
    """So that what is tested of one of them is tested of all."""
    said = {}
    for record in zoo.list():
        content = (record.parameters, record.preprocessing, record.default_tag, record.tags)
        assert said.setdefault(seeded.network(record), content) == content


def assert_logits(found, wanted):
    """They are those that were kept, which were computed on one backend."""
    found, wanted = seeded.thinned(found), seeded.thinned(wanted)
    assert found.shape == wanted.shape
    assert np.abs(wanted).max() > 1e-2
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@on_every_name
def test_every_backend_gives_the_same_logits(own):
    assert own.inputs.dtype == ("int32" if own.known.inputs == "text" else "float32")
    assert own.inputs.shape[1:] == own.model.input_shape[1:]
    assert_logits(own.found, own.wanted)


def test_golden_logits_of_other_tags():
    for name in {*TRAINED} - {*DEFAULTS}:
        model = zoo.load(name, offline=True)
        with np.load(FOLDER / "golden" / f"{name}.npz", allow_pickle=False) as golden:
            assert golden["inputs"].shape[1:] == model.input_shape[1:]
            assert_logits(computed(model, golden["inputs"]), golden["logits"])


@slow_on("jax")
@slow_on_tensorflow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=ON_TORCH_ALONE * (name != smallest(builder).name),
        )
        for name, builder in LARGE_NETWORKS.items()
    ],
)
def test_large_networks_have_their_counts_and_logits(name):
    with keras_private.values_given_later():
        model = zoo.build(name, tag=zoo.info(name).default_tag)
        assert_counts(model)
        seeded.give_weights(model)
    assert_logits(computed(model, seeded.inputs_of(model)), seeded.logits_of(model.zoo_record))


@slow_on_tensorflow
@on_every_argument
def test_a_saved_model_reproduces_the_network(own, tmp_path):
    own.model.save(tmp_path / "model.keras")
    with keras_private.values_given_later():
        restored = keras.saving.load_model(tmp_path / "model.keras")
    assert restored.name == own.record.name
    assert weighted(restored).keys() == weighted(own.model).keys()
    for key, layer in weighted(own.model).items():
        assert_equal_weights(weighted(restored)[key], layer)
    np.testing.assert_allclose(computed(restored, own.inputs), own.found, rtol=1e-5, atol=1e-5)


@pytest.mark.neutral
@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name):
    config = registry.config_of(name)
    record = Record.from_dict(config)
    assert record == zoo.info(name)
    assert json.loads(json.dumps(record.to_dict())) == config
    assert record.builder in keras_recres.models.__all__
    assert record.default_tag, "the tag that its weights have, or will have"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name), "a name is a file name and part of name.tag"
    for tag in record.tags:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", tag)


@pytest.mark.neutral
@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_those_of_the_builder(name):
    record = zoo.info(name)
    for tag in (None, *record.tags):
        for argument in record.arguments_of(tag):
            assert accepts(record, argument)


@pytest.mark.neutral
@pytest.mark.parametrize("name", NAMES)
def test_record_prints(name):
    record = zoo.info(name)
    assert f"{record.parameters.total:,} in all" in str(record)
    assert all(tag in str(record) for tag in record.tags)
    assert name in repr(record)


@functools.cache
def shape_after(preprocessing, channels):
    return tuple(preprocessing(np.zeros((40, 50, channels), "uint8")).shape)


@pytest.mark.neutral
@pytest.mark.parametrize("name", TAGS)
def test_preprocessing_gives_what_the_network_takes(name):
    record, tag = zoo.info(name), name.partition(".")[2]
    shape, preprocessing = record.arguments_of(tag).get("input_shape"), record.preprocessing_of(tag)
    if family_of(record.builder).inputs == "text":
        arguments = record.arguments_of(tag)
        sizes = arguments["vocabulary_size"], arguments["length"]
        assert (preprocessing.words, preprocessing.length) == sizes
        assert len(preprocessing.known) == preprocessing.words - 2
        return
    if family_of(record.builder).inputs != "image":
        assert preprocessing.size is None
        return
    assert shape_after(preprocessing, shape[-1]) == (1, *shape)
    assert len(preprocessing.mean) == shape[-1]


@slow_on_tensorflow
@on_every_argument
def test_weights_survive_other_arguments(own):
    """Which of them, a file's come through with the same function: tests/zoo/test_loading.py."""
    shape = own.model.input_shape[1:]
    image = own.known.inputs in ("image", "grid", "sequence")
    text = own.known.inputs == "text"
    changes = {"steps": 3} if accepts(own.record, "steps") else {}
    if image:
        *sides, last, channels = shape
        changes |= {"num_classes": 3, "input_shape": (*sides, last + 32, channels)}
        if own.known.size_bound(own.record.arguments_of(own.tag)):
            # With other classes the layer that is bound may be the head, which begins anew.
            with pytest.raises(ValueError, match=r"do not fit .*input_shape="):
                own.copied(input_shape=changes["input_shape"])
            changes["input_shape"] = shape
    elif text:
        changes, shape = {"num_classes": 3, "length": shape[0] // 2}, (shape[0] // 2,)
    else:
        # A network on points: its neurons are its logits.
        with pytest.raises(ValueError, match="num_classes"):
            own.build(num_classes=3)
    other, fresh = own.copied(**changes)
    assert len(fresh) == (len(other.outputs) if image or text else 0)
    assert other.input_shape == (None, *changes.get("input_shape", shape))
    cells = other.input_shape[1:-1] if own.known.inputs == "grid" else ()
    classes = changes.get("num_classes", own.found.shape[-1])
    assert other.outputs[0].shape == (None, *cells, classes)
    assert weighted(other).keys() == weighted(own.model).keys()
    for key, layer in weighted(own.model).items():
        longer = weighted(other)[key]
        if getattr(layer, "own_variables", ()):
            # Steps beyond the last take its per-step weights.
            sides = layer.get_build_config()["input_shape"][1:]
            x = np.random.default_rng(0).standard_normal((2, *(side or 5 for side in sides)))
            wanted = keras.ops.convert_to_numpy(layer(x, steps=longer.steps))
            found = keras.ops.convert_to_numpy(longer(x))
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
        elif key not in fresh:
            for old, new in zip(layer.weights, longer.weights, strict=True):
                if old.shape != new.shape:
                    assert not new.trainable, "only tables that are computed may differ"
                    continue
                old, new = keras.ops.convert_to_numpy(old), keras.ops.convert_to_numpy(new)
                np.testing.assert_array_equal(old, new, err_msg=key)
    found = computed(other, seeded.inputs_of(other))
    assert found.shape == (2, *other.outputs[0].shape[1:])
    assert np.all(np.isfinite(found))


@pytest.mark.parametrize("own", OF_BUILDERS, indirect=True)
def test_features_only(own):
    if own.known.inputs not in ("image", "grid", "sequence", "text"):
        with pytest.raises(ValueError, match="features_only"):
            own.build(features_only=True)
        return
    features, fresh = own.copied(features_only=True)
    assert not fresh
    # A neocognitron's outputs are those of cells without weights; of texts, two of one head's.
    head, _ = keras_private.producer(own.model.outputs[0])
    if own.known.inputs == "text":
        head = transfer.head(own.model.outputs[0])
    assert weighted(features).keys() <= weighted(own.model).keys() - {head.name}
    found = head(computed(features, own.inputs))
    found = keras.ops.convert_to_numpy(found)
    # Of two classes of texts the first logit is 0.
    wanted = own.found[..., -found.shape[-1] :]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.neutral
def test_names_without_weights_say_so():
    for record in zoo.list(trained=False):
        assert record.source == "zoo"
        with pytest.raises(ValueError, match="has no trained weights yet; pass weights=None"):
            zoo.load(record.name)


@pytest.mark.neutral
def test_the_weights_of_a_network_run_in_its_recurrent_form_too():
    file = FOLDER / "weights" / "vit3.cifar10_jpeg.weights.h5"
    model, own = zoo.load("vit3_rec", weights=file), zoo.load("vit3")
    assert model.zoo_tag == "cifar10_jpeg"
    for ours, theirs in zip(model.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.neutral
def test_every_network_has_logits_to_compare_with():
    golden = {seeded.network(zoo.info(name)) for name in TRAINED if name in DEFAULTS}
    missing = {record.name for key, record in seeded.networks().items() if key not in golden}
    assert missing <= seeded.read().keys(), "run python -m tests.zoo.seeded"


def files(folder, suffix):
    paths = [path for path in (FOLDER / folder).iterdir() if path.is_file()]
    names = {path.name for path in paths if path.name[0] != "."}
    assert all(name.endswith(suffix) for name in names), names
    return {name.removesuffix(suffix) for name in names}


@pytest.mark.neutral
def test_one_name_everywhere():
    weights, golden = files("weights", ".weights.h5"), files("golden", ".npz")
    rows = {f"{result.name}.{result.tag}" for record in zoo.list() for result in record.results}
    assert files("configs", ".json") == set(NAMES)
    assert weights == golden == set(TRAINED)
    assert weights <= set(TAGS)
    assert weights <= rows, "weights without a measured result"


@pytest.mark.neutral
def test_results_are_of_known_names():
    lines = (FOLDER / "results.csv").read_text(encoding="utf-8").splitlines()[1:]
    results = [result for record in zoo.list() for result in record.results]
    assert len(results) == len(lines), "a row is of no name of the zoo"
    for result in results:
        record = zoo.info(result.name)
        assert result.tag in record.tags
        # Measured on the tag's own data, on its problem in another size, or on those of its images
        # whose original pixels are there.
        problem, slash, _ = (own := record.tags[result.tag].dataset).partition("/")
        sizes = slash and result.dataset.startswith(f"{problem}_")
        assert sizes or result.dataset in (own, "cifar10_lossless_part")
        assert np.isfinite(float(result.value))
        assert int(result.seeds) >= 1
        assert int(result.trainable_parameters) <= int(result.parameters)
        assert result.commit
        assert result.backend
        assert result.hardware


@pytest.mark.neutral
def test_manifest_is_that_of_the_files():
    found = manifest.describe(FOLDER)
    assert manifest.read(FOLDER) == found, (
        f"the manifest is old; at the root: python -c '{REWRITE}'"
    )


@pytest.mark.neutral
def test_weights_stay_small():
    total = sum(path.stat().st_size for path in (FOLDER / "weights").iterdir())
    assert total < 100e6
