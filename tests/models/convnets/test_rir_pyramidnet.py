"""ResNet in ResNet and PyramidNet, each in plain PyTorch beside ours."""

import keras
import numpy as np
import pytest

from keras_recres import models
from keras_recres.backend import keras_private

BACKEND = keras.backend.backend()
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="compares with plain PyTorch")


def weights_of(model):
    """Random weights, in the model and by the names of layers, those of branches and heads, too."""
    rng, found = np.random.default_rng(0), {}
    for layer in model.layers:
        inner = getattr(layer, "branch", layer)
        inner = inner.layers if isinstance(inner, keras.Sequential) else []
        parts = [(part, f"{layer.name}_{part.name}") for part in inner] or [(layer, layer.name)]
        for part, name in parts:
            for w in part.weights:
                value = rng.normal(size=w.shape) / max(1, np.prod(w.shape[:-1])) ** 0.5
                positive = w.name in ("gamma", "moving_variance")
                w.assign(np.exp(0.3 * value) if positive else value)
                found[f"{name}_{w.name}"] = w.value.detach()
    return found


class Plain:
    """What the plain networks are made of."""

    def __init__(self, model):
        import torch
        from torch.nn import functional

        self.torch, self.functional, self.weights = torch, functional, weights_of(model)

    def images(self, x):
        return self.torch.tensor(x).permute(0, 3, 1, 2)

    def conv(self, x, name, strides=1):
        kernel = self.weights[f"{name}_kernel"].permute(3, 2, 0, 1)
        bias = self.weights.get(f"{name}_bias")
        return self.functional.conv2d(x, kernel, bias, strides, kernel.shape[-1] // 2)

    def norm(self, x, name):
        kinds = "moving_mean", "moving_variance", "gamma", "beta"
        of = (self.weights[f"{name}_{kind}"] for kind in kinds)
        return self.functional.batch_norm(x, *of, eps=1e-5)

    def behind(self, x, filters):
        return self.functional.pad(x, (0, 0, 0, 0, 0, filters - x.shape[1]))


def assert_same(model, x, wanted):
    wanted = wanted.numpy()
    got = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(got, wanted, atol=1e-4 * wanted.std())


def images(side):
    return np.random.default_rng(1).normal(size=(2, side, side, 3)).astype("float32")


@on_torch
def test_rir_is_that_of_plain_pytorch():
    model = models.rir(4, input_shape=(8, 8, 3), num_classes=5)
    net, x = Plain(model), images(8)

    def activated(y, name):
        return net.norm(y, f"{name}_norm").relu()

    def unit(r, t, filters, strides, name):
        shortcut = net.behind(r[:, :, ::strides, ::strides], filters)
        rr, tr, rt, tt = (
            net.conv(y, f"{name}_{kind}", strides)
            for y, kind in ((r, "rr"), (t, "tr"), (r, "rt"), (t, "tt"))
        )
        return activated(rr + tr + shortcut, f"{name}_r"), activated(rt + tt, f"{name}_t")

    r, t = (activated(net.conv(net.images(x), f"stem_{s}"), f"stem_{s}") for s in "rt")
    for stage, blocks in enumerate((2, 3, 3)):
        for i in range(blocks):
            name, strides, filters = f"stage{stage}_block{i}", 1 + (stage > 0 and not i), 4 << stage
            before = r
            r, t = unit(r, t, filters, 1, f"{name}_unit0")
            r, t = unit(r, t, filters, strides, f"{name}_unit1")
            r = r + net.behind(before[:, :, ::strides, ::strides], filters)
    y = net.norm(net.conv(net.torch.cat([r, t], 1), "logits_conv"), "logits_norm").relu()
    assert_same(model, x, y.mean((2, 3)))


@on_torch
def test_pyramidnet_is_that_of_plain_pytorch():
    # 16, 17, 17, 18, 19, 19, 20 maps: one unit of each kind.
    model = models.pyramidnet(14, 4, input_shape=(8, 8, 3), num_classes=5)
    net, x = Plain(model), images(8)
    y = net.norm(net.conv(net.images(x), "stem_conv"), "stem_norm")
    for i, filters in enumerate((17, 17, 18, 19, 19, 20)):
        name, strides = f"stage{i // 2}_unit{i % 2}", 2 if i in (2, 4) else 1
        z = net.conv(net.norm(y, f"{name}_norm1"), f"{name}_conv1", strides)
        z = net.conv(net.norm(z, f"{name}_norm2").relu(), f"{name}_conv2")
        shortcut = net.functional.avg_pool2d(y, 2) if strides > 1 else y
        y = net.norm(z, f"{name}_norm3") + net.behind(shortcut, filters)
    y = net.norm(y, "norm").relu().mean((2, 3))
    assert_same(model, x, y @ net.weights["logits_kernel"] + net.weights["logits_bias"])


@pytest.mark.slow
@pytest.mark.neutral
def test_counts_beyond_the_zoos():
    with keras_private.values_given_later():
        model = models.rir(use_bias=False)
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert (trained, model.count_params()) == (9469940, 9477832)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("build", "arguments", "words"),
    [
        (models.rir, {"width": 0}, "`width` must be"),
        (
            models.rir,
            {"input_shape": (3, 32, 3)},
            r"`input_shape` must have sides .* \(3, 32, 3\)",
        ),
        (models.pyramidnet, {"depth": 111}, "`depth` must be 6 n .* it is 111"),
        (models.pyramidnet, {"alpha": 0}, "`alpha` must be a number above 0, but it is 0"),
        (models.pyramidnet, {"input_shape": (32, 3)}, r"`input_shape` must be .* it is \(32, 3\)"),
    ],
)
def test_wrong_arguments_are_one_sentence(build, arguments, words):
    with pytest.raises(ValueError, match=words):
        build(**arguments)
