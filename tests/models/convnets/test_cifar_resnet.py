"""ResNets for CIFAR-10: counts of the authors' code, and every form in plain PyTorch."""

import keras
import numpy as np
import pytest

from keras_recres import models
from keras_recres.backend import keras_private
from keras_recres.models.convnets.cifar_resnet import PLACEMENTS, SHORTCUTS

BACKEND = keras.backend.backend()
# Trainable parameters, moving statistics, multiply-adds, of the forms that no name of the zoo has.
PLAIN110 = (1727962, 8096, 252887680)
COUNTS = {
    "gates": (
        lambda: models.preact_resnet(110, "exclusive_gate", "original"),
        (1826746, 8096, 267043456),
    ),
    "conv": (lambda: models.preact_resnet(110, "conv", "original"), (1822170, 8096, 266781312)),
    "bn_after_add": (lambda: models.preact_resnet(110, placement="bn_after_add"), PLAIN110),
    "relu_before_add": (lambda: models.preact_resnet(110, placement="relu_before_add"), PLAIN110),
    "relu_only": (lambda: models.preact_resnet(110, placement="relu_only"), PLAIN110),
    "original164": (
        lambda: models.preact_resnet(164, placement="original"),
        (1704154, 25120, 244500992),
    ),
}


@pytest.mark.slow
@pytest.mark.neutral
@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    build, wanted = COUNTS[name]
    with keras_private.values_given_later():
        model = build()
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    rest = model.count_params() - trained
    assert (trained, rest, models.multiply_adds(model).total) == wanted


@pytest.mark.neutral
def test_narrower_stages_have_the_weights_counted_by_hand():
    with keras_private.values_given_later():
        model = models.cifar_resnet(20, filters=(8, 16, 32), input_shape=(16, 16, 3))
    kernels = 3 * 8 + 6 * 8 * 8 + 8 * 16 + 5 * 16 * 16 + 16 * 32 + 5 * 32 * 32
    channels = 7 * 8 + 6 * 16 + 6 * 32
    assert model.count_params() == 9 * kernels + 4 * channels + 33 * 10
    assert model.get_layer("mean").output.shape == (None, 32)


@pytest.mark.neutral
def test_units_are_runs_of_blocks():
    with keras_private.values_given_later():
        model = models.preact_resnet(29, bottleneck=True)
    runs = [(run.name, run.count) for run in models.blocks(model)]
    assert runs == [(f"stage{i}_unit", 2) for i in range(3)]


def in_plain_pytorch(model, x, shortcut, placement, convolutions):
    """The same network of `torch.nn.functional` alone, with the weights found by their names."""
    import torch
    from torch.nn import functional

    weights = {}
    for layer in model.layers:
        inner = layer.branch.layers if hasattr(layer, "branch") else []
        for part, name in ((layer, layer.name), *((x, f"{layer.name}_{x.name}") for x in inner)):
            weights |= {f"{name}_{w.name}": w.value for w in part.weights}

    def weight(unit, layer, kind):
        return weights.get("_".join(filter(None, (unit, layer, kind))))

    def conv(x, unit, layer, strides=1):
        kernel = weight(unit, layer, "kernel").permute(3, 2, 0, 1)
        bias = weight(unit, layer, "bias")
        return functional.conv2d(x, kernel, bias, strides, kernel.shape[-1] // 2)

    def norm(x, unit, layer):
        kinds = "moving_mean", "moving_variance", "gamma", "beta"
        return functional.batch_norm(x, *(weight(unit, layer, k) for k in kinds), eps=1e-5)

    x = conv(torch.tensor(x).permute(0, 3, 1, 2), "", "stem_conv")
    if placement != "full":
        x = norm(x, "", "stem_norm")
        x = x if placement == "relu_only" else x.relu()
    for stage in range(3):
        unit = f"stage{stage}_unit0"
        strides = 2 if stage else 1
        y, early = x, None
        for i in range(1, convolutions + 1):
            if placement == "full":
                y = norm(y, unit, f"norm{i}").relu()
                early = y if i == 1 else early
            elif placement == "relu_only":
                y = y.relu()
            y = conv(y, unit, f"conv{i}", strides if i == 1 else 1)
            if placement == "full" or (placement == "bn_after_add" and i == convolutions):
                continue
            y = norm(y, unit, f"norm{i}")
            if placement == "relu_before_add" or (placement != "relu_only" and i < convolutions):
                y = y.relu()
        wide = y.shape[1] != x.shape[1]
        if wide and convolutions == 3:
            h = conv(early if placement == "full" else x, unit, "shortcut", strides)
            h = h if placement == "full" else norm(h, unit, "shortcut_norm")
        elif shortcut == "conv":
            h = conv(x, unit, "shortcut", strides)
        else:
            h = x[:, :, ::strides, ::strides]
            h = functional.pad(h, (0, 0, 0, 0, 0, y.shape[1] - h.shape[1]))
        if shortcut == "scaling":
            h, y = h / 2, y / 2
        if "gate" in str(shortcut):
            gate = conv(h, unit, "gate").sigmoid()
            h, y = (1 - gate) * h, gate * y if shortcut == "exclusive_gate" else y
        x = y if shortcut is None else h + y
        x = norm(x, unit, "norm") if placement == "bn_after_add" else x
        x = x.relu() if placement in ("original", "bn_after_add") else x
    x = norm(x, "", "norm") if placement == "full" else x
    x = x.relu() if placement in ("full", "relu_only") else x
    return x.mean((2, 3)) @ weight("", "logits", "kernel") + weight("", "logits", "bias")


FORMS = [
    *[(shortcut, "original", 2) for shortcut in (None, *SHORTCUTS)],
    *[("identity", placement, 2) for placement in PLACEMENTS[1:]],
    *[("identity", placement, 3) for placement in ("full", "original", "relu_only")],
]


@pytest.mark.skipif(BACKEND != "torch", reason="compares with plain PyTorch")
@pytest.mark.parametrize(("shortcut", "placement", "convolutions"), FORMS)
def test_every_form_is_that_of_plain_pytorch(shortcut, placement, convolutions):
    if shortcut is None:
        model = models.cifar_resnet(8, residual=False, input_shape=(8, 8, 3))
    else:
        model = models.preact_resnet(
            3 * convolutions + 2,
            shortcut,
            placement,
            bottleneck=convolutions == 3,
            input_shape=(8, 8, 3),
        )
    rng = np.random.default_rng(0)
    for w in model.weights:
        fan_in = np.prod(w.shape[:-1]) if len(w.shape) > 1 else 1
        value = rng.normal(size=w.shape) / fan_in**0.5
        w.assign(np.exp(0.3 * value) if "variance" in w.path or "gamma" in w.path else value)
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    wanted = in_plain_pytorch(model, x, shortcut, placement, convolutions).detach().numpy()
    got = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(got, wanted, atol=1e-4 * wanted.std())


def test_an_identity_unit_can_be_run_again():
    model = models.preact_resnet(14, input_shape=(8, 8, 3))
    unit = model.get_layer("stage0_unit1")
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 16)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(unit(x, steps=2)),
        keras.ops.convert_to_numpy(unit(unit(x))),
        atol=1e-5,
    )


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 109}, "`depth` must be 6 n .* it is 109"),
        ({"depth": 165}, "`depth` must be 9 n .* it is 165"),
        ({"depth": "110"}, "`depth` must be .* it is '110'"),
        ({"shortcut": "gate"}, "`shortcut` must be one of .* it is 'gate'"),
        ({"filters": 8}, "`filters` must be .* three stages, but it is 8"),
        ({"filters": (8, 16)}, r"`filters` must be .* three stages, but it is \(8, 16\)"),
        ({"filters": (8, 0, 32)}, "`filters` must be .* 0"),
        ({"filters": (8, 32, 16)}, r"`filters` must not fall .* it is \(8, 32, 16\)"),
        ({"placement": "pre"}, "`placement` must be one of .* it is 'pre'"),
        (
            {"input_shape": (2, 32, 3)},
            r"`input_shape` must have sides .* it is \(2, 32, 3\)",
        ),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        models.preact_resnet(**arguments)
