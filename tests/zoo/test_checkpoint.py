"""zoo.convert.checkpoint: what it refuses, and that nothing is half loaded.

That the functions are right is the tests' of the builders, tests/models/convnets.
"""

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.models.convnets.googlenet import googlenet
from keras_recres.zoo.convert import networks
from tests.models.convnets import plain_torch

pytestmark = pytest.mark.neutral
SMALL = {"auxiliary": False, "num_classes": 2, "input_shape": (32, 32, 3)}


def named(name, index=0):
    """A checkpoint with the right names and nothing else."""
    keys = networks.LAYOUTS[name][index].beginnings
    return {f"{key}.{kind}": np.zeros(1) for key in keys for kind in ("weight", "bias")}


@pytest.fixture(scope="module")
def small():
    """A checkpoint that fits SMALL, other numbers in each array."""
    with plain_torch.without_initial_values():
        parts = networks.LAYOUTS["googlenet"][0].of(googlenet(**SMALL))
    counter = {"conv1.bn.num_batches_tracked": np.array(3)}
    return counter | {p.key: np.full(p.shapes[0], i, "float32") for i, p in enumerate(parts)}


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("vgg19", named("vgg16"), "is a checkpoint of 'vgg16' and not of 'vgg19'.*pass that name"),
        ("vgg11", named("vgg13", 1), "is a checkpoint of 'vgg13' and not of 'vgg11'"),
        ("alexnet_two_tower", named("alexnet"), "of 'alexnet' and not of 'alexnet_two_tower'"),
        ("vit7", {"cls_token": np.zeros(1)}, "'vit7' has no converter .* one of alexnet"),
        ("vgg21", named("vgg16"), "vgg21.*did you mean"),
    ],
)
def test_what_is_another_networks_is_refused(name, state, words):
    # Small, for the case that it is built all the same.
    with plain_torch.without_initial_values(), pytest.raises(ValueError, match=words):
        zoo.convert.checkpoint(name, state, input_shape=(67, 67, 3))


@pytest.mark.slow
def test_every_key_and_shape_is_checked(small):
    def refused(changes, *without):
        state = {k: v for k, v in (small | changes).items() if k not in without}
        with plain_torch.without_initial_values(), pytest.raises(ValueError, match="fit") as error:
            zoo.convert.checkpoint("googlenet", state, **SMALL)
        assert len(str(error.value).splitlines()) == 1
        return str(error.value)

    found = refused({"fc.weight": np.zeros((3, 1024)), "fc.scale": np.zeros(1)}, "conv1.bn.bias")
    assert "1 weights are missing (conv1.bn.bias)" in found
    assert "1 are unexpected (fc.scale)" in found
    assert "fc.weight is (3, 1024) and must be (2, 1024)" in found
    assert "arguments of models.googlenet with which" in found


@pytest.mark.slow
def test_a_checkpoint_that_fits_is_all_loaded(small):
    state = small | {"fc.weight": np.full((1000, 1024), 7.0), "fc.bias": np.full(1000, 8.0)}
    how = SMALL | {"num_classes": 1000}
    with plain_torch.without_initial_values():
        model = zoo.convert.checkpoint("googlenet", state, **how)
        features = zoo.convert.checkpoint(
            "googlenet", state, features_only=True, transform_input=False, **how
        )
    parts = networks.LAYOUTS["googlenet"][0].of(model)
    assert len(parts) == len(small) - 1
    for part in parts:
        value = keras.ops.convert_to_numpy(part.variable)
        assert (value == state[part.key].flat[0]).all(), part.key
    assert features.output_shape == (None, 1024)
    # What the function takes: torchvision's images, or what its transform makes of them.
    assert model.preprocess.mean == (0.485, 0.456, 0.406)
    assert features.preprocess.mean == features.preprocess.std == (0.5,) * 3
    assert model.preprocess.size == features.preprocess.size == (32, 32)
    assert zoo.info("googlenet").preprocessing.mean == (0.5,) * 3


def test_safetensors_are_read(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "model.safetensors"
    numpy.save_file(named("vgg16"), path)
    with pytest.raises(ValueError, match=r"model\.safetensors is a checkpoint of 'vgg16'"):
        zoo.convert.checkpoint("vgg19", path)
    path.write_bytes(b"no such file")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        zoo.convert.checkpoint("vgg19", path)


def test_a_name_without_weights_says_which_checkpoints_are_read():
    with pytest.raises(ValueError, match=r"zoo\.convert\.checkpoint\('vgg11', PATH\) reads"):
        zoo.load("vgg11")
    with pytest.raises(ValueError, match="no trained weights yet") as error:
        zoo.load("vgg11_lrn")
    assert "zoo.convert" not in str(error.value)
