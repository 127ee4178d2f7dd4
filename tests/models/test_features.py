"""Feature maps: as many as a family has, what the whole network computes on the way."""

import keras
import numpy as np
import pytest

from keras_recres import zoo
from tests.marks import slow_on, slow_on_tensorflow

# (height, channels, reduction) of each map of the network of the zoo's images.
MAPS = {
    "cifar_small": [(32, 16, 1), (16, 32, 2), (8, 32, 4)],
    "cifar_small_meta": [(32, 16, 1), (16, 16, 2), (8, 32, 4)],
    "cifar_medium_conv3d": [(32, 32, 1), (16, 128, 2), (8, 256, 4), (3, 256, 11)],
    "shared_resnet": [(32, 8, 1), (16, 16, 2), (8, 32, 4)],
    "lenet5_original": [(28, 6, 1), (10, 16, 3), (1, 120, 28)],
    "nin_cifar10": [(32, 96, 1), (16, 192, 2), (8, 192, 4)],
    "vit3_rec": [(4, 256, 8)] * 3,
    "mnist_resnet50_relu_he": [(14, 64, 2), (6, 256, 5), (3, 512, 9), (2, 1024, 14), (1, 2048, 28)],
    "rrn_tanh": [(None, 64, None)] * 50,
}


@slow_on("jax")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[slow_on_tensorflow] * (len(MAPS[n]) == 5)) for n in MAPS],
)
def test_each_image_family_has_maps(name):
    trained = zoo.info(name).trained
    weights = "default" if trained else None
    every = tuple(range(len(MAPS[name])))
    model = zoo.load(name, weights=weights, features_only=True, out_indices=every)
    facts = [(x.shape[1] if len(x.shape) == 4 else None, x.shape[-1]) for x in model.outputs]
    assert facts == [fact[:2] for fact in MAPS[name]]
    assert [info["reduction"] for info in model.feature_info] == [fact[2] for fact in MAPS[name]]
    if not trained:
        return
    whole = zoo.load(name)
    x = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:])).astype("float32")
    found = model.predict_on_batch(x)
    names = [info["name"].removesuffix("_map") for info in model.feature_info]
    outputs = [whole.get_layer(n).output for n in names]
    every = keras.Model(whole.input, outputs).predict_on_batch(x)
    for wanted, one in zip(every, found, strict=True):
        wanted = wanted[:, 1:] if name.startswith("vit") else wanted
        np.testing.assert_allclose(one, wanted.reshape(one.shape), rtol=1e-5, atol=1e-5)
    last = zoo.load(name, features_only=True, out_indices=-1)
    np.testing.assert_allclose(last.predict_on_batch(x), found[-1], rtol=1e-5, atol=1e-5)


def test_the_model_of_maps_is_the_zoos(tmp_path):
    model = zoo.load("cifar_small", features_only=True, out_indices=(2, 0))
    model.save(tmp_path / "maps.keras")
    back = keras.saving.load_model(tmp_path / "maps.keras")
    assert back.feature_info == model.feature_info
    assert [info["name"] for info in back.feature_info] == ["drop2", "conv2_norm"]
    assert back.preprocess == model.preprocess == zoo.load("cifar_small").preprocess
    assert back.zoo_tag == "cifar10_jpeg"


@pytest.mark.neutral
def test_no_classes_are_pooled_features():
    features, none = (
        zoo.load("cifar_small", features_only=True),
        zoo.load("cifar_small", num_classes=0),
    )
    assert none.output_shape == features.output_shape == (None, 40)
    for one, other in zip(none.weights, features.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    for arguments, said in (
        ({"out_indices": (0,)}, r"give features_only=True, too\."),
        ({"out_indices": (0,), "features_only": True, "num_classes": 3}, "have no classes"),
        ({"out_indices": (), "features_only": True}, r"but it is \(\)"),
        (
            {"out_indices": (0, 3), "features_only": True},
            r"\(0: 16 channels, 1/1; .*it is \(0, 3\)",
        ),
        ({"num_classes": 0, "classes": ["a"]}, "disagree"),
    ):
        with pytest.raises(ValueError, match=said):
            zoo.load("cifar_small", **arguments)
    with pytest.raises(ValueError, match=r"feature maps of 'planar_rec' \(none\)"):
        zoo.load("planar_rec", features_only=True, out_indices=(0,))
